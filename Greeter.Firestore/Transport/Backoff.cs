namespace Greeter.Firestore.Transport;

/// <summary>The pauses between the attempts of one operation: jittered, and twice as long after each failure of the same kind. They end
/// with the caller's token.</summary>
internal sealed class Backoff(TimeProvider time, CancellationToken cancellationToken)
{
    /// <summary>The range for transient failures: 50 ms to a second.</summary>
    public static readonly (int First, int Longest) AfterTransientFailure = (50, 1000);

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly long started = time.GetTimestamp();
    private RpcException? lastFailure;
    private (int, int) lastRange;
    private int doublings;

    /// <summary>Gets the time since the beginning of the operation.</summary>
    public TimeSpan Elapsed => time.GetElapsedTime(started);

    /// <summary>Gets whether 60 seconds have passed, so that no other attempt follows.</summary>
    public bool IsOver => Elapsed > Limit;

    /// <summary>Waits before the next attempt. The range has the upper limits of the first and of the longest pause in ms.</summary>
    public Task PauseAsync(RpcException failure, (int First, int Longest) range, TimeSpan atLeast = default)
    {
        lastFailure = failure;
        doublings = range == lastRange ? Math.Min(doublings + 1, 10) : 0;
        lastRange = range;
        var upper = Math.Min(range.Longest, range.First << doublings);
        var pause = TimeSpan.FromMilliseconds(upper * (0.5 + (Random.Shared.NextDouble() / 2)));
        return Task.Delay(pause > atLeast ? pause : atLeast, time, cancellationToken);
    }

    /// <summary>Runs an operation that pauses. If its token is cancelled, the exception contains the last failure.</summary>
    public async Task<T> RunAsync<T>(Func<Task<T>> operation)
    {
        try
        {
            return await operation().ConfigureAwait(false);
        }
        // The inner exception may be a later failure, but not the cancelled call's own status.
        catch (OperationCanceledException e) when (lastFailure is not null && cancellationToken.IsCancellationRequested
            && e.InnerException is not RpcException { StatusCode: not StatusCode.Cancelled })
        {
            throw new OperationCanceledException(
                $"Cancelled while retrying: {lastFailure.Status.Detail}", lastFailure, cancellationToken);
        }
    }
}
