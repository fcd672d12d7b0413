using Microsoft.Extensions.Options;

namespace Greeter.Api.Hosting;

/// <summary>Stops the app so that requests in flight are answered.</summary>
internal static class Shutdown
{
    // A response may take a second more than the request timeout. Then the connections must close.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    /// <summary>Sets the time after which the host no longer waits for requests in flight.</summary>
    /// <remarks>With the defaults, delay, request timeout, and grace add up to 9 seconds. Cloud Run allows 10.</remarks>
    public static void AddShutdownTimeout(this IServiceCollection services) =>
        services.AddOptions<HostOptions>().Configure<IOptions<Settings>>((host, settings) =>
            host.ShutdownTimeout = settings.Value.ShutdownDelay + settings.Value.RequestTimeout + Grace);

    /// <summary>Waits between SIGTERM and the moment when Kestrel stops.</summary>
    /// <remarks>A platform still sends requests for a moment after SIGTERM, and when Kestrel stops, it resets connections that it
    /// has not accepted yet.</remarks>
    public static void UseShutdownDelay(this WebApplication app)
    {
        var delay = app.Services.GetRequiredService<IOptions<Settings>>().Value.ShutdownDelay;
        // The host stops Kestrel when this has returned.
        app.Lifetime.ApplicationStopping.Register(() => Thread.Sleep(delay));
    }
}
