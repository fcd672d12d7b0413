using System.Diagnostics;

namespace Greeter.Bench;

/// <summary>The single measurements: start, memory, and latency.</summary>
internal sealed class OneTimeMeasurements(Launcher launcher, Report report)
{
    public const int Requests = 300_000;
    public const int Starts = 30;

    private static readonly HttpClient Http = new();

    /// <summary>Measures the round trips of a view, with a latency that is much longer than everything else.</summary>
    public async Task MeasureLatencyAsync(Site site)
    {
        const int Visits = 200;
        var latency = TimeSpan.FromMilliseconds(10);
        using var relay = new Relay(launcher.EmulatorHost) { Latency = latency };
        var app = await launcher.StartAppAsync(site, relay.Host);
        await Load.CreateSessionsAsync(Visits, app.Url);
        var (first, ids) = await Load.VisitAsync(Visits, 1, _ => app.Url, _ => null);
        var (returning, _) = await Load.VisitAsync(Visits, 1, _ => app.Url, n => ids[n]);
        string Describe(Load load) => $"{load.P50:0.0} ms, {load.P50 / (2 * latency.TotalMilliseconds):0.00} round trips";
        report.Add(
            $"{site.Prefix}Firestore {latency.TotalMilliseconds} ms away each way, p50",
            $"first visit {Describe(first)}; returning visitor {Describe(returning)}");
    }

    /// <summary>Measures the resident memory along 300,000 requests of the embedded store.</summary>
    public async Task MeasureMemoryAsync(Site site, Action<double> advance)
    {
        const int Early = 100_000;
        var app = await launcher.StartEmbeddedAsync(site);
        var file = await Launcher.WriteIdsAsync(await Launcher.WarmUpAsync(app, Scenario.Sessions));
        (long Requests, double Megabytes) early = default, now = default;
        while (now.Requests < Requests)
        {
            var load = await Load.WrkAsync(app.Url, Scenario.DefaultConnections, 2, TimeSpan.FromSeconds(1), file);
            now = (now.Requests + load.Requests, app.ResidentBytes / 1e6);
            early = early.Requests < Early ? now : early;
            advance(load.Requests);
        }
        report.Add(
            $"{site.Prefix}resident memory, embedded store",
            $"{early.Megabytes:0} MB after {early.Requests:#,0} requests, {now.Megabytes:0} MB after {now.Requests:#,0}");
    }

    /// <summary>Measures the time from the start of a process to its first 200, in random order with a bare app.</summary>
    public async Task MeasureStartAsync(IEnumerable<Site> sites, Action<double> advance)
    {
        var programs = new List<(string Name, Func<Task<Server>> StartAsync, List<double> Times)>
        {
            ("a bare app", () => launcher.StartLimitAsync(Limits.EmptyEndpoint), []),
        };
        foreach (var site in sites)
        {
            programs.Add(($"{site.Prefix}the app", () => launcher.StartAppAsync(site), []));
        }
        for (var i = 0; i < Starts; i++)
        {
            // A program starts faster right after itself, and slower after another one.
            foreach (var (_, startAsync, times) in programs.Shuffle())
            {
                var started = Stopwatch.GetTimestamp();
                await using var server = await startAsync();
                (await Http.GetAsync(server.Url)).EnsureSuccessStatusCode();
                times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            }
            advance(1);
        }
        report.Add(
            $"start to the first 200, medians of {Starts}",
            string.Join("; ", programs.Select(program => $"{program.Name} {Report.Median(program.Times):0} ms")));
    }
}
