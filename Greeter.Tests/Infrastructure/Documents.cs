namespace Greeter.Tests.Infrastructure;

/// <summary>Environment variables that tell an app in a process of its own where its documents are.</summary>
internal static class Documents
{
    /// <summary>Returns the variables for the embedded store.</summary>
    public static (string, string)[] InFolder(TemporaryFolder folder) =>
        [("DOTNET_ENVIRONMENT", "Development"), ("Firestore__EmbeddedFolder", folder.Path)];

    /// <summary>Returns the variables for the emulator.</summary>
    public static async Task<(string, string)[]> OnEmulatorAsync(string? projectId = null) =>
    [
        ("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host),
        ("GOOGLE_CLOUD_PROJECT", projectId ?? Emulator.NewProject()),
    ];

    /// <summary>Returns the variables for Development, where the documents are on the emulator if the client has no embedded
    /// store.</summary>
    public static async Task<(string, string)[]> InDevelopmentAsync(TemporaryFolder folder) =>
        Improvement.IsPresent ? InFolder(folder) : [("DOTNET_ENVIRONMENT", "Development"), .. await OnEmulatorAsync()];
}
