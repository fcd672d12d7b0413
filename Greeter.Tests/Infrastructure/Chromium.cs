namespace Greeter.Tests.Infrastructure;

/// <summary>Marks a test that needs Chromium or Chrome, and tests an improvement if it is given.</summary>
public sealed class ChromiumFactAttribute : FactAttribute
{
    internal const string MissingReason = "Chromium is missing. Install it, for instance with apt-get install chromium.";

    public ChromiumFactAttribute(string? improvement = null) =>
        Skip = Improvement.SkipReason(improvement) ?? (Executable is null ? MissingReason : null);

    public static string? Executable { get; } =
        Array.Find(["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"], File.Exists);
}

/// <summary>Marks a theory that needs Chromium or Chrome.</summary>
public sealed class ChromiumTheoryAttribute : TheoryAttribute
{
    public ChromiumTheoryAttribute() =>
        Skip = ChromiumFactAttribute.Executable is null ? ChromiumFactAttribute.MissingReason : null;
}
