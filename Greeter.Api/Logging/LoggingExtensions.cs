using System.Diagnostics;
using System.Globalization;
using Serilog;
using Serilog.Core;
using Serilog.Extensions.Logging;
using Serilog.Formatting;
using Serilog.Formatting.Display;

namespace Greeter.Api.Logging;

/// <summary>Configures logging.</summary>
internal static class LoggingExtensions
{
    /// <summary>Logs to the console: readable lines in Development, otherwise JSON for Cloud Logging.</summary>
    /// <returns>The logger, for a failure to start.</returns>
    public static Logger AddLogging(this WebApplicationBuilder builder)
    {
        ITextFormatter formatter = new MessageTemplateTextFormatter(
            "[{Timestamp:HH:mm:ss} {Level:u3}] {Message:lj}{NewLine}{Exception}", CultureInfo.InvariantCulture);
        if (!builder.Environment.IsDevelopment())
        {
            formatter = new CloudLoggingFormatter();
            builder.Services.AddSingleton((CloudLoggingFormatter)formatter);
            builder.Services.AddSingleton<DistributedContextPropagator, CloudTracePropagator>();
        }
        var logger = new LoggerConfiguration()
            // Program.cs logs these failures in one line.
            .Filter.ByExcluding(e => e.MessageTemplate.Text is "Hosting failed to start" or "Unable to start Kestrel.")
            .WriteTo.Console(new SessionIdRedactor(formatter))
            .CreateLogger();
        builder.Logging.ClearProviders();
        builder.Logging.AddSerilog(logger);
        builder.Logging.AddFilter<SerilogLoggerProvider>("Microsoft.AspNetCore", LogLevel.Warning);
        // A health check that gets 503 is not an error. It happens whenever an instance starts or stops.
        builder.Logging.AddFilter<SerilogLoggerProvider>("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.Critical);
        return logger;
    }

    /// <summary>Sets the project that the traces in the log belong to.</summary>
    public static void SetTraceProject(this WebApplication app)
    {
        if (app.Services.GetService<CloudLoggingFormatter>() is { } formatter)
        {
            formatter.ProjectId = app.Services.GetRequiredService<FirestoreDb>().ProjectId;
        }
    }
}
