namespace Greeter.Testing;

/// <summary>A command that runs to its end.</summary>
public static class Command
{
    // Variables of dotnet test, or of the person who runs it, would change what the commands do.
    private static readonly string[] NotInherited = ["MSBUILD", "VSTEST", "GOOGLE_", "ASPNETCORE_", "FIRESTORE_", "CLOUDSDK_"];

    /// <summary>Runs a command.</summary>
    /// <returns>Its standard output.</returns>
    /// <exception cref="InvalidOperationException">It failed; the message is all that it wrote.</exception>
    /// <exception cref="OperationCanceledException">It took more than five minutes.</exception>
    public static async Task<string> RunAsync(
        string folder, string command, IEnumerable<string> arguments, params IEnumerable<(string Key, string Value)> environment)
    {
        // An MSBuild node that stays for the next build would keep the command's output open.
        // Profiling the code, which makes a server faster later, makes a short command slower.
        (string, string)[] own = [("MSBUILDDISABLENODEREUSE", "1"), ("DOTNET_TieredPGO", "0"), .. environment];
        await using var process = ChildProcess.Start([command, .. arguments], own, folder, IsInherited);
        return await process.WaitForExitAsync(TimeSpan.FromMinutes(5)) == 0
            ? string.Join('\n', process.StandardOutput)
            : throw new InvalidOperationException($"{command} {string.Join(' ', arguments)}:\n{process.Text}");
    }

    private static bool IsInherited(string name) =>
        !NotInherited.Any(prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase));
}
