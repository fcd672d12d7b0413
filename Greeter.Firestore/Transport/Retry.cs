using System.Runtime.ExceptionServices;

namespace Greeter.Firestore.Transport;

/// <summary>
/// Which failures are worth another attempt, and how long to pause before it: jittered and doubling from 50 ms, as
/// https://github.com/googleapis/googleapis/blob/master/google/firestore/v1/firestore_grpc_service_config.json has it, inside
/// the caller's token and for 60 seconds at most.
/// </summary>
internal sealed class Retry(TimeProvider time, CancellationToken cancellationToken)
{
    private const int LongestPause = 1000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly long started = time.GetTimestamp();
    private RpcException? lastFailure;
    private int pauses;
    private bool wasExhausted;

    public static bool AllowsReadAfter(RpcException e) =>
        e.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.DeadlineExceeded;

    /// <summary>Whether the whole transaction may run again. RESOURCE_EXHAUSTED is often a quota for the day: once
    /// only.</summary>
    /// <param name="e">What the commit ended with.</param>
    /// <param name="hasLost">Whether a guard of the commit is what failed.</param>
    public bool AllowsCommitAfter(RpcException e, bool hasLost) => e.StatusCode switch
    {
        StatusCode.Aborted or StatusCode.Unavailable => true,
        StatusCode.ResourceExhausted => !wasExhausted,
        _ => hasLost,
    };

    /// <summary>Whether somebody else was faster.</summary>
    public static bool IsContention(RpcException e) => e.StatusCode == StatusCode.Aborted || IsFailedGuard(e);

    /// <summary>Counts a failure that is to be retried.</summary>
    /// <exception cref="RpcException">The failure itself, if the time is up.</exception>
    public void Record(RpcException failure)
    {
        if (time.GetElapsedTime(started) > Limit)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
        lastFailure = failure;
        wasExhausted |= failure.StatusCode == StatusCode.ResourceExhausted;
    }

    /// <summary>Waits after a recorded failure.</summary>
    public Task PauseAsync()
    {
        // Where a guard failed somebody else has just succeeded: enough to fall out of step with other processes. Timers go by
        // whole milliseconds, so then the first attempt after it is at once.
        var first = IsFailedGuard(lastFailure!) ? 1 : 50;
        var longest = Math.Min(LongestPause, first << Math.Min(pauses++, 10));
        return Task.Delay(TimeSpan.FromMilliseconds(longest * (0.5 + (Random.Shared.NextDouble() / 2))), time, cancellationToken);
    }

    /// <summary>Whether a cancellation came while something was being retried and does not say so yet.</summary>
    public bool IsBehind(OperationCanceledException e) =>
        lastFailure is not null && cancellationToken.IsCancellationRequested && e.InnerException is not RpcException;

    /// <summary>The cancellation, with what was being retried as its inner exception.</summary>
    public OperationCanceledException ToCancellation() =>
        new($"Cancelled while retrying: {lastFailure?.Message}", lastFailure, cancellationToken);

    // On a commit without guards these codes mean something else.
    private static bool IsFailedGuard(RpcException e) =>
        e.StatusCode is StatusCode.FailedPrecondition or StatusCode.AlreadyExists or StatusCode.NotFound;
}
