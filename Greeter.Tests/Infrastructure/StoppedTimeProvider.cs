using System.Collections.Concurrent;

namespace Greeter.Tests.Infrastructure;

/// <summary>A clock whose timers elapse only when a test says so.</summary>
internal sealed class StoppedTimeProvider : TimeProvider
{
    private readonly ConcurrentQueue<(TimeSpan DueTime, Action Elapse)> timers = [];

    /// <summary>Lets the one timer of this duration elapse.</summary>
    public void Elapse(TimeSpan dueTime) => timers.Single(timer => timer.DueTime == dueTime).Elapse();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        timers.Enqueue((dueTime, () => callback(state)));
        return base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, period);
    }
}
