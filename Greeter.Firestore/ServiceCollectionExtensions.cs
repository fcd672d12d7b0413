using Greeter.Firestore;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Puts Firestore among an app's services.</summary>
public static class FirestoreServiceCollectionExtensions
{
    /// <summary>
    /// Adds a singleton <see cref="FirestoreDb"/>, and with it, when the app starts, one line in the log that says where the
    /// documents are, one read that opens the connection before anybody waits for it, and a health check that is healthy when
    /// that read has ended, either way, or 2 seconds have passed.
    /// </summary>
    /// <param name="services">The app's services.</param>
    /// <param name="action">Sets up the builder, when the database is first needed.</param>
    /// <returns>The same services.</returns>
    public static IServiceCollection AddFirestoreDb(this IServiceCollection services, Action<FirestoreDbBuilder> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        services.AddSingleton(_ =>
        {
            var builder = new FirestoreDbBuilder();
            action(builder);
            return builder;
        });
        services.AddSingleton(provider => provider.GetRequiredService<FirestoreDbBuilder>().Build(provider));
        services.AddSingleton<FirestoreWarmUp>();
        services.AddHostedService(provider => provider.GetRequiredService<FirestoreWarmUp>());
        services.AddHealthChecks().AddCheck<FirestoreWarmUp>("firestore");
        return services;
    }
}
