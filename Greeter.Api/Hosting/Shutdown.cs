namespace Greeter.Api.Hosting;

/// <summary>Ends the app without losing a request.</summary>
internal static class Shutdown
{
    // For the last response, which may take a second more than the request timeout, and for closing the connections.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    /// <summary>Waits a moment before Kestrel stops, so that requests in flight are answered.</summary>
    /// <remarks>Kestrel resets the connections that it has yet to accept, and a platform still sends requests for a moment after
    /// SIGTERM. With the defaults, delay, request timeout and grace make 9 of the 10 seconds that Cloud Run gives.</remarks>
    public static void AddShutdownDelay(this IServiceCollection services, Settings settings)
    {
        services.AddHostedService<Delay>();
        services.Configure<HostOptions>(options =>
            options.ShutdownTimeout = settings.ShutdownDelay + settings.RequestTimeout + Grace);
    }

    private sealed class Delay(Settings settings) : IHostedLifecycleService
    {
        // Runs before the web server stops.
        public Task StoppingAsync(CancellationToken cancellationToken) => Task.Delay(settings.ShutdownDelay, cancellationToken);

        public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
