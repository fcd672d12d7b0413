using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Serilog;
using Serilog.Core;
using Serilog.Events;
using Serilog.Formatting;
using Serilog.Formatting.Display;

namespace Greeter.Api;

/// <summary>Where the log goes and how it looks, also when the app does not start.</summary>
internal static class Logging
{
    private static bool hasStarted;

    /// <summary>Readable lines in Development, Cloud Logging's elsewhere; session ids are cut in both.</summary>
    public static void AddLogging(this WebApplicationBuilder builder)
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
            .MinimumLevel.Override("Microsoft.AspNetCore", LogEventLevel.Warning)
            // Told in one sentence by ReportFailureToStart.
            .Filter.ByExcluding(e => e.MessageTemplate.Text is "Hosting failed to start" or "Unable to start Kestrel.")
            .WriteTo.Console(new SessionIdRedactor(formatter))
            .CreateLogger();
        builder.Logging.ClearProviders();
        builder.Logging.AddSerilog(logger, dispose: true);
        AppDomain.CurrentDomain.UnhandledException += (_, failure) => ReportFailureToStart(logger, (Exception)failure.ExceptionObject);
    }

    /// <summary>To be called when the app has started: what fails from then on keeps its stack trace.</summary>
    public static void HasStarted() => hasStarted = true;

    // One sentence and exit code 1 for what the person who starts the app can mend; a stack trace stays for what only we can.
    private static void ReportFailureToStart(Logger logger, Exception failure)
    {
        var reason = failure switch
        {
            IOException { InnerException: AddressInUseException } => $"{failure.Message} Stop what uses it, or set PORT to another port.",
            InvalidOperationException or ArgumentException or IOException or SocketException => failure.Message,
            _ => null,
        };
        if (reason is not null && !hasStarted)
        {
            logger.Fatal("Greeter does not start. {Reason:l}", reason);
            logger.Dispose();
            Environment.Exit(1);
        }
    }
}
