using Greeter.Api.Logging;

namespace Greeter.Api.Hosting;

/// <summary>Lists what the app does around its one page, in order. Each concern has its own file in this folder.</summary>
internal static class HostingExtensions
{
    /// <summary>Adds the services of every concern.</summary>
    /// <exception cref="InvalidOperationException">A setting is invalid. The message says what to do.</exception>
    public static void AddHosting(this WebApplicationBuilder builder)
    {
        var settings = new Settings(builder.Configuration, builder.Environment);
        builder.Services.AddSingleton(settings);
        builder.AddListenAddress();
        builder.AddSecurityHeaders();
        builder.Services.AddProxyAndHttps();
        builder.Services.AddRequestTimeout(settings);
        builder.Services.AddFirestore(builder.Configuration);
        builder.Services.AddHealth();
        builder.Services.AddShutdownDelay(settings);
    }

    /// <summary>Adds the middleware that every request passes through before it reaches the page.</summary>
    public static void UseHosting(this WebApplication app)
    {
        app.UseTraceProject();
        app.UseForwardedScheme();
        app.UseSecurityHeaders();
        app.UseErrorPages();
        app.UseHostValidation();
        app.UseHsts();
        app.UseHealth();
        app.UseHttpsRedirectionBehindProxy();
        app.UseRequestTimeouts();
        app.UseFailureResponses();
    }
}
