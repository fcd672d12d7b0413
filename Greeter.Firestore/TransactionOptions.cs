namespace Greeter.Firestore;

/// <summary>The settings of a transaction.</summary>
public sealed class TransactionOptions
{
    private TransactionOptions(int maxAttempts) => MaxAttempts = maxAttempts;

    /// <summary>Gets how often the transaction's callback runs at most; at least 1.</summary>
    public int MaxAttempts { get; }

    /// <summary>Creates options that limit the number of attempts.</summary>
    /// <param name="maxAttempts">How often the callback runs at most; at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxAttempts"/> is less than 1.</exception>
    public static TransactionOptions ForMaxAttempts(int maxAttempts)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxAttempts, 1);
        return new(maxAttempts);
    }
}
