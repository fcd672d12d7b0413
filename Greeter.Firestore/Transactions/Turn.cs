namespace Greeter.Firestore.Transactions;

/// <summary>The turns of this process at a document that other processes may write, too.</summary>
/// <remarks>The process that has committed last needs one call for its next commit, and the others need two: they would never win. So a
/// turn ends, and the process rests for about as long as it last had to wait. Correctness doesn't depend on it.</remarks>
internal sealed class Turn
{
    // In milliseconds.
    private const double MinLength = 200;
    private const double MinRest = 200;
    private const double MaxRest = 500;

    private long? started;
    // After a rest without a conflict, no other process seems to want the document, and the turn doesn't end.
    private bool isAlone;
    private long? lastCommit;
    private double rest = MinRest;
    private long? conflictsSince;
    private double patience;

    /// <summary>Records a commit. The first one, and the first one after a conflict, begin a turn.</summary>
    public void RecordCommit(TimeProvider time)
    {
        var now = time.GetTimestamp();
        if (started is null)
        {
            var sinceLastCommit = lastCommit is { } last ? time.GetElapsedTime(last, now) : TimeSpan.Zero;
            rest = Math.Clamp(0.75 * sinceLastCommit.TotalMilliseconds, MinRest, MaxRest);
            started = now;
        }
        lastCommit = now;
        conflictsSince = null;
    }

    /// <summary>Records a conflict: it is another process's turn.</summary>
    /// <returns>Whether the next attempt should lock the document in Firestore: this process has had only conflicts for so long that the
    /// other processes' rests may be too short.</returns>
    public bool RecordConflict(TimeProvider time, TimeSpan transactionAge, bool hadFirestoreLock)
    {
        (started, isAlone) = (null, false);
        if (conflictsSince is { } since && !hadFirestoreLock)
        {
            return time.GetElapsedTime(since).TotalMilliseconds >= patience;
        }
        conflictsSince = time.GetTimestamp();
        // At random: if two processes lock at once, each waits for the other one until Firestore aborts one of them.
        patience = Random.Shared.Next(1000, 1500) / (1 + (transactionAge.TotalSeconds / 3));
        return false;
    }

    /// <summary>Returns for how long the document should still be left to others.</summary>
    public TimeSpan GetRemainingRest(TimeProvider time) =>
        TimeSpan.FromMilliseconds(lastCommit is { } last ? Math.Max(0, rest - time.GetElapsedTime(last).TotalMilliseconds) : 0);

    /// <summary>Rests before a transaction, if the turn is over. Transactions that were waiting when it began belong to it.</summary>
    public async ValueTask RestAsync(TimeProvider time, long waitingSince, CancellationToken cancellationToken)
    {
        if (!isAlone && waitingSince > started && time.GetElapsedTime(started.Value).TotalMilliseconds >= MinLength)
        {
            await Task.Delay(GetRemainingRest(time), time, cancellationToken).ConfigureAwait(false);
            isAlone = true;
        }
    }
}
