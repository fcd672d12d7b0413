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
    /// <summary>Logs to the console, and sends telemetry if an endpoint for it is set.</summary>
    public static void AddLogging(this WebApplicationBuilder builder)
    {
        var isDevelopment = builder.Environment.IsDevelopment();
        var hasTelemetry = builder.HasTelemetry();
        builder.Logging.ClearProviders();
        builder.Services.AddSerilog(
            (services, logger) => logger.WriteToConsole(
                isDevelopment, new CloudLoggingFormatter(() => services.GetRequiredService<FirestoreDb>().ProjectId, hasTelemetry)),
            writeToProviders: true);
        if (!isDevelopment)
        {
            builder.Services.AddSingleton<DistributedContextPropagator, CloudTracePropagator>();
        }
        if (hasTelemetry)
        {
            builder.AddTelemetry();
        }
    }

    /// <summary>Writes to the console: readable lines in Development, otherwise JSON for Cloud Logging.</summary>
    public static LoggerConfiguration WriteToConsole(
        this LoggerConfiguration logger, bool isDevelopment, CloudLoggingFormatter cloudFormatter)
    {
        ITextFormatter formatter = isDevelopment
            ? new MessageTemplateTextFormatter(
                "[{Timestamp:HH:mm:ss} {Level:u3}] {Message:lj}{NewLine}{Exception}", CultureInfo.InvariantCulture)
            : cloudFormatter;
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
        if (!app.Environment.IsDevelopment())
        {
            return;
        }
        app.UseSerilogRequestLogging(options =>
        {
            options.MessageTemplate = "{RequestMethod} {RequestPath} responded {StatusCode} in {Elapsed:0.0} ms";
            // A failure has an entry of its own. An exception here means that the client has disconnected.
            options.GetLevel = (_, _, exception) => exception is null ? LogEventLevel.Information : LogEventLevel.Verbose;
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
