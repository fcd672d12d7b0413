namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>The size of tests that repeat something many times.</summary>
internal static class TestSize
{
    private static readonly bool IsFull = Environment.GetEnvironmentVariable("CI") is "true" or "1";

    /// <summary>Returns the full number of repetitions if the environment variable CI is true, and the quick one otherwise.</summary>
    public static int Select(int quick, int full) => IsFull ? full : quick;
}
