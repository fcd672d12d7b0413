using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Configuration.CommandLine;

namespace Greeter.Api.Hosting;

/// <summary>Chooses the addresses that the app listens on.</summary>
internal static class ListenAddress
{
    /// <summary>Listens on the addresses in <c>--urls</c>, or else on <c>PORT</c>, on all interfaces, as the platforms require; or else on
    /// <c>ASPNETCORE_URLS</c> or <c>ASPNETCORE_HTTP_PORTS</c>. The default is main.py's port, 8080, on localhost.</summary>
    /// <exception cref="SettingException">Kestrel can't listen on an address, or would listen on another one.</exception>
    public static void AddListenAddress(this WebApplicationBuilder builder)
    {
        var (setting, advice, addresses) = Find(builder.Configuration);
        if (builder.Configuration.GetSection("Kestrel:Endpoints").Exists())
        {
            throw new SettingException("Unset Kestrel__Endpoints, and set PORT, --urls, or ASPNETCORE_URLS instead.");
        }
        if (!addresses.All(IsValid))
        {
            throw new SettingException($"Set {setting} to {advice}.");
        }
        builder.WebHost.UseUrls(addresses);
        // .NET's images set this. The host would warn about it at each start.
        builder.WebHost.UseSetting(WebHostDefaults.HttpPortsKey, "");
        builder.WebHost.UseSetting(WebHostDefaults.HttpsPortsKey, "");
    }

    private static (string Setting, string Advice, string[] Addresses) Find(IConfigurationRoot configuration)
    {
        const string Addresses = "http:// addresses of this machine without a path, such as http://localhost:8080 or http://*:8080";
        const string Port = "a number from 0 to 65535";
        var urls = Split(configuration[WebHostDefaults.ServerUrlsKey]);
        // The setting may also come from ASPNETCORE_URLS, so look at the source.
        var isArgument = configuration.Providers.OfType<CommandLineConfigurationProvider>()
            .Any(arguments => arguments.TryGet(WebHostDefaults.ServerUrlsKey, out _));
        if (urls.Length > 0 && isArgument)
        {
            return ("--urls", Addresses, urls);
        }
        if (configuration["PORT"] is { } port && !string.IsNullOrWhiteSpace(port))
        {
            return ("PORT", Port, [$"http://*:{port}"]);
        }
        if (urls.Length > 0)
        {
            return (FindName(configuration, WebHostDefaults.ServerUrlsKey), Addresses, urls);
        }
        if (Split(configuration[WebHostDefaults.HttpsPortsKey]).Length > 0)
        {
            var name = FindName(configuration, WebHostDefaults.HttpsPortsKey);
            throw new SettingException($"Unset {name}. The app serves HTTP; a proxy in front of it serves HTTPS.");
        }
        var ports = Split(configuration[WebHostDefaults.HttpPortsKey]);
        return ports.Length > 0
            ? (FindName(configuration, WebHostDefaults.HttpPortsKey), Port, Array.ConvertAll(ports, each => $"http://*:{each}"))
            : ("PORT", Port, ["http://localhost:8080"]);
    }

    // The variable that a setting of the host comes from.
    private static string FindName(IConfiguration configuration, string key) =>
        Array.Find(["DOTNET_" + key, "ASPNETCORE_" + key, key], name => configuration[name] == configuration[key])!.ToUpperInvariant();

    private static string[] Split(string? text) =>
        text?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    // Kestrel takes every host that it doesn't know for all interfaces, and a port that isn't a number for 80.
    private static bool IsValid(string text)
    {
        BindingAddress address;
        try
        {
            address = BindingAddress.Parse(text);
        }
        catch (FormatException)
        {
            return false;
        }
        return address.Scheme == Uri.UriSchemeHttp
            && address.PathBase.Length == 0
            && address.Port is >= 0 and <= ushort.MaxValue
            // The usual addresses need no socket, which would make the start longer.
            && (address.Host is "*" or "+" or "127.0.0.1"
                || (IPAddress.TryParse(address.Host, out var ip) && IsOfThisMachine(ip))
                || (address.Host.IsLocalhost() && address.Port > 0));
    }

    private static bool IsOfThisMachine(IPAddress address)
    {
        try
        {
            using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(address, 0));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
