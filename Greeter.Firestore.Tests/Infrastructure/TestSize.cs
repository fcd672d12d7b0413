namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>The size of tests that repeat something many times.</summary>
internal static class TestSize
{
    /// <summary>Returns the full size in CI, and the quick one otherwise.</summary>
    public static int Select(int quick, int full) => Repository.IsOnCI ? full : quick;
}
