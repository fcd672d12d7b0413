using System.Diagnostics;

namespace Greeter.Bench;

/// <summary>Ends the run; the message says why, and what to do.</summary>
internal sealed class BenchException(string message) : Exception(message);

/// <summary>Tells what is going on.</summary>
internal static class Say
{
    private static readonly Stopwatch Clock = Stopwatch.StartNew();

    public static void Line(string text) => Console.WriteLine($"{Clock.Elapsed:mm\\:ss} {text}");
}

/// <summary>Where things are, and whether they are there.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>The published app.</summary>
    public static string App { get; } = Path.Combine(Root, "bench", "bin", "app");

    /// <summary>What a run writes; emptied by the next.</summary>
    public static string Work { get; } = Path.Combine(Root, "bench", "bin", "work");

    /// <exception cref="BenchException">A tool is missing, or this is no Release build.</exception>
    public static void Check()
    {
#if DEBUG
        throw new BenchException("The limits must be built as the app ships: dotnet run -c Release --project bench");
#else
        var hasEmulator = Environment.GetEnvironmentVariable("FIRESTORE_EMULATOR_HOST") is { Length: > 0 };
        (string Name, string Advice)[] tools =
        [
            ("wrk", "install wrk (Debian: apt-get install wrk)"),
            ("setsid", "install util-linux"),
            .. hasEmulator ? [] : new[]
            {
                ("gcloud", "install the gcloud CLI and its component cloud-firestore-emulator"),
                ("java", "install Java 11 or later, which the emulator runs on"),
            },
        ];
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        var missing = tools.Where(tool => !folders.Any(folder => File.Exists(Path.Combine(folder, tool.Name)))).ToList();
        if (missing.Count > 0)
        {
            throw new BenchException(string.Join('\n', missing.Select(tool => $"{tool.Name} is missing: {tool.Advice}")));
        }
#endif
    }

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Greeter.slnx")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new BenchException("Greeter.slnx is in no folder above this.");
        }
        return folder;
    }
}
