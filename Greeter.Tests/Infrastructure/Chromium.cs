namespace Greeter.Tests.Infrastructure;

/// <summary>A test that needs Debian's Chromium, or another one on the path.</summary>
public sealed class ChromiumFactAttribute : FactAttribute
{
    internal const string MissingReason = "Chromium is missing: install it, for instance with apt-get install chromium.";

    public ChromiumFactAttribute() => Skip = Executable is null ? MissingReason : null;

    public static string? Executable { get; } = new[] { "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome" }.FirstOrDefault(File.Exists);
}

/// <summary>A theory that needs it.</summary>
public sealed class ChromiumTheoryAttribute : TheoryAttribute
{
    public ChromiumTheoryAttribute() => Skip = ChromiumFactAttribute.Executable is null ? ChromiumFactAttribute.MissingReason : null;
}
