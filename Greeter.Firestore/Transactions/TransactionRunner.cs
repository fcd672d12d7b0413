namespace Greeter.Firestore.Transactions;

/// <summary>Runs one transaction: attempts, until one succeeds or <see cref="RetryPolicy"/> allows no other.</summary>
internal sealed class TransactionRunner(
    FirestoreClient client, DocumentCache cache, int? maxAttempts, CancellationToken cancellationToken)
{
    // A transaction in another one's callback must not wait for a lock that the other one holds.
    private static readonly AsyncLocal<bool> IsInTransaction = new();

    private readonly HeldLock heldLock = new(isEnabled: !IsInTransaction.Value, cache.MaxLockWait, client.Time);

    /// <summary>Runs the callback and commits, again after conflicts and transient failures.</summary>
    /// <inheritdoc cref="FirestoreDb.RunTransactionAsync{T}"/>
    public async Task<T> RunAsync<T>(Func<Attempt, Task<T>> callback)
    {
        IsInTransaction.Value = true;
        var backoff = new Backoff(client.Time, cancellationToken);
        var retryPolicy = new RetryPolicy(client, backoff, heldLock, maxAttempts, cancellationToken);
        var outcome = "failed";
        try
        {
            var result = await backoff.RunAsync(() => RunAttemptsAsync(callback, retryPolicy)).ConfigureAwait(false);
            outcome = "committed";
            return result;
        }
        catch (OperationCanceledException)
        {
            outcome = "cancelled";
            throw;
        }
        finally
        {
            heldLock.End();
            ClientMetrics.Transactions.Add(1, new KeyValuePair<string, object?>("outcome", outcome));
        }
    }

    private async Task<T> RunAttemptsAsync<T>(Func<Attempt, Task<T>> callback, RetryPolicy retryPolicy)
    {
        while (true)
        {
            var attempt = new Attempt(client, cache, heldLock, retryPolicy.NextSource, cancellationToken);
            T result;
            CommitResponse? response;
            try
            {
                result = await callback(attempt).ConfigureAwait(false);
                response = await attempt.CommitAsync().ConfigureAwait(false);
            }
            catch (Exception e)
            {
                attempt.Abandon();
                await retryPolicy.PrepareNextAttemptAsync(attempt, e).ConfigureAwait(false);
                continue;
            }
            // Without a commit, nothing confirms a cached read.
            if (response is not null || !attempt.HasCachedReads)
            {
                retryPolicy.AmbiguousCommits.ThrowIfPending(attempt, response);
                return result;
            }
            retryPolicy.CountAttempt();
        }
    }
}
