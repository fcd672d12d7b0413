namespace Greeter.Testing;

/// <summary>The folder with Greeter.slnx in which this was built, a git checkout or not.</summary>
public static class Repository
{
    private static readonly string[] NotSource = [".git", "bin", "obj", ".firestore", "TestResults"];

    public static string Root { get; } = FindRoot();

    /// <summary>Gets whether the tests run in CI, where some of them take longer, and the app is also built as the platforms do.</summary>
    public static bool IsOnCI { get; } = Environment.GetEnvironmentVariable("CI") is { Length: > 0 };

    /// <summary>Copies the named files, paths from the root, and nothing else.</summary>
    public static void Copy(IEnumerable<string> files, string target)
    {
        foreach (var file in files)
        {
            var copy = Path.Combine(target, file);
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(Path.Combine(Root, file), copy);
        }
    }

    /// <summary>Lists the source files, as paths from the root.</summary>
    public static IEnumerable<string> Sources() => Directory.EnumerateFiles(Root, "*", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(Root, file))
        .Where(file => !file.Split(Path.DirectorySeparatorChar).Intersect(NotSource).Any());

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Greeter.slnx")))
        {
            folder = folder.Parent;
        }
        return folder?.FullName ?? throw new InvalidOperationException("There is no Greeter.slnx above this program.");
    }
}
