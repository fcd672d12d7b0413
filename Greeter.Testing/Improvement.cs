using Xunit;

namespace Greeter.Testing;

/// <summary>The improvements of Greeter.Firestore over Google's client. Their tests are skipped on Google's client.</summary>
public static class Improvement
{
    public const string Advice = "advice about invalid settings and credentials, and the project of a service account's key";
    public const string CallCounts = "one call for each view";
    public const string Contention = "concurrent requests of one session";
    public const string EmbeddedStore = "the embedded store";
    public const string RequestTimeout = "the request timeout of a read that hangs or is retried in a transaction";

    /// <summary>Gets whether the app is built on Google's client.</summary>
    public static bool IsMissing =>
#if OFFICIAL_PACKAGES
        true;
#else
        false;
#endif

    /// <summary>Returns why the test of an improvement is skipped, or null if it runs.</summary>
    public static string? SkipReason(string? improvement) =>
        IsMissing && improvement is not null ? $"Tests an improvement of Greeter.Firestore: {improvement}." : null;
}

/// <summary>Marks a test of an improvement.</summary>
public sealed class ImprovementFactAttribute : FactAttribute
{
    public ImprovementFactAttribute(string improvement) => Skip = Improvement.SkipReason(improvement);
}

/// <summary>Marks a theory about an improvement.</summary>
public sealed class ImprovementTheoryAttribute : TheoryAttribute
{
    public ImprovementTheoryAttribute(string improvement) => Skip = Improvement.SkipReason(improvement);
}
