using System.Collections.Concurrent;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>A clock that jumps to the end of each pause, and keeps how long the pauses were.</summary>
internal sealed class HurriedTime : TimeProvider
{
    private readonly ConcurrentQueue<TimeSpan> pauses = [];
    private long now;
    private int stop;
    private Action? onStop;

    public IReadOnlyList<TimeSpan> Pauses => [.. pauses];

    /// <summary>Does something at the n-th pause, which then does not end by itself.</summary>
    public void StopAt(int n, Action action) => (stop, onStop) = (n, action);

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
