using System.Diagnostics;

namespace Greeter.Tests.Infrastructure;

/// <summary>Checks an app's health all the time, and so knows when the app didn't respond at all.</summary>
/// <remarks>On a busy machine, a process may not run for seconds. A response that is slow for this reason isn't late. An app that blocks
/// all of its threads looks the same, so only the first seconds of a stall excuse a slow response.</remarks>
internal sealed class HealthMonitor : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    /// <summary>An interval and a health check that take longer are a stall. On a quiet machine, a check takes a few
    /// milliseconds.</summary>
    private static readonly TimeSpan Prompt = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan LongestExcuse = TimeSpan.FromSeconds(5);

    private readonly List<(long Started, long Ended)> stalls = [];
    private readonly Task checking;
    private volatile bool isStopping;

    /// <summary>Starts to check an app's health.</summary>
    public HealthMonitor(Uri app) => checking = Task.Run(() => CheckAsync(app));

    /// <summary>Measures how long an action takes, without the time in which the app didn't respond at all.</summary>
    public static async Task<(T Result, TimeSpan Duration)> MeasureAsync<T>(Uri app, Func<Task<T>> action)
    {
        await using var monitor = new HealthMonitor(app);
        var started = Stopwatch.GetTimestamp();
        var result = await action();
        var duration = Stopwatch.GetElapsedTime(started);
        await monitor.StopAsync();
        return (result, duration - monitor.GetStalledTime(started, duration));
    }

    /// <summary>Stops after the health check that is in progress.</summary>
    public Task StopAsync()
    {
        isStopping = true;
        return checking;
    }

    /// <summary>Returns for how much of a period the app didn't respond at all; 5 seconds at most. The monitor must have been
    /// stopped.</summary>
    /// <param name="started">The timestamp at which the period started.</param>
    /// <param name="duration">The length of the period.</param>
    public TimeSpan GetStalledTime(long started, TimeSpan duration)
    {
        var ended = started + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        var stalled = stalls.Sum(stall => Math.Max(0, Math.Min(ended, stall.Ended) - Math.Max(started, stall.Started)));
        return TimeSpan.FromTicks(Math.Min(Stopwatch.GetElapsedTime(0, stalled).Ticks, LongestExcuse.Ticks));
    }

    public ValueTask DisposeAsync() => new(StopAsync());

    private async Task CheckAsync(Uri app)
    {
        using var client = new HttpClient { BaseAddress = app };
        var started = Stopwatch.GetTimestamp();
        while (!isStopping)
        {
            try
            {
                using var response = await client.GetAsync("health/live");
            }
            catch (HttpRequestException)
            {
                // The instance was killed.
                return;
            }
            await Task.Delay(Interval);
            var ended = Stopwatch.GetTimestamp();
            if (Stopwatch.GetElapsedTime(started, ended) > Interval + Prompt)
            {
                stalls.Add((started, ended));
            }
            started = ended;
        }
    }
}
