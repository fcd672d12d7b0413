using System.Diagnostics;
using System.Globalization;

namespace Greeter.Api;

/// <summary>
/// Takes a request's trace from <c>traceparent</c>, else from <c>X-Cloud-Trace-Context: TRACE/SPAN;o=1</c>, where the span is
/// decimal: https://cloud.google.com/trace/docs/trace-context#legacy-http-header
/// </summary>
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
        if (string.IsNullOrEmpty(traceId) && getter is not null)
        {
            getter(carrier, "X-Cloud-Trace-Context", out var header, out _);
            traceId = ToTraceParent(header);
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, string?>>? ExtractBaggage(object? carrier, PropagatorGetterCallback? getter) => null;

    private static string? ToTraceParent(string? header)
    {
        var parts = header?.Split('/', ';') ?? [];
        var isTrace = parts is [{ Length: 32 }, _, ..] && ulong.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out _);
        return isTrace
            ? string.Create(CultureInfo.InvariantCulture,
                $"00-{parts[0].ToLowerInvariant()}-{ulong.Parse(parts[1], CultureInfo.InvariantCulture):x16}-{(parts[^1] == "o=1" ? "01" : "00")}")
            : null;
    }
}
