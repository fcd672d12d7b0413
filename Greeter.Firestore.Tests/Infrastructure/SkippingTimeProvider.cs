using System.Collections.Concurrent;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>A clock that skips to the end of each pause, and records the durations of the pauses.</summary>
internal sealed class SkippingTimeProvider : TimeProvider
{
    private readonly ConcurrentQueue<TimeSpan> pauses = [];
    private long now;
    private int stop;
    private Action? onStop;

    public IReadOnlyList<TimeSpan> Pauses => [.. pauses];

    /// <summary>Runs an action at the n-th pause. That pause then ends only with its token.</summary>
    public void StopAt(int n, Action action) => (stop, onStop) = (n, action);

    /// <summary>Moves the clock forward.</summary>
    public void Advance(TimeSpan duration) => Interlocked.Add(ref now, duration.Ticks);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Interlocked.Read(ref now);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        pauses.Enqueue(dueTime);
        Interlocked.Add(ref now, dueTime.Ticks);
        if (pauses.Count == stop)
        {
            onStop!();
            return base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, period);
        }
        return base.CreateTimer(callback, state, TimeSpan.Zero, period);
    }
}
