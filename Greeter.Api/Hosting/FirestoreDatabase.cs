namespace Greeter.Api.Hosting;

/// <summary>Chooses the database: the emulator, Cloud Firestore, or the embedded store.</summary>
/// <param name="Server">The server of the database, for the log.</param>
internal sealed partial record FirestoreDatabase(string Server)
{
    private const string EmulatorVariable = "FIRESTORE_EMULATOR_HOST";

    /// <summary>Adds a <see cref="FirestoreDb"/> for the emulator if <c>FIRESTORE_EMULATOR_HOST</c> is set, otherwise for Cloud
    /// Firestore. In Development, if no project and no endpoint is set either, the documents are in a file.</summary>
    public static void Add(WebApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        var emulatorHost = configuration[EmulatorVariable];
        var projectId = configuration["GOOGLE_CLOUD_PROJECT"];
        var databaseId = configuration["Firestore:DatabaseId"];
        var endpoint = configuration["Firestore:Endpoint"];

        string? server = null;
        if (builder.Environment.IsDevelopment() && IsNotSet(emulatorHost) && IsNotSet(projectId) && IsNotSet(endpoint))
        {
            AddEmbeddedStore(builder, databaseId, ref server);
        }
        if (server is null)
        {
            server = IsNotSet(emulatorHost) ? "Cloud Firestore" : $"the Firestore emulator at {emulatorHost}";
            builder.Services.AddFirestoreDb(firestore =>
            {
                firestore.ProjectId = projectId;
                firestore.DatabaseId = databaseId;
                firestore.Endpoint = endpoint;
                if (!IsNotSet(emulatorHost))
                {
                    // The client reads the variable from the environment only. It can also be in another source of settings.
                    Environment.SetEnvironmentVariable(EmulatorVariable, emulatorHost);
                    firestore.EmulatorDetection = EmulatorDetection.EmulatorOnly;
                }
            });
        }
        builder.Services.AddSingleton(new FirestoreDatabase(server));
    }

    private static bool IsNotSet(string? value) => string.IsNullOrWhiteSpace(value);

    // Google's client has no embedded store. Without an implementation, the compiler removes the call.
    static partial void AddEmbeddedStore(WebApplicationBuilder builder, string? databaseId, ref string? server);
}
