using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Greeter.Api.Hosting;

/// <summary>Answers the health checks of the platforms.</summary>
internal static class Health
{
    /// <summary>Adds the warm-up and the readiness check.</summary>
    public static void AddHealth(this IServiceCollection services)
    {
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<WarmUp>();
        services.AddHostedService(provider => provider.GetRequiredService<WarmUp>());
        services.AddHealthChecks().AddCheck<Readiness>("readiness");
    }

    /// <summary>Answers <c>/health/live</c> with 200 while the process lives, and <c>/health/ready</c> with 200 while the app can
    /// serve visitors.</summary>
    /// <remarks>Neither calls Firestore: if Firestore is down, a new instance doesn't help.</remarks>
    public static void UseHealth(this WebApplication app) => app.UseWhen(
        context => HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method),
        probes => probes
            // Runs no check, so the response is always 200.
            .UseHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false })
            .UseHealthChecks("/health/ready"));

    private sealed class Readiness(WarmUp warmUp, IHostApplicationLifetime lifetime) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            var isReady = warmUp.HasEnded && !lifetime.ApplicationStopping.IsCancellationRequested;
            return Task.FromResult(isReady ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy());
        }
    }
}
