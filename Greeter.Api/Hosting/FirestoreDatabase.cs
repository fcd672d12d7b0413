namespace Greeter.Api.Hosting;

/// <summary>What the documents are in.</summary>
internal enum DatabaseKind
{
    Cloud,
    Emulator,
    Embedded,
}

/// <summary>Chooses the database: the emulator, Cloud Firestore, or the embedded store.</summary>
/// <param name="Kind">What the documents are in.</param>
/// <param name="Server">The server of the database, for the log.</param>
/// <param name="Advice">What to do if the database can't be opened, in addition to the client's advice.</param>
internal sealed partial record FirestoreDatabase(DatabaseKind Kind, string Server, string Advice = "")
{
    private const string EmulatorVariable = "FIRESTORE_EMULATOR_HOST";
    private const string ProjectVariable = "GOOGLE_CLOUD_PROJECT";

    /// <summary>Adds a <see cref="FirestoreDb"/> for the emulator if <c>FIRESTORE_EMULATOR_HOST</c> is set, otherwise for Cloud
    /// Firestore. In Development, if no project and no endpoint is set either, the documents are in a file.</summary>
    /// <exception cref="SettingException">There can't be such a project or database.</exception>
    public static void Add(WebApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        var emulatorHost = configuration[EmulatorVariable];
        var projectId = configuration[ProjectVariable];
        var databaseId = configuration["Firestore:DatabaseId"];
        var endpoint = configuration["Firestore:Endpoint"];
        CheckProjectId(projectId?.Trim() ?? "");
        CheckDatabaseId(databaseId?.Trim() ?? "");

        string? server = null;
        if (builder.Environment.IsDevelopment() && IsNotSet(emulatorHost) && IsNotSet(projectId) && IsNotSet(endpoint))
        {
            AddEmbeddedStore(builder, databaseId, ref server);
        }
        if (server is not null)
        {
            builder.Services.AddSingleton(new FirestoreDatabase(DatabaseKind.Embedded, server));
            return;
        }
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
        builder.Services.AddSingleton(IsNotSet(emulatorHost)
            ? new FirestoreDatabase(DatabaseKind.Cloud, "Cloud Firestore", AdviceForCloud(builder, projectId, endpoint))
            : new FirestoreDatabase(DatabaseKind.Emulator, $"the Firestore emulator at {emulatorHost}"));
    }

    /// <summary>Opens the database.</summary>
    /// <exception cref="SettingException">The client found no credentials, or a setting or the embedded store's folder is
    /// invalid.</exception>
    public static void Open(IServiceProvider services)
    {
        try
        {
            services.GetRequiredService<FirestoreDb>();
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            throw new SettingException($"{e.Message} {services.GetRequiredService<FirestoreDatabase>().Advice}".Trim());
        }
    }

    private static string AdviceForCloud(WebApplicationBuilder builder, string? projectId, string? endpoint) =>
        (builder.Environment.IsDevelopment(), IsNotSet(projectId), IsNotSet(endpoint)) switch
        {
            (true, false, true) => $"Or unset {ProjectVariable} to use the embedded store.",
            (true, true, false) => "Or unset Firestore__Endpoint to use the embedded store.",
            (true, false, false) => $"Or unset {ProjectVariable} and Firestore__Endpoint to use the embedded store.",
            (false, true, true) => "On your machine, set ASPNETCORE_ENVIRONMENT=Development to use the embedded store instead.",
            (false, _, false) => "Check Firestore__Endpoint, too.",
            _ => "",
        };

    // Firestore and the emulator answer such an ID with a status that doesn't say what is wrong.
    private static void CheckProjectId(string projectId)
    {
        // Google Workspace domains have projects such as example.com:my-project.
        var id = projectId[(projectId.IndexOf(':', StringComparison.Ordinal) + 1)..];
        if (projectId.Length > 0 && (!IsId(id) || projectId.Any(c => !IsIdCharacter(c) && c is not ('.' or ':'))))
        {
            throw new SettingException(
                $"Set {ProjectVariable} to a project's ID, which has lowercase letters, digits, and hyphens only, such as my-project-1.");
        }
    }

    // https://cloud.google.com/firestore/docs/manage-databases#database_id
    private static void CheckDatabaseId(string databaseId)
    {
        if (databaseId is not ("" or "(default)")
            && (!IsId(databaseId) || databaseId.Length is < 4 or > 63 || !char.IsAsciiLetterLower(databaseId[0])))
        {
            throw new SettingException("Set Firestore__DatabaseId to a database's ID, which has 4 to 63 lowercase letters, digits, and "
                + "hyphens and begins with a letter, or unset it to use the database (default).");
        }
    }

    private static bool IsId(string id) => id.Length > 0 && id.All(IsIdCharacter) && id[0] != '-' && id[^1] != '-';

    private static bool IsIdCharacter(char c) => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-';

    private static bool IsNotSet(string? value) => string.IsNullOrWhiteSpace(value);

    // Google's client has no embedded store. Without an implementation, the compiler removes the call.
    static partial void AddEmbeddedStore(WebApplicationBuilder builder, string? databaseId, ref string? server);
}
