using Greeter.Api.Logging;

namespace Greeter.Api.Hosting;

/// <summary>Adds the app's services and middleware, in order. A concern of more than one line has its own file in this folder.</summary>
internal static class HostingExtensions
{
    /// <summary>Adds the services.</summary>
    /// <exception cref="InvalidOperationException">A setting is invalid. The message says what to do.</exception>
    public static void AddHosting(this WebApplicationBuilder builder)
    {
        var settings = new Settings(builder.Configuration, builder.Environment);
        builder.Services.AddSingleton(settings);
        builder.AddListenAddress();
        builder.RemoveServerHeader();
        builder.Services.AddProxyAndHttps();
        builder.Services.AddRequestTimeout(settings);
        FirestoreDatabase.Add(builder);
        builder.Services.AddHealth();
        builder.Services.AddShutdownDelay(settings);
    }

    /// <summary>Sets the project of the log's traces, and adds the middleware that every request passes through before the page.</summary>
    public static void UseHosting(this WebApplication app)
    {
        app.SetTraceProject();
        app.UseForwardedScheme();
        app.UseSecurityHeaders();
        app.UseStatusCodePages("text/plain", "Error {0}. Try GET / instead.\n");
        app.UseHostValidation();
        app.UseHsts();
        // Before the redirection, because the platforms' health checks use HTTP and don't follow redirects.
        app.UseHealth();
        app.UseHttpsRedirectionBehindProxy();
        app.UseRequestTimeouts();
        app.UseFailureResponses();
    }
}
