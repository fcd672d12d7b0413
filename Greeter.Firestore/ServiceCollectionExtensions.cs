using Greeter.Firestore;
using Microsoft.Extensions.Logging;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Puts Firestore among an app's services.</summary>
public static partial class FirestoreServiceCollectionExtensions
{
    /// <summary>Adds a singleton <see cref="FirestoreDb"/>, which logs where its documents are when it is built.</summary>
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
        services.AddSingleton(provider =>
        {
            var builder = provider.GetRequiredService<FirestoreDbBuilder>();
            var database = builder.Build(provider);
            LogLocation(provider.GetRequiredService<ILogger<FirestoreDb>>(), builder.Location);
            return database;
        });
        return services;
    }

    [LoggerMessage(LogLevel.Information, "Documents are in {Location}")]
    private static partial void LogLocation(ILogger logger, string location);
}
