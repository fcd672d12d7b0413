using Greeter.Firestore;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Extension methods that add Firestore to an app's services.</summary>
public static class ServiceCollectionExtensions
{
    /// <inheritdoc cref="AddFirestoreDb(IServiceCollection, Action{IServiceProvider, FirestoreDbBuilder})"/>
    public static IServiceCollection AddFirestoreDb(this IServiceCollection services, Action<FirestoreDbBuilder> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        return services.AddFirestoreDb((_, builder) => action(builder));
    }

    /// <summary>Adds a singleton <see cref="FirestoreDb"/>.</summary>
    /// <remarks>Unlike Google's client, this one closes its connections with the service provider.</remarks>
    /// <param name="services">The app's services.</param>
    /// <param name="action">Sets the builder's properties, when the database is first resolved.</param>
    public static IServiceCollection AddFirestoreDb(
        this IServiceCollection services, Action<IServiceProvider, FirestoreDbBuilder> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        return services.AddFirestoreDb(provider =>
        {
            var builder = new FirestoreDbBuilder();
            action(provider, builder);
            return builder.Connect();
        });
    }

    // The API is disposed of with the service provider.
    internal static IServiceCollection AddFirestoreDb(
        this IServiceCollection services, Func<IServiceProvider, (string ProjectId, string DatabaseId, IFirestoreApi Api)> connect)
    {
        services.AddSingleton(provider => new Connection(connect(provider)));
        return services.AddSingleton(provider => provider.GetRequiredService<Connection>().Database);
    }

    // FirestoreDb isn't disposable, because Google's isn't.
    private sealed class Connection((string ProjectId, string DatabaseId, IFirestoreApi Api) target) : IDisposable
    {
        public FirestoreDb Database { get; } = new(target.ProjectId, target.DatabaseId, target.Api);

        public void Dispose() => target.Api.Dispose();
    }
}
