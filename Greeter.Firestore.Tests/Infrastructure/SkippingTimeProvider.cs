namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>A clock that skips to the end of each pause, and records the durations of the pauses.</summary>
internal sealed class SkippingTimeProvider : FakeTimeProvider
{
    private readonly ConcurrentQueue<TimeSpan> pauses = [];
    private int stop;
    private Action? onStop;

    public IReadOnlyList<TimeSpan> Pauses => [.. pauses];

    /// <summary>Runs an action at the n-th pause. That pause then ends only with its token.</summary>
    public void StopAt(int n, Action action) => (stop, onStop) = (n, action);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = base.CreateTimer(callback, state, dueTime, period);
        pauses.Enqueue(dueTime);
        if (pauses.Count == stop)
        {
            onStop!();
        }
        else
        {
            Advance(dueTime);
        }
        return timer;
    }
}
