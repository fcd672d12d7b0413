using Greeter.Firestore;
using Greeter.Firestore.Transport;
using Microsoft.Extensions.Logging;

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
    /// <remarks>
    /// <para>Unlike Google's client, this one reads <c>FIRESTORE_EMULATOR_HOST</c> from the host's configuration, if it has one;
    /// before its first call, it logs where the documents are; and it closes its connections with the service provider.</para>
    /// <para>In the environment Development, it keeps the documents in this process and in a file if
    /// <see cref="EmulatorDetection.EmulatorOrProduction"/> is set, but neither an emulator nor
    /// <see cref="FirestoreDbBuilder.ProjectId"/> nor <see cref="FirestoreDbBuilder.Endpoint"/>. The file is in the folder
    /// <c>.firestore</c> below the content root; the setting <c>Firestore:EmbeddedFolder</c> names another one.</para>
    /// </remarks>
    /// <param name="services">The app's services.</param>
    /// <param name="action">Sets the builder's properties, when the database is first resolved.</param>
    /// <returns>The same services.</returns>
    public static IServiceCollection AddFirestoreDb(
        this IServiceCollection services, Action<IServiceProvider, FirestoreDbBuilder> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        services.AddSingleton(provider =>
        {
            var builder = new FirestoreDbBuilder();
            action(provider, builder);
            var connection = builder.Connect(provider);
            if (provider.GetService<ILogger<FirestoreDb>>() is { } logger)
            {
                connection.LogLocationOnFirstCall(logger);
            }
            return connection;
        });
        return services.AddSingleton(provider => provider.GetRequiredService<FirestoreConnection>().Database);
    }
}
