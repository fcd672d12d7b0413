using System.Globalization;
using Microsoft.Extensions.Configuration.CommandLine;

namespace Greeter.Api.Hosting;

/// <summary>Chooses the address that the app listens on.</summary>
internal static class ListenAddress
{
    /// <summary>Configures the app to listen on <c>PORT</c>, on all interfaces, as the platforms require.</summary>
    /// <remarks><c>--urls</c> overrides <c>PORT</c>, and <c>PORT</c> overrides <c>ASPNETCORE_URLS</c>. The default is main.py's
    /// port, 8080, on localhost.</remarks>
    /// <exception cref="InvalidOperationException"><c>PORT</c> is not a port number.</exception>
    public static void AddListenAddress(this WebApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        var port = configuration["PORT"];
        if (HasUrlsArgument(configuration))
        {
            return;
        }
        if (!string.IsNullOrEmpty(port))
        {
            if (!ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out _))
            {
                throw new InvalidOperationException($"PORT is '{port}'. Set it to a number from 0 to 65535.");
            }
            builder.WebHost.UseUrls($"http://*:{port}");
        }
        else if (configuration["urls"] is null && configuration["http_ports"] is null)
        {
            builder.WebHost.UseUrls("http://localhost:8080");
        }
    }

    // The setting "urls" may also come from ASPNETCORE_URLS, so look at the source.
    private static bool HasUrlsArgument(IConfigurationRoot configuration) =>
        configuration.Providers.OfType<CommandLineConfigurationProvider>().Any(arguments => arguments.TryGet("urls", out _));
}
