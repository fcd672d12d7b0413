using System.Runtime.ExceptionServices;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transactions;

/// <summary>Runs one transaction: its callback and its commit, again after conflicts and transient failures.</summary>
internal sealed class TransactionRunner(
    FirestoreDb database, FirestoreClient client, DocumentCache cache, TransactionOptions? options, CancellationToken cancellationToken)
{
    /// <summary>The number of repeated attempts on unchanged documents after which a failure isn't a conflict.</summary>
    private const int MaxUnchangedAttempts = 2;

    /// <summary>The size in bytes above which a server may refuse a message: gRPC's default limit.</summary>
    private const int MaxCommitSize = 4 << 20;

    // In milliseconds: the first and the longest pause. In another instance's time slice, an attempt hardly ever succeeds. After it,
    // short pauses let the transaction that has waited longest go first.
    private static readonly (int, int) PauseInTimeSlice = (CachedDocument.LongestPause, CachedDocument.LongestPause);
    private static readonly (int, int) PauseAfterTimeSlice = (2, 2);
    private static readonly (int, int) PauseAfterAborted = (50, 250);
    private static readonly (int, int) NoPause = (0, 0);

    // A transaction in another one's callback must not wait for a lock that the other one holds.
    private static readonly AsyncLocal<bool> IsInTransaction = new();

    private readonly DocumentLock documentLock = new(isEnabled: !IsInTransaction.Value, cache.MaxLockWait);
    private readonly Backoff backoff = client.CreateBackoff(cancellationToken);
    private IReadOnlyList<DocumentSnapshot> failedReads = [];
    private int unchangedAttempts;
    private int conflicts;
    private bool wasExhausted;

    /// <inheritdoc cref="FirestoreDb.RunTransactionAsync{T}"/>
    public async Task<T> RunAsync<T>(Func<Transaction, Task<T>> callback)
    {
        IsInTransaction.Value = true;
        Task<T>? result = null;
        try
        {
            var attempt = 1;
            while (!await RunAttemptAsync(transaction => result = callback(transaction), attempt))
            {
                attempt++;
            }
            return await result!;
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

    /// <summary>Makes one attempt: runs the callback and commits.</summary>
    /// <returns>Whether the transaction has succeeded. If not, it must run again.</returns>
    private async Task<bool> RunAttemptAsync(Func<Transaction, Task> callback, int attempt)
    {
        var isLast = attempt == options?.MaxAttempts;
        var canStartFromCache = attempt == 1 && !isLast;
        var transaction = new Transaction(database, cache, documentLock, canStartFromCache, cancellationToken);
        List<Write> commit;
        try
        {
            await callback(transaction);
            commit = transaction.End();
        }
        catch (Exception) when (transaction.HasCachedReads && !cancellationToken.IsCancellationRequested)
        {
            // A stale document may be the reason.
            return false;
        }
        await UpdateLockAsync(transaction);
        if (commit.Count == 0)
        {
            // No commit confirms a cached read.
            return !transaction.HasCachedReads;
        }
        if (IsConflictCertain(transaction))
        {
            // If the server's clock was set back, the cached document only looks newer. It must not cause a conflict again.
            cache.Drop(transaction.Reads.Select(read => read.Reference.Path));
            // The next attempt needn't wait: it holds the lock that the other transaction has released.
            await PauseAsync(Conflict("A document has changed."), NoPause, isLast);
            return false;
        }
        try
        {
            UpdateCache(transaction, await client.CommitAsync(commit, cancellationToken));
            return true;
        }
        catch (Exception e)
        {
            cache.Drop(commit.Select(write => write.Name()));
            if (e is not RpcException failure)
            {
                throw;
            }
            await PrepareRetryAsync(failure, transaction, commit, isLast);
            return false;
        }
    }

    /// <summary>Takes the lock of a document that the transaction read and wrote, if it holds none yet; documents that it only read stop
    /// being lockable.</summary>
    private ValueTask UpdateLockAsync(Transaction transaction)
    {
        CachedDocument? firstWritten = null;
        foreach (var read in transaction.Reads)
        {
            var path = read.Reference.Path;
            if (transaction.Writes.Any(write => write.Name() == path))
            {
                var written = cache.GetOrAdd(path);
                written.IsLockable = true;
                firstWritten ??= written;
            }
            else if (cache.Find(path) is { } onlyRead)
            {
                onlyRead.IsLockable = false;
                documentLock.Release(onlyRead);
            }
        }
        return firstWritten is null ? ValueTask.CompletedTask : documentLock.AcquireAsync(firstWritten, cancellationToken);
    }

    /// <summary>Returns whether the commit can only fail, because this process has changed a document after the transaction read
    /// it.</summary>
    private bool IsConflictCertain(Transaction transaction) =>
        transaction.Reads.Any(
            read => cache.Find(read.Reference.Path)?.UpdateTime is { } updateTime && updateTime > read.ReadTime);

    /// <summary>Caches the final state of each document that was written and of which all fields are known.</summary>
    private void UpdateCache(Transaction transaction, CommitResponse response)
    {
        if (transaction.HasCachedReads)
        {
            cache.HitRate.Record(isHit: true);
            ClientMetrics.CacheHits.Add(1);
        }
        var documents = transaction.Reads.ToDictionary(read => read.Reference.Path, read => read.Document);
        for (var i = 0; i < transaction.Writes.Count; i++)
        {
            var write = transaction.Writes[i];
            var path = write.Name();
            if (documents.TryGetValue(path, out var current) || Preconditions.IsCreation(write))
            {
                documents[path] = write.ApplyTo(current, response.WriteResults[i].UpdateTime);
            }
        }
        foreach (var path in transaction.Writes.Select(write => write.Name()).Distinct())
        {
            // Without its update time, a cached document would have no precondition.
            if (documents.GetValueOrDefault(path) is { UpdateTime: not null } document && response.CommitTime is { } commitTime)
            {
                cache.Store(document, Timestamp.FromProto(commitTime));
            }
            else
            {
                cache.Drop(path);
            }
        }
    }

    /// <summary>Prepares another attempt after a failed commit.</summary>
    /// <exception cref="RpcException">There is no other attempt.</exception>
    private async Task PrepareRetryAsync(RpcException e, Transaction transaction, List<Write> commit, bool isLast)
    {
        if (IsConflict(e, transaction))
        {
            RecordConflict(transaction);
            var conflict = e.StatusCode == StatusCode.Aborted ? e : Conflict(e.Status.Detail, e);
            await PauseAsync(conflict, NextPause(e.StatusCode), isLast);
        }
        else if (IsTransient(e, commit))
        {
            wasExhausted |= e.StatusCode == StatusCode.ResourceExhausted;
            // Lets the queue continue during the pause.
            documentLock.Release();
            await PauseAsync(e, Backoff.AfterTransientFailure, isLast);
        }
        else if (!transaction.HasCachedReads || !CanFollow(e, commit))
        {
            ExceptionDispatchInfo.Throw(e);
        }
    }

    private (int, int) NextPause(StatusCode conflict)
    {
        if (conflict == StatusCode.Aborted)
        {
            return PauseAfterAborted;
        }
        return ++conflicts <= CachedDocument.PausesInTimeSlice ? PauseInTimeSlice : PauseAfterTimeSlice;
    }

    private Task PauseAsync(RpcException failure, (int, int) range, bool isLast)
    {
        if (isLast)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
        return backoff.PauseAsync(failure, range);
    }

    private bool IsConflict(RpcException e, Transaction transaction) => e.StatusCode switch
    {
        StatusCode.Aborted => true,
        StatusCode.FailedPrecondition or StatusCode.AlreadyExists or StatusCode.NotFound =>
            transaction.Reads.Count > 0 && CountUnchangedAttempts(transaction) < MaxUnchangedAttempts,
        _ => false,
    };

    /// <summary>Counts the attempts in a row that read the same versions of the same documents as the one before.</summary>
    private int CountUnchangedAttempts(Transaction transaction)
    {
        var isUnchanged = transaction.Reads.All(read => failedReads.Any(failed =>
            failed.Reference.Equals(read.Reference) && Equals(failed.Document?.UpdateTime, read.Document?.UpdateTime)));
        unchangedAttempts = isUnchanged ? unchangedAttempts + 1 : 0;
        failedReads = transaction.Reads;
        return unchangedAttempts;
    }

    private static RpcException Conflict(string reason, Exception? cause = null) =>
        new(new Status(StatusCode.Aborted, $"The transaction conflicted with another one. {reason}", cause));

    private bool IsTransient(RpcException e, List<Write> commit) => CanFollow(e, commit) && e.StatusCode switch
    {
        StatusCode.Unavailable or StatusCode.DeadlineExceeded => true,
        // The cause is often a daily quota, or the size of the commit. A retry fixes neither.
        StatusCode.ResourceExhausted => !wasExhausted && commit.Sum(write => write.CalculateSize()) < MaxCommitSize,
        _ => false,
    };

    /// <summary>Returns whether another commit can follow a failed one. If the failed one arrives late, it must not overwrite the writes
    /// of the next one or of a later client.</summary>
    private static bool CanFollow(RpcException e, List<Write> commit) => !MayArriveLate(e) || Preconditions.ProtectLateCommit(commit);

    // After these statuses, Firestore may still apply the commit. An inner exception means that the connection failed, so that the
    // status isn't Firestore's.
    private static bool MayArriveLate(RpcException e) => e.InnerException is not null || e.StatusCode is StatusCode.Unavailable
        or StatusCode.DeadlineExceeded or StatusCode.Internal or StatusCode.Unknown or StatusCode.Cancelled;

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
