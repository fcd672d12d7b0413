namespace Greeter.Tests.Infrastructure;

/// <summary>The improvements of Greeter.Firestore over Google's client, as reasons to skip their tests on Google's client.</summary>
public static class Improvement
{
    public const string Advice =
        Prefix + "advice about invalid settings and credentials, and the project of a service account's key.";
    public const string CallCounts = Prefix + "one call for each view.";
    public const string Contention = Prefix + "concurrent requests of one session.";
    public const string EmbeddedStore = Prefix + "the embedded store.";
    public const string RequestTimeout = Prefix + "the request timeout of a read that hangs or is retried in a transaction.";

    private const string Prefix = "Tests an improvement of Greeter.Firestore: ";

    /// <summary>Gets whether the app is built on Greeter.Firestore, not on Google's client.</summary>
    public static bool IsPresent { get; } = typeof(FirestoreDb).Namespace == "Greeter.Firestore";
}
