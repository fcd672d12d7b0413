using Greeter.Firestore.Embedded;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Extension methods that add the embedded store to an app's services.</summary>
public static class EmbeddedFirestoreServiceCollectionExtensions
{
    /// <summary>Adds a singleton <see cref="Greeter.Firestore.FirestoreDb"/> whose documents are in a file, for development.</summary>
    /// <remarks>Its project is <c>embedded</c>. The file is opened when the database is first resolved, and closed with the service
    /// provider.</remarks>
    /// <param name="services">The app's services.</param>
    /// <param name="folder">The folder of the file. It is created if it is missing.</param>
    /// <param name="databaseId">The ID of the database; <c>(default)</c> if null.</param>
    /// <returns>The same services.</returns>
    public static IServiceCollection AddEmbeddedFirestoreDb(
        this IServiceCollection services, string folder, string? databaseId = null) => services.AddFirestoreDb(
            provider => ("embedded", databaseId ?? "(default)",
                EmbeddedFirestore.Open(folder, provider.GetService<TimeProvider>() ?? TimeProvider.System)));
}
