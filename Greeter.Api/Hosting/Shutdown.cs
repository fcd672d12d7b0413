namespace Greeter.Api.Hosting;

/// <summary>Stops the app so that requests in flight are answered.</summary>
internal static class Shutdown
{
    // A response may take a second more than the request timeout. Then the connections must close.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    /// <summary>Adds a delay between SIGTERM and the moment when Kestrel stops.</summary>
    /// <remarks>A platform still sends requests for a moment after SIGTERM, and when Kestrel stops, it resets connections that it
    /// has not accepted yet. With the defaults, delay, request timeout, and grace add up to 9 seconds. Cloud Run allows
    /// 10.</remarks>
    public static void AddShutdownDelay(this IServiceCollection services, Settings settings)
    {
        services.AddHostedService<Delay>();
        services.Configure<HostOptions>(options =>
            options.ShutdownTimeout = settings.ShutdownDelay + settings.RequestTimeout + Grace);
    }

    private sealed class Delay(Settings settings, TimeProvider time) : IHostedLifecycleService
    {
        // The host waits for this before it stops Kestrel.
        public Task StoppingAsync(CancellationToken cancellationToken) =>
            Task.Delay(settings.ShutdownDelay, time, cancellationToken);

        public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
