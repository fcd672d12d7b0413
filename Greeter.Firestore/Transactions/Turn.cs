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
    // While no other process wants the document, a turn never ends.
    private const long Endless = long.MaxValue;

    private long? started;
    private long? lastCommit;
    private double rest = MinRest;

    /// <summary>Records a commit. The first one, and the first one after a conflict, begin a turn.</summary>
    public void RecordCommit(TimeProvider time)
    {
        var now = time.GetTimestamp();
        if (started is null)
        {
            var absence = lastCommit is { } last ? time.GetElapsedTime(last, now) : TimeSpan.Zero;
            rest = Math.Clamp(0.75 * absence.TotalMilliseconds, MinRest, MaxRest);
            started = now;
        }
        lastCommit = now;
    }

    /// <summary>Records a conflict: it is another process's turn.</summary>
    public void RecordConflict() => started = null;

    /// <summary>Returns for how long the document should still be left to others.</summary>
    public TimeSpan GetRest(TimeProvider time) =>
        TimeSpan.FromMilliseconds(lastCommit is { } last ? Math.Max(0, rest - time.GetElapsedTime(last).TotalMilliseconds) : 0);

    /// <summary>Rests before a transaction, if the turn is over. Transactions that were waiting when it began belong to it.</summary>
    public async ValueTask RestAsync(TimeProvider time, long waitingSince, CancellationToken cancellationToken)
    {
        if (waitingSince > started && time.GetElapsedTime(started.Value).TotalMilliseconds >= MinLength)
        {
            started = Endless;
            await Task.Delay(GetRest(time), time, cancellationToken).ConfigureAwait(false);
        }
    }
}
