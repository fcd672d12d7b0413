using System.Runtime.ExceptionServices;

namespace Greeter.Firestore.Transport;

/// <summary>
/// The pauses between the attempts of one operation: jittered, and twice as long after each failure of the same kind. They end with the
/// caller's token, and after 60 seconds in all.
/// </summary>
internal sealed class Backoff(TimeProvider time, CancellationToken cancellationToken)
{
    /// <summary>The range for transient failures: 50 ms to a second.</summary>
    public static readonly (int First, int Longest) AfterTransientFailure = (50, 1000);

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly long started = time.GetTimestamp();
    private RpcException? lastFailure;
    private (int, int) lastRange;
    private int doublings;

    /// <summary>Waits before the next attempt.</summary>
    /// <param name="failure">The failure to recover from.</param>
    /// <param name="range">The upper limits of the first and of the longest pause, in milliseconds.</param>
    /// <exception cref="RpcException">The failure, if the limit is reached.</exception>
    public Task PauseAsync(RpcException failure, (int First, int Longest) range)
    {
        if (time.GetElapsedTime(started) > Limit)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
        lastFailure = failure;
        doublings = range == lastRange ? Math.Min(doublings + 1, 10) : 0;
        lastRange = range;
        var upper = Math.Min(range.Longest, range.First << doublings);
        return Task.Delay(TimeSpan.FromMilliseconds(upper * (0.5 + (Random.Shared.NextDouble() / 2))), time, cancellationToken);
    }

    /// <summary>Returns whether a cancellation ended the retries and doesn't have the last failure as its inner exception yet.</summary>
    public bool IsInterruptedBy(OperationCanceledException e) =>
        lastFailure is not null && cancellationToken.IsCancellationRequested && e.InnerException is not RpcException;

    /// <summary>Creates the cancellation, with the last failure as its inner exception.</summary>
    public OperationCanceledException ToCancellation() =>
        new($"Cancelled while retrying: {lastFailure?.Status.Detail}", lastFailure, cancellationToken);
}
