using System.Diagnostics;
using System.Globalization;
using Serilog;
using Serilog.Events;
using Serilog.Formatting;
using Serilog.Formatting.Display;

namespace Greeter.Api.Logging;

/// <summary>Configures logging.</summary>
internal static class LoggingExtensions
{
    /// <summary>Logs to the console, and sends telemetry if <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set.</summary>
    public static void AddLogging(this WebApplicationBuilder builder)
    {
        var isDevelopment = builder.Environment.IsDevelopment();
        builder.Logging.ClearProviders();
        builder.Services.AddSerilog(
            (services, logger) => Configure(logger, isDevelopment, () => services.GetRequiredService<FirestoreDb>().ProjectId),
            writeToProviders: true);
        if (!isDevelopment)
        {
            builder.Services.AddSingleton<DistributedContextPropagator, CloudTracePropagator>();
        }
    }

    /// <summary>Configures a logger that writes to the console: readable lines in Development, otherwise JSON for Cloud
    /// Logging.</summary>
    /// <param name="logger">The configuration.</param>
    /// <param name="isDevelopment">Whether the environment is Development.</param>
    /// <param name="findProjectId">Returns the project that traces belong to.</param>
    public static LoggerConfiguration Configure(LoggerConfiguration logger, bool isDevelopment, Func<string>? findProjectId = null)
    {
        ITextFormatter formatter = isDevelopment
            ? new MessageTemplateTextFormatter(
                "[{Timestamp:HH:mm:ss} {Level:u3}] {Message:lj}{NewLine}{Exception}", CultureInfo.InvariantCulture)
            : new CloudLoggingFormatter(findProjectId);
        return logger
            .MinimumLevel.Override("Microsoft.AspNetCore", LogEventLevel.Warning)
            // A health check that gets 503 is not an error. It happens whenever an instance starts or stops.
            .MinimumLevel.Override("Microsoft.Extensions.Diagnostics.HealthChecks", LogEventLevel.Fatal)
            // FatalErrors logs these failures in one line.
            .Filter.ByExcluding(e => e.MessageTemplate.Text is "Hosting failed to start" or "Unable to start Kestrel.")
            .WriteTo.Console(new SessionIdRedactor(formatter));
    }

    /// <summary>In Development, logs each request in one line. Platforms log requests themselves.</summary>
    public static void UseRequestLogging(this WebApplication app)
    {
        if (app.Environment.IsDevelopment())
        {
            app.UseSerilogRequestLogging(options =>
            {
                options.MessageTemplate = "{RequestMethod} {RequestPath} responded {StatusCode} in {Elapsed:0.0} ms";
                // A failure has an entry of its own.
                options.GetLevel = (_, _, _) => LogEventLevel.Information;
                options.GetMessageTemplateProperties = (context, _, elapsed, status) =>
                [
                    new("RequestMethod", new ScalarValue(context.Request.Method)),
                    // Encoded, so that a path can't look like another entry.
                    new("RequestPath", new ScalarValue(SessionIdRedactor.Redact(context.Request.Path.ToUriComponent()))),
                    new("StatusCode", new ScalarValue(status)),
                    new("Elapsed", new ScalarValue(elapsed)),
                ];
            });
        }
    }
}
