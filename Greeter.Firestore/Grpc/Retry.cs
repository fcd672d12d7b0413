using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Greeter.Firestore.Grpc;

/// <summary>
/// Which failures are worth another attempt, and how long to pause before it: jittered and doubling from 50 ms, as
/// https://github.com/googleapis/googleapis/blob/master/google/firestore/v1/firestore_grpc_service_config.json has it, inside
/// the caller's token and for 60 seconds at most.
/// </summary>
internal struct Retry(CancellationToken cancellationToken)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly long started = Stopwatch.GetTimestamp();
    private int pauses;
    private bool exhausted;

    public static bool AllowsReadAfter(RpcException e) =>
        e.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.DeadlineExceeded;

    /// <summary>RESOURCE_EXHAUSTED is often a quota for the day: once only.</summary>
    public bool AllowsCommitAfter(RpcException e) => e.StatusCode switch
    {
        StatusCode.Aborted or StatusCode.Unavailable => true,
        StatusCode.ResourceExhausted => !exhausted && (exhausted = true),
        _ => false,
    };

    public Task PauseAsync(RpcException cause)
    {
        if (Stopwatch.GetElapsedTime(started) > Limit)
        {
            ExceptionDispatchInfo.Throw(cause);
        }
        // Where a guard failed somebody else has just succeeded: enough to fall out of step with other processes.
        var first = cause.StatusCode is StatusCode.FailedPrecondition or StatusCode.AlreadyExists or StatusCode.NotFound ? 1 : 50;
        var longest = Math.Min(1000, first << Math.Min(pauses++, 10));
        return DelayAsync(TimeSpan.FromMilliseconds(longest * (0.5 + (Random.Shared.NextDouble() / 2))), cause, cancellationToken);
    }

    private static async Task DelayAsync(TimeSpan delay, RpcException cause, CancellationToken cancellationToken)
    {
        try
        {
            await Task.Delay(delay, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            throw new OperationCanceledException($"Cancelled while retrying: {cause.Message}", cause, cancellationToken);
        }
    }
}
