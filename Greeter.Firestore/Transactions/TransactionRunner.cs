using System.Runtime.ExceptionServices;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transactions;

/// <summary>Runs one transaction: its callback and its commit, again after conflicts and transient failures.</summary>
internal sealed class TransactionRunner(
    FirestoreDb database, FirestoreClient client, DocumentCache cache, TransactionOptions? options, CancellationToken cancellationToken)
{
    /// <summary>After so many failures in a row on unchanged documents, no competitor is to blame.</summary>
    private const int MaxUnchangedAttempts = 2;

    // In milliseconds. A failed precondition means that a competitor has just succeeded.
    private static readonly (int, int) PauseAfterFailedPrecondition = (1, 16);
    private static readonly (int, int) PauseAfterAborted = (50, 250);

    // A transaction in another one's callback must not wait for a lock that the other one holds.
    private static readonly AsyncLocal<bool> IsInTransaction = new();

    private readonly DocumentLock documentLock = new(isEnabled: !IsInTransaction.Value);
    private readonly Backoff backoff = client.CreateBackoff(cancellationToken);
    private IReadOnlyList<DocumentSnapshot> failedReads = [];
    private int unchangedAttempts;
    private bool wasExhausted;

    /// <inheritdoc cref="FirestoreDb.RunTransactionAsync{T}"/>
    public async Task<T> RunAsync<T>(Func<Transaction, Task<T>> callback)
    {
        IsInTransaction.Value = true;
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                var isLast = attempt == options?.MaxAttempts;
                var canStartFromCache = attempt == 1 && !isLast;
                var transaction = new Transaction(database, cache, documentLock, canStartFromCache, cancellationToken);
                var (isCommitted, result) = await TryAsync(transaction, callback, isLast);
                if (isCommitted)
                {
                    return result!;
                }
            }
        }
        catch (OperationCanceledException e) when (backoff.IsInterruptedBy(e))
        {
            throw backoff.ToCancellation();
        }
        finally
        {
            documentLock.End();
        }
    }

    /// <summary>Runs the callback and commits.</summary>
    /// <returns>Whether the transaction is committed, and the callback's result. If it isn't committed, it must run again.</returns>
    private async Task<(bool IsCommitted, T? Result)> TryAsync<T>(
        Transaction transaction, Func<Transaction, Task<T>> callback, bool isLast)
    {
        T result;
        List<Write> commit;
        try
        {
            result = await callback(transaction);
            commit = transaction.End();
        }
        catch (Exception) when (transaction.HasCachedReads && !cancellationToken.IsCancellationRequested)
        {
            // A stale document may be the reason.
            return default;
        }
        await LockAsync(transaction);
        if (commit.Count == 0)
        {
            // No commit confirms a cached read.
            return (!transaction.HasCachedReads, result);
        }
        try
        {
            await CommitAsync(transaction, commit);
            return (true, result);
        }
        catch (RpcException e)
        {
            await RecoverAsync(e, transaction, commit, isLast);
            return default;
        }
    }

    private async Task CommitAsync(Transaction transaction, List<Write> commit)
    {
        CommitResponse response;
        try
        {
            ThrowIfConflictIsCertain(transaction);
            response = await database.CommitAsync(commit, cancellationToken);
        }
        catch
        {
            commit.ForEach(write => cache.Drop(write.Name()));
            throw;
        }
        UpdateCache(transaction, response);
        documentLock.ReleaseAfterCommit();
    }

    /// <summary>Takes the lock of a document that the transaction read and wrote, if it holds none yet; documents that it only read stop
    /// being lockable.</summary>
    private async Task LockAsync(Transaction transaction)
    {
        foreach (var path in transaction.Reads.Select(read => read.Reference.Path))
        {
            var isWritten = transaction.Writes.Any(write => write.Name() == path);
            if ((isWritten ? cache.GetOrAdd(path) : cache.Find(path)) is { } entry)
            {
                entry.IsLockable = isWritten;
                if (isWritten)
                {
                    await documentLock.AcquireAsync(entry, cancellationToken);
                }
                else
                {
                    documentLock.Release(entry);
                }
            }
        }
    }

    /// <summary>Saves a call that is certain to fail, because this process has changed a document after the transaction read it.</summary>
    private void ThrowIfConflictIsCertain(Transaction transaction)
    {
        foreach (var read in transaction.Reads)
        {
            if (cache.Find(read.Reference.Path)?.UpdateTime is { } updateTime && updateTime > read.ReadTime.ToProto())
            {
                throw new RpcException(new Status(StatusCode.FailedPrecondition, $"'{read.Reference.Path}' changed after it was read."));
            }
        }
    }

    /// <summary>Caches the final state of each document that was written and of which all fields are known.</summary>
    private void UpdateCache(Transaction transaction, CommitResponse response)
    {
        if (transaction.HasCachedReads)
        {
            cache.HitRate.Record(isHit: true);
            ClientMetrics.CacheHits.Add(1);
        }
        foreach (var writes in transaction.Writes.Zip(response.WriteResults).GroupBy(pair => pair.First.Name()))
        {
            var read = transaction.Reads.FirstOrDefault(read => read.Reference.Path == writes.Key);
            var isKnown = read is not null || Preconditions.IsCreation(writes.First().First);
            var document = writes.Aggregate(read?.Document, (current, pair) => pair.First.ApplyTo(current, pair.Second.UpdateTime));
            if (isKnown && document is not null)
            {
                cache.Store(document, response.CommitTime);
            }
            else
            {
                cache.Drop(writes.Key);
            }
        }
    }

    /// <summary>Prepares another attempt after a failed commit.</summary>
    /// <exception cref="RpcException">There is no other attempt.</exception>
    private async Task RecoverAsync(RpcException e, Transaction transaction, List<Write> commit, bool isLast)
    {
        if (IsConflict(e, transaction))
        {
            RecordConflict(transaction);
            var conflict = e.StatusCode == StatusCode.Aborted ? e : new RpcException(
                new Status(StatusCode.Aborted, $"The transaction conflicted with another one. {e.Status.Detail}", e));
            await PauseAsync(conflict, e.StatusCode == StatusCode.Aborted ? PauseAfterAborted : PauseAfterFailedPrecondition, isLast);
        }
        else if (IsTransient(e, commit))
        {
            // The others needn't wait as well.
            documentLock.Release();
            await PauseAsync(e, Backoff.AfterTransientFailure, isLast);
        }
        else if (!transaction.HasCachedReads || MayArriveLate(e))
        {
            ExceptionDispatchInfo.Throw(e);
        }
    }

    private Task PauseAsync(RpcException failure, (int, int) range, bool isLast) =>
        isLast ? throw failure : backoff.PauseAsync(failure, range);

    private bool IsConflict(RpcException e, Transaction transaction) => e.StatusCode switch
    {
        StatusCode.Aborted => true,
        StatusCode.FailedPrecondition or StatusCode.AlreadyExists or StatusCode.NotFound =>
            transaction.Reads.Count > 0 && MayHaveCompetitor(transaction),
        _ => false,
    };

    /// <summary>Returns whether another transaction may be the reason for a failed precondition: not if the same versions of the same
    /// documents failed before, twice.</summary>
    private bool MayHaveCompetitor(Transaction transaction)
    {
        var isUnchanged = transaction.Reads.All(read => failedReads.Any(failed =>
            failed.Reference.Equals(read.Reference) && Equals(failed.Document?.UpdateTime, read.Document?.UpdateTime)));
        unchangedAttempts = isUnchanged ? unchangedAttempts + 1 : 0;
        failedReads = transaction.Reads;
        return unchangedAttempts < MaxUnchangedAttempts;
    }

    private bool IsTransient(RpcException e, List<Write> commit)
    {
        if (e.StatusCode == StatusCode.ResourceExhausted)
        {
            // Often a quota for the day, or the commit itself is too large.
            var isWorthARetry = !wasExhausted && commit.Sum(write => write.CalculateSize()) < GrpcFrame.MaxMessageSize;
            wasExhausted = true;
            return isWorthARetry;
        }
        // A first commit that arrives late must not overwrite what the second one, or anybody after it, has written.
        return MayArriveLate(e) && Preconditions.ProtectLateCommit(commit);
    }

    private static bool MayArriveLate(RpcException e) => e.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded;

    private void RecordConflict(Transaction transaction)
    {
        ClientMetrics.Conflicts.Add(1);
        if (transaction.HasCachedReads)
        {
            cache.HitRate.Record(isHit: false);
            ClientMetrics.CacheStaleHits.Add(1);
        }
        foreach (var read in transaction.Reads)
        {
            cache.Find(read.Reference.Path)?.RecordConflict();
        }
    }
}
