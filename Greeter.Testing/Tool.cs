using Xunit;
using Xunit.v3;

namespace Greeter.Testing;

/// <summary>The programs that tests and benchmarks need.</summary>
public static class Tool
{
    /// <summary>Skips the running test if a tool is missing.</summary>
    /// <param name="missing">What to install; null if the tool is there.</param>
    /// <exception cref="InvalidOperationException">The tool is missing. For xunit, this skips the test.</exception>
    public static void SkipTestIf(string? missing)
    {
        if (missing is not null)
        {
            // dotnet test prints a warning, but not the reason of a skipped test.
            TestContext.Current.AddWarning(missing);
            throw new InvalidOperationException(DynamicSkipToken.Value + missing);
        }
    }

    public static bool IsOnPath(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, name)) || File.Exists(Path.Combine(folder, $"{name}.cmd")));
}
