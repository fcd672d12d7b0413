namespace Greeter.Api.Hosting;

/// <summary>Connects the app to its Firestore database.</summary>
internal static class FirestoreDatabase
{
    /// <summary>Adds a <see cref="FirestoreDb"/> for the emulator if <c>FIRESTORE_EMULATOR_HOST</c> is set, otherwise for Cloud
    /// Firestore. In Development, if no project and no endpoint is set either, the documents are in a file.</summary>
    public static void AddFirestoreDatabase(this IServiceCollection services, IConfiguration configuration) =>
        services.AddFirestoreDb(firestore =>
        {
            firestore.EmulatorDetection = EmulatorDetection.EmulatorOrProduction;
            firestore.ProjectId = configuration["GOOGLE_CLOUD_PROJECT"];
            firestore.DatabaseId = configuration["Firestore:DatabaseId"];
            firestore.Endpoint = configuration["Firestore:Endpoint"];
        });
}
