using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Greeter.Api.Hosting;

/// <summary>Explains why the app can't start.</summary>
internal static class StartupFailure
{
    /// <summary>Returns what happened and what to do, or null for an exception that no setting causes: a bug needs its stack
    /// trace.</summary>
    public static string? Explain(Exception exception) => exception switch
    {
        IOException { InnerException: AddressInUseException } =>
            $"{exception.Message} Stop the process that uses the port, or set PORT (or --urls) to another one.",
        SocketException { SocketErrorCode: SocketError.AccessDenied } =>
            "The app isn't allowed to listen on its port. Set PORT to a number from 1024 to 65535.",
        // Kestrel, on an address in --urls or ASPNETCORE_URLS.
        FormatException => $"{exception.Message}. An address looks like http://localhost:8080.",
        InvalidOperationException or ArgumentException or IOException or SocketException => exception.Message,
        _ => null,
    };
}
