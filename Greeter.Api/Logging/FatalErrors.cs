using System.Net.Sockets;
using System.Reflection;
using Greeter.Api.Hosting;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;
using Serilog;
using Serilog.Core;

namespace Greeter.Api.Logging;

/// <summary>Logs the exception that ends the process.</summary>
internal static class FatalErrors
{
    /// <summary>From now on, writes an exception that nothing catches as one entry to the log, and ends the process with exit code
    /// 1.</summary>
    /// <param name="args">The app's arguments, which may name the environment.</param>
    public static void LogUnhandledExceptions(string[] args)
    {
        // A test that starts the app in its own process sees the exception itself.
        if (Assembly.GetEntryAssembly() == typeof(Program).Assembly)
        {
            AppDomain.CurrentDomain.UnhandledException += (_, e) => LogAndExit((Exception)e.ExceptionObject, args);
        }
    }

    private static void LogAndExit(Exception exception, string[] args)
    {
        // There may be no host yet.
        if (Log.Logger == Logger.None)
        {
            Log.Logger = new LoggerConfiguration()
                .WriteToConsole(IsDevelopment(args), new CloudLoggingFormatter(() => "", exportsSpans: false)).CreateLogger();
        }
        if (Explain(exception) is { } reason)
        {
            Log.Fatal("Greeter can't start. {Reason}", reason);
        }
        else
        {
            Log.Fatal(exception, "Greeter ends because of an unexpected error. The stack trace shows where it happened.");
        }
        Log.CloseAndFlush();
        Environment.Exit(1);
    }

    /// <summary>Returns what happened and what to do, or null for an exception that no setting causes: a bug needs its stack
    /// trace.</summary>
    private static string? Explain(Exception exception) => exception switch
    {
        SettingException => exception.Message,
        OptionsValidationException { Failures: var failures } => string.Join(' ', failures),
        IOException { InnerException: AddressInUseException } =>
            $"{exception.Message} Stop the process that uses the port, or set PORT (or --urls) to another one.",
        SocketException { SocketErrorCode: SocketError.AccessDenied } =>
            "The app isn't allowed to listen on its port. Set PORT (or --urls) to a number from 1024 to 65535.",
        _ => null,
    };

    // Before there is a builder, which knows it.
    private static bool IsDevelopment(string[] args)
    {
        const string Argument = "--environment=";
        string?[] names =
        [
            Array.Find(args, arg => arg.StartsWith(Argument, StringComparison.OrdinalIgnoreCase))?[Argument.Length..],
            Environment.GetEnvironmentVariable("ASPNETCORE_ENVIRONMENT"),
            Environment.GetEnvironmentVariable("DOTNET_ENVIRONMENT"),
        ];
        return names.Where(name => !string.IsNullOrEmpty(name)).Distinct(StringComparer.OrdinalIgnoreCase).ToList() is [var only]
            && only!.Equals(Environments.Development, StringComparison.OrdinalIgnoreCase);
    }
}
