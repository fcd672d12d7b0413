using System.Diagnostics;
using System.Globalization;

namespace Greeter.Api.Logging;

/// <summary>Reads a request's trace from <c>traceparent</c>, or from Google's older <c>X-Cloud-Trace-Context</c>.</summary>
/// <remarks>The older header is <c>TRACE/SPAN;o=1</c> with a decimal span; the span and the options can be missing:
/// https://cloud.google.com/trace/docs/trace-context#legacy-http-header</remarks>
internal sealed class CloudTracePropagator : DistributedContextPropagator
{
    private static readonly DistributedContextPropagator Standard = CreateDefaultPropagator();

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Fields => Standard.Fields;

    /// <inheritdoc/>
    public override void Inject(Activity? activity, object? carrier, PropagatorSetterCallback? setter) =>
        Standard.Inject(activity, carrier, setter);

    /// <inheritdoc/>
    public override void ExtractTraceIdAndState(
        object? carrier, PropagatorGetterCallback? getter, out string? traceId, out string? traceState)
    {
        Standard.ExtractTraceIdAndState(carrier, getter, out traceId, out traceState);
        if (getter is not null && !ActivityContext.TryParse(traceId, traceState, out _))
        {
            getter(carrier, "X-Cloud-Trace-Context", out var header, out _);
            traceId = ToTraceParent(header);
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, string?>>? ExtractBaggage(
        object? carrier, PropagatorGetterCallback? getter) => null;

    private static string? ToTraceParent(string? header)
    {
        if (header?.Split(';') is not [var ids, .. var options] || ids.Split('/') is not [{ Length: 32 } trace, .. var span])
        {
            return null;
        }
        ulong id = 0;
        if (span is not [] && !(span is [var text] && ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out id)))
        {
            return null;
        }
        // Without a span, only the trace is known. traceparent needs both.
        var spanId = id == 0 ? ActivitySpanId.CreateRandom().ToHexString() : $"{id:x16}";
        return $"00-{trace.ToLowerInvariant()}-{spanId}-{(options is ["o=1"] ? "01" : "00")}";
    }
}
