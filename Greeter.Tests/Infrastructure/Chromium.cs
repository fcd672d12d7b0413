namespace Greeter.Tests.Infrastructure;

/// <summary>Marks a test that needs Chromium or Chrome, and tests an improvement if it is given.</summary>
public sealed class ChromiumFactAttribute : FactAttribute
{
    public ChromiumFactAttribute(string? improvement = null) => Skip = Improvement.SkipReason(improvement) ?? MissingReason;

    public static string? Executable { get; } =
        Array.Find(["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"], File.Exists);

    /// <summary>Gets what to install if there is no browser; null if there is one, and in CI.</summary>
    internal static string? MissingReason { get; } = Repository.IsOnCI || Executable is not null
        ? null
        : "Chromium is missing. Install it, for instance with apt-get install chromium.";
}

/// <summary>Marks a theory that needs Chromium or Chrome.</summary>
public sealed class ChromiumTheoryAttribute : TheoryAttribute
{
    public ChromiumTheoryAttribute() => Skip = ChromiumFactAttribute.MissingReason;
}
