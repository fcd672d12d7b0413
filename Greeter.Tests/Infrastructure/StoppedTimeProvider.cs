using System.Collections.Concurrent;

namespace Greeter.Tests.Infrastructure;

/// <summary>A clock whose timers elapse only when a test says so.</summary>
internal sealed class StoppedTimeProvider : TimeProvider
{
    private readonly ConcurrentQueue<(TimeSpan DueTime, Action Elapse)> timers = [];

    /// <summary>Lets each timer of this duration elapse.</summary>
    public void Elapse(TimeSpan dueTime)
    {
        foreach (var timer in timers.Where(timer => timer.DueTime == dueTime))
        {
            timer.Elapse();
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        timers.Enqueue((dueTime, () => callback(state)));
        return base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, period);
    }
}
