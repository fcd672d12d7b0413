namespace Greeter.Firestore.Transactions;

/// <summary>Decides what follows a failed attempt of one transaction: another attempt, or the failure.</summary>
internal sealed class RetryPolicy(
    FirestoreClient client, Backoff backoff, HeldLock heldLock, int? maxAttempts, CancellationToken cancellationToken)
{
    /// <summary>The size in bytes above which a server may refuse a message: gRPC's default limit.</summary>
    private const int MaxCommitSize = 4 << 20;

    // In milliseconds: the first and the longest pause.
    private static readonly (int, int) AfterConflict = (12, 12);
    private static readonly (int, int) AfterAborted = (50, 250);

    private int attempts;
    private IReadOnlyDictionary<string, BatchGetDocumentsResponse>? requiredReads;
    private int unchangedAttempts;
    private bool wasExhausted;
    private TimeSlice? sliceWithoutLock;

    private enum FailureKind
    {
        Final,      // The failure goes to the caller.
        Stale,      // The reason may be a stale document from the cache, if not a conflict: fresh reads show it.
        Conflict,   // Another client has changed a document.
        Transient,  // Firestore couldn't process the commit now.
    }

    /// <summary>Gets where the next attempt reads from.</summary>
    /// <remarks>The cache, in the first attempt only. If it is the only one, nothing could follow a stale document.</remarks>
    public ReadSource NextSource { get; private set; } = maxAttempts == 1 ? ReadSource.Firestore : ReadSource.Cache;

    /// <summary>Gets the failed commits that may still be applied.</summary>
    public AmbiguousCommits AmbiguousCommits { get; } = new();

    private bool IsLast => attempts == maxAttempts;

    /// <summary>Counts an attempt. Those that follow don't read from the cache.</summary>
    public void CountAttempt()
    {
        attempts++;
        NextSource = ReadSource.Firestore;
    }

    /// <summary>Waits before the next attempt.</summary>
    /// <exception cref="Exception">There is no other attempt: the failure, or an earlier one that left it open whether a commit is
    /// applied.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async Task PrepareNextAttemptAsync(Attempt attempt, Exception failure)
    {
        var kind = attempt.Commit is null
            ? await ClassifyCallbackFailureAsync(attempt).ConfigureAwait(false)
            : ClassifyCommitFailure(attempt, attempt.Commit, failure as RpcException);
        if (attempt.Commit is not null && failure is RpcException e && MayArriveLate(e))
        {
            AmbiguousCommits.Add(e, attempt);
        }
        CountAttempt();
        switch (kind)
        {
            case FailureKind.Final:
                Throw(attempt, failure);
                break;
            case FailureKind.Conflict:
                RecordConflict(attempt);
                var conflict = await CreateConflictAsync(attempt, failure).ConfigureAwait(false);
                var range = failure is RpcException { StatusCode: StatusCode.Aborted } ? AfterAborted : AfterConflict;
                await PauseAsync(attempt, conflict, range).ConfigureAwait(false);
                break;
            case FailureKind.Transient:
                // Lets the queue continue during the pause.
                heldLock.Release();
                await PauseAsync(attempt, (RpcException)failure, Backoff.AfterTransientFailure).ConfigureAwait(false);
                break;
        }
    }

    private async Task<FailureKind> ClassifyCallbackFailureAsync(Attempt attempt)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return FailureKind.Final;
        }
        if (attempt.HasCachedReads)
        {
            return FailureKind.Stale;
        }
        // Firestore aborts a read that waits for another transaction's lock, and the client doesn't retry it.
        var isLockTaken = attempt.FirestoreLock?.HasFailed == true;
        // Without locks, the callback may have seen versions that don't belong together.
        var mayBeMixed = attempt.FirestoreLock?.TransactionId is null && attempt.Reads.Count > 1;
        return isLockTaken || (mayBeMixed && await attempt.HaveReadsChangedAsync().ConfigureAwait(false))
            ? FailureKind.Conflict
            : FailureKind.Final;
    }

    private FailureKind ClassifyCommitFailure(Attempt attempt, List<Write> commit, RpcException? e)
    {
        if (e is null)
        {
            return FailureKind.Final;
        }
        if (IsConflict(attempt, commit, e.StatusCode))
        {
            return FailureKind.Conflict;
        }
        // If the failed commit arrives late, it must not overwrite the writes of the next one or of a later client.
        if (MayArriveLate(e) && !Preconditions.RejectLateCommit(commit))
        {
            return FailureKind.Final;
        }
        return IsTransient(commit, e.StatusCode) ? FailureKind.Transient
            : attempt.HasCachedReads ? FailureKind.Stale
            : FailureKind.Final;
    }

    private bool IsConflict(Attempt attempt, List<Write> commit, StatusCode status) => status switch
    {
        StatusCode.Aborted => true,
        StatusCode.AlreadyExists when CreatesOnlyMissingReads(attempt, commit) => true,
        StatusCode.FailedPrecondition or StatusCode.AlreadyExists or StatusCode.NotFound =>
            attempt.Reads.Count > 0 && CountUnchangedAttempts(attempt) < 2,
        _ => false,
    };

    private bool IsTransient(List<Write> commit, StatusCode status)
    {
        switch (status)
        {
            case StatusCode.Unavailable or StatusCode.DeadlineExceeded:
                return true;
            // The cause is often a daily quota, or the size of the commit. Another attempt fixes neither.
            case StatusCode.ResourceExhausted when !wasExhausted:
                wasExhausted = true;
                return commit.Sum(write => write.CalculateSize()) < MaxCommitSize;
            default:
                return false;
        }
    }

    // A document that was missing when it was read, and that exists now, was created in between.
    private static bool CreatesOnlyMissingReads(Attempt attempt, List<Write> commit) =>
        commit.Exists(Preconditions.RequiresMissing)
        && commit.Where(Preconditions.RequiresMissing).All(write => attempt.Reads.ContainsKey(write.Name()));

    // Counts the failed preconditions whose attempts read the versions that the one before required: nobody has changed a document.
    private int CountUnchangedAttempts(Attempt attempt)
    {
        var isUnchanged = requiredReads is not null && attempt.Reads.All(read =>
            requiredReads.TryGetValue(read.Key, out var required) && Equals(required.Found?.UpdateTime, read.Value.Found?.UpdateTime));
        unchangedAttempts = isUnchanged ? unchangedAttempts + 1 : 0;
        requiredReads = attempt.Reads;
        return unchangedAttempts;
    }

    private void RecordConflict(Attempt attempt)
    {
        ClientMetrics.Conflicts.Add(1);
        attempt.RecordHit(isCurrent: false);
        var slice = heldLock.TimeSlice ?? (sliceWithoutLock ??= new TimeSlice());
        NextSource = slice.RecordConflict(client.Time, backoff.Elapsed, hadFirestoreLock: attempt.FirestoreLock is not null)
            ? ReadSource.LockedInFirestore
            : ReadSource.Firestore;
    }

    /// <summary>Returns the failure if it has a conflict's status, or if nobody has changed a document; otherwise a conflict with the
    /// failure inside.</summary>
    private async Task<RpcException> CreateConflictAsync(Attempt attempt, Exception failure)
    {
        var e = failure as RpcException;
        // No attempt after the last one can show whether another client is to blame.
        if (e is not null && (e.StatusCode == StatusCode.Aborted
            || (IsLast && attempt.Commit is not null && !await attempt.HaveReadsChangedAsync().ConfigureAwait(false))))
        {
            return e;
        }
        var reason = e?.Status.Detail ?? failure.Message;
        return new RpcException(new Status(StatusCode.Aborted, $"The transaction conflicted with another one. {reason}", failure));
    }

    private Task PauseAsync(Attempt attempt, RpcException failure, (int, int) range)
    {
        if (IsLast || backoff.IsOver)
        {
            Throw(attempt, failure);
        }
        return backoff.PauseAsync(failure, range, heldLock.TimeSlice?.GetRemainingRest(client.Time) ?? TimeSpan.Zero);
    }

    private void Throw(Attempt attempt, Exception failure)
    {
        // Of two failed commits, the caller gets the last status.
        if (attempt.Commit is null && failure is not OperationCanceledException)
        {
            AmbiguousCommits.ThrowIfPending(attempt, response: null);
        }
        ExceptionDispatchInfo.Throw(failure);
    }

    // After these statuses, Firestore may still apply the commit. An inner exception means that the connection failed, so that the
    // status isn't Firestore's.
    private static bool MayArriveLate(RpcException e) => e.InnerException is not null || e.StatusCode is StatusCode.Unavailable
        or StatusCode.DeadlineExceeded or StatusCode.Internal or StatusCode.Unknown or StatusCode.Cancelled;
}
