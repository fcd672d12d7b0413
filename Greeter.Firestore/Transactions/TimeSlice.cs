namespace Greeter.Firestore.Transactions;

/// <summary>The time slices in which this process writes a document that other processes may write, too.</summary>
/// <remarks>The process that has committed last needs one call for its next commit, and the others need two: they would never win. So
/// after its time slice, the process rests for most of the time that it last had to wait. Correctness doesn't depend on it.</remarks>
internal sealed class TimeSlice
{
    // In milliseconds.
    private const double MinLength = 150, MinRest = 200, MaxRest = 500, MaxPatience = 1400;
    private const double RestPerWait = 0.75;

    private long? started;
    // If no conflict follows, no other process wants the document, and the process doesn't rest again.
    private bool hasRested;
    private long? lastCommit;
    private double restAfterCommit = MinRest;
    private long? onlyConflictsSince;
    private double patience;

    /// <summary>Records a commit. The first one, and the first one after a conflict, begin a time slice.</summary>
    public void RecordCommit(TimeProvider time)
    {
        var now = time.GetTimestamp();
        if (started is null)
        {
            var sinceLastCommit = lastCommit is { } last ? time.GetElapsedTime(last, now) : TimeSpan.Zero;
            restAfterCommit = Math.Clamp(RestPerWait * sinceLastCommit.TotalMilliseconds, MinRest, MaxRest);
            started = now;
        }
        lastCommit = now;
        onlyConflictsSince = null;
    }

    /// <summary>Records a conflict: another process has its time slice.</summary>
    /// <returns>Whether the next attempt should lock the document in Firestore: this process has had only conflicts for so long that the
    /// other processes' rests may be too short.</returns>
    public bool RecordConflict(TimeProvider time, TimeSpan transactionAge, bool hadFirestoreLock)
    {
        (started, hasRested) = (null, false);
        var lasting = onlyConflictsSince is { } since ? time.GetElapsedTime(since).TotalMilliseconds : double.MaxValue;
        // A conflict of long ago doesn't count: its transaction ended without a commit.
        if (lasting < 2 * MaxPatience && !hadFirestoreLock)
        {
            return lasting >= patience;
        }
        onlyConflictsSince = time.GetTimestamp();
        // At random: if two processes lock at once, each waits for the other one until Firestore aborts one of them.
        patience = MaxPatience * (1 - (Random.Shared.NextDouble() / 3)) / (1 + (transactionAge.TotalSeconds / 3));
        return false;
    }

    /// <summary>Returns for how long the document should still be left to others.</summary>
    public TimeSpan GetRemainingRest(TimeProvider time) =>
        TimeSpan.FromMilliseconds(lastCommit is { } last ? Math.Max(0, restAfterCommit - time.GetElapsedTime(last).TotalMilliseconds) : 0);

    /// <summary>Rests before a transaction, if the time slice is over. Transactions that were waiting when it began belong to it.</summary>
    public async ValueTask RestAsync(TimeProvider time, long waitingSince, CancellationToken cancellationToken)
    {
        if (!hasRested && waitingSince > started && time.GetElapsedTime(started.Value).TotalMilliseconds >= MinLength)
        {
            await Task.Delay(GetRemainingRest(time), time, cancellationToken).ConfigureAwait(false);
            hasRested = true;
        }
    }
}
