using System.Text;
using Greeter.Api.Logging;
using Microsoft.Net.Http.Headers;

namespace Greeter.Api.Hosting;

/// <summary>Adds the app's services and middleware, in order. A concern of more than one line has its own file in this folder.</summary>
internal static class HostingExtensions
{
    /// <summary>Adds the services.</summary>
    /// <exception cref="SettingException">A setting is invalid.</exception>
    public static void AddHosting(this WebApplicationBuilder builder)
    {
        builder.Services.AddSettings();
        builder.AddListenAddress();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // By default, a byte above 0x7F that isn't UTF-8 in any header, such as another site's cookie, is 400.
            // Kestrel can't read a long Content-Length in another encoding than its own.
            kestrel.RequestHeaderEncodingSelector = name => name == HeaderNames.ContentLength ? null : Encoding.Latin1;
        });
        builder.RemoveDefaultForwardedHeaders();
        builder.Services.AddProxyAndHttps();
        builder.Services.AddRequestTimeout();
        FirestoreDatabase.Add(builder);
        builder.Services.AddHealth();
        builder.Services.AddShutdownTimeout();
    }

    /// <summary>Opens the database, and adds the middleware that every request passes through before the page.</summary>
    /// <exception cref="SettingException">The database can't be opened.</exception>
    public static void UseHosting(this WebApplication app)
    {
        FirestoreDatabase.Open(app.Services);
        app.UseShutdownDelay();
        app.UseRequestLogging();
        app.UseForwardedScheme();
        app.UseSecurityHeaders();
        app.UseStatusCodePages("text/plain", "Error {0}. Try GET / instead.\n");
        app.UseHostValidation();
        app.UseHstsExceptLocally();
        // Before the redirection, because the platforms' health checks use HTTP and don't follow redirects.
        app.UseHealth();
        app.UseHttpsRedirectionBehindProxy();
        app.UseRequestTimeouts();
        app.UseFailureResponses();
    }
}
