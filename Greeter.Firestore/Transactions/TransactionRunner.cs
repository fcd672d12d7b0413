using Greeter.Firestore.Transport;

namespace Greeter.Firestore.Transactions;

/// <summary>Runs one transaction: attempts, until one succeeds or <see cref="RetryPolicy"/> allows no other.</summary>
/// <param name="client">The client of the database.</param>
/// <param name="cache">The documents that this process committed last, and their locks.</param>
/// <param name="maxAttempts">The limit of attempts; none if null.</param>
/// <param name="cancellationToken">Cancels the transaction.</param>
internal sealed class TransactionRunner(
    FirestoreClient client, DocumentCache cache, int? maxAttempts, CancellationToken cancellationToken)
{
    // A transaction in another one's callback must not wait for a lock that the other one holds.
    private static readonly AsyncLocal<bool> IsInTransaction = new();

    private readonly HeldLock heldLock = new(isEnabled: !IsInTransaction.Value, cache.MaxLockWait);

    /// <summary>Runs the callback and commits, again after conflicts and transient failures.</summary>
    /// <inheritdoc cref="FirestoreDb.RunTransactionAsync{T}"/>
    public async Task<T> RunAsync<T>(Func<Attempt, Task<T>> callback)
    {
        IsInTransaction.Value = true;
        var retryPolicy = new RetryPolicy(client, heldLock, maxAttempts, cancellationToken);
        try
        {
            while (true)
            {
                var attempt = new Attempt(client, cache, heldLock, retryPolicy.NextSource, cancellationToken);
                var hasSucceeded = false;
                try
                {
                    var result = await RunCallbackAsync(callback, attempt).ConfigureAwait(false);
                    var response = await attempt.CommitAsync().ConfigureAwait(false);
                    // Without a commit, nothing confirms a cached read.
                    hasSucceeded = response is not null || !attempt.HasCachedReads;
                    if (hasSucceeded)
                    {
                        retryPolicy.AmbiguousCommits.ThrowIfPending(attempt, response);
                        return result;
                    }
                    retryPolicy.ReadAgain();
                }
                catch (Exception e) when (!hasSucceeded)
                {
                    await retryPolicy.PrepareNextAttemptAsync(attempt, e).ConfigureAwait(false);
                }
                finally
                {
                    attempt.FirestoreLock?.Release();
                }
            }
        }
        catch (OperationCanceledException e) when (retryPolicy.IsInterruptedBy(e))
        {
            throw retryPolicy.ToCancellation();
        }
        finally
        {
            heldLock.End();
        }
    }

    private static async Task<T> RunCallbackAsync<T>(Func<Attempt, Task<T>> callback, Attempt attempt)
    {
        try
        {
            return await callback(attempt).ConfigureAwait(false);
        }
        finally
        {
            attempt.End();
        }
    }
}
