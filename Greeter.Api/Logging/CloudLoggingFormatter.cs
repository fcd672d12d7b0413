using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Serilog.Events;
using Serilog.Formatting;
using Serilog.Formatting.Display;

namespace Greeter.Api.Logging;

/// <summary>Writes a log event as one line of JSON, with the fields that Cloud Logging reads.</summary>
/// <remarks>https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields</remarks>
/// <param name="findProjectId">Returns the project that traces belong to. Called only for an entry with a trace.</param>
/// <param name="exportsSpans">Whether the app's own spans are exported. Otherwise, Cloud Trace knows only the caller's.</param>
internal sealed class CloudLoggingFormatter(Func<string> findProjectId, bool exportsSpans) : ITextFormatter
{
    private static readonly MessageTemplateTextFormatter Message = new("{Message:lj}", CultureInfo.InvariantCulture);
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <inheritdoc/>
    public void Format(LogEvent logEvent, TextWriter output)
    {
        var line = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(line, Options))
        {
            json.WriteStartObject();
            json.WriteString("severity", Severity(logEvent.Level));
            json.WriteString("time", logEvent.Timestamp.UtcDateTime);
            json.WriteString("message", Render(logEvent));
            if (logEvent.TraceId is { } traceId)
            {
                WriteTrace(json, $"projects/{findProjectId()}/traces/{traceId}", logEvent.SpanId);
            }
            if (logEvent.Exception is { } exception)
            {
                // Error Reporting groups errors by this field.
                json.WriteString("stack_trace", exception.ToString());
            }
            json.WriteEndObject();
        }
        output.WriteLine(Encoding.UTF8.GetString(line.WrittenSpan));
    }

    private void WriteTrace(Utf8JsonWriter json, string trace, ActivitySpanId? spanId)
    {
        var request = Activity.Current;
        var span = !exportsSpans && request is not null && request.ParentSpanId != default ? request.ParentSpanId : spanId;
        json.WriteString("logging.googleapis.com/trace", trace);
        json.WriteString("logging.googleapis.com/spanId", span?.ToString());
        json.WriteBoolean("logging.googleapis.com/trace_sampled", request?.Recorded == true);
    }

    private static string Render(LogEvent logEvent)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        Message.Format(logEvent, text);
        return text.ToString();
    }

    private static string Severity(LogEventLevel level) => level switch
    {
        LogEventLevel.Verbose or LogEventLevel.Debug => "DEBUG",
        LogEventLevel.Information => "INFO",
        LogEventLevel.Warning => "WARNING",
        LogEventLevel.Error => "ERROR",
        _ => "CRITICAL",
    };
}
