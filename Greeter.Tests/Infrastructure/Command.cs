using System.Diagnostics;

namespace Greeter.Tests.Infrastructure;

/// <summary>A command that runs to its end.</summary>
internal static class Command
{
    // What dotnet test, or the person who runs it, has set would reach the builds in here.
    private static readonly string[] NotInherited = ["MSBUILD", "VSTEST", "GOOGLE_", "ASPNETCORE_", "FIRESTORE_", "CLOUDSDK_"];

    /// <summary>Its standard output.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message is all that it wrote.</exception>
    /// <exception cref="OperationCanceledException">It took more than five minutes.</exception>
    public static async Task<string> RunAsync(
        string folder, string command, IEnumerable<string> arguments, params IEnumerable<(string Key, string Value)> environment)
    {
        using var process = Process.Start(CreateStart(folder, command, arguments, environment))!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
        return process.ExitCode == 0
            ? await output
            : throw new InvalidOperationException($"{command} {string.Join(' ', arguments)}:\n{await output}\n{await errors}");
    }

    private static ProcessStartInfo CreateStart(
        string folder, string command, IEnumerable<string> arguments, IEnumerable<(string Key, string Value)> environment)
    {
        var start = new ProcessStartInfo(command, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(IsNotInherited).ToList())
        {
            start.Environment.Remove(name);
        }
        // A compiler that stays for the next build would outlive the test, and hold its output open.
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["UseSharedCompilation"] = "false";
        foreach (var (key, value) in environment)
        {
            start.Environment[key] = value;
        }
        return start;
    }

    private static bool IsNotInherited(string name) =>
        NotInherited.Any(prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase));
}
