using System.Net.Http.Json;
using Spectre.Console;

namespace Greeter.Bench;

/// <summary>Runs the scenarios and reports the results.</summary>
/// <remarks>
/// What makes the numbers comparable:
/// <list type="bullet">
/// <item>The sides of a comparison take turns: each round measures all of them once, in reverse order in every second round. A
/// ratio is between two numbers of one round, and the report has the median, least, and greatest ratio of all rounds. A noisy
/// machine changes both numbers.</item>
/// <item>Each server is warmed up by thousands of views, and each side runs once for nothing before the first round.</item>
/// <item>The app, the emulator, and wrk share the machine's cores. So requests/s depend on all three, and processor time per
/// view, which is that of the app's process alone, varies less.</item>
/// <item>Percentiles are corrected for coordinated omission, as wrk does it. The 99th is often that of the emulator's garbage
/// collections; the client alone has them too.</item>
/// <item>Calls per view are counted apart from the time, at an app of its own, by a relay on its way to the emulator.</item>
/// </list>
/// </remarks>
internal sealed class Bench(Options options)
{
    public const string Project = "greeter-bench";

    private const int CountedViews = 1000;
    private static readonly string WorkFolder = Path.Combine(Repository.Root, "bench", "bin", "work");
    private static readonly string AppFolder = Path.Combine(Repository.Root, "bench", "bin", "app");
    private static readonly HttpClient Http = new() { Timeout = Timeout.InfiniteTimeSpan };

    private readonly List<Server> servers = [];
    private readonly List<Site> sites = [];
    private readonly Report report = new();
    private string emulator = "";

    /// <summary>Runs the scenarios, prints the results, and writes them to the output folder.</summary>
    /// <exception cref="InvalidOperationException">Something is missing or did not start.</exception>
    public async Task RunAsync()
    {
        CheckTools();
        var console = AnsiConsole.Console;
        if (Console.IsOutputRedirected)
        {
            // A file gets whole lines and no bars.
            AnsiConsole.Profile.Width = 200;
            console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(TextWriter.Null) });
        }
        Emulator? ownEmulator = null;
        try
        {
            await console.Progress()
                .HideCompleted(true)
                .Columns(new SpinnerColumn(), new TaskDescriptionColumn(), new ProgressBarColumn(), new ElapsedTimeColumn())
                .StartAsync(async progress =>
                {
                    await RunStageAsync(progress, "publish the app", 1, _ => PublishAsync());
                    await RunStageAsync(progress, "start the emulator", 1, async _ =>
                    {
                        ownEmulator = await Emulator.SharedAsync();
                        emulator = ownEmulator.Host;
                    });
                    foreach (var phase in Enum.GetValues<Phase>())
                    {
                        await RunPhaseAsync(progress, phase);
                    }
                    await CountCallsAsync(progress);
                    foreach (var site in sites.Where(site => site.Folder is not null))
                    {
                        await MeasureLatencyAsync(progress, site);
                        await MeasureMemoryAsync(progress, site);
                    }
                    await MeasureStartAsync(progress);
                });
            foreach (var line in servers.SelectMany(server => server.GetNewLogLines()).Take(20))
            {
                AnsiConsole.WriteLine($"A server logged during the load. {line}");
            }
            await report.WriteAsync(options);
        }
        finally
        {
            foreach (var server in servers)
            {
                await server.DisposeAsync();
            }
            await (ownEmulator?.DisposeAsync() ?? ValueTask.CompletedTask);
        }
    }

    private static void CheckTools()
    {
#if DEBUG
        throw new InvalidOperationException("Build the limits as the app ships: dotnet run -c Release --project bench");
#else
        var missing = Tool.IsOnPath("wrk") ? Emulator.MissingReason : "wrk is missing: apt-get install wrk.";
        if (missing is not null)
        {
            throw new InvalidOperationException(missing);
        }
#endif
    }

    private static async Task RunStageAsync(ProgressContext progress, string name, int steps, Func<ProgressTask, Task> run)
    {
        var stage = progress.AddTask(name, maxValue: steps);
        await run(stage);
        stage.Value = steps;
        stage.StopTask();
    }

    private async Task PublishAsync()
    {
        if (Directory.Exists(WorkFolder))
        {
            Directory.Delete(WorkFolder, recursive: true);
        }
        Directory.CreateDirectory(WorkFolder);
        await Command.RunAsync(
            Repository.Root, "dotnet", ["publish", "Greeter.Api", "--configuration", "Release", "--output", AppFolder]);
        sites.Add(new Site("", AppFolder));
        if (options.Baseline is not null)
        {
            sites.Add(new Site(Report.Baseline, Path.GetFullPath(options.Baseline)));
        }
        foreach (var (name, url) in options.Peers)
        {
            sites.Add(new Site($"{name}: ", null) { Instances = { Server.Find(name, url) } });
        }
    }

    /// <summary>Measures the sides of a phase in turns.</summary>
    private async Task RunPhaseAsync(ProgressContext progress, Phase phase)
    {
        var sides = new List<Side>();
        foreach (var scenario in Scenario.OnFirestore.Where(scenario => options.Runs(scenario.Name)))
        {
            foreach (var site in sites.Where(site => site.GetPhase(scenario) == phase))
            {
                sides.Add(await CreateSideAsync(site, scenario, phase));
            }
        }
        if (phase == Phase.OneInstance)
        {
            if (sides.Count > 0)
            {
                sides.InsertRange(0, await CreateClientsAsync());
            }
            if (options.Runs(Scenario.Embedded))
            {
                sides.AddRange(await CreateEmbeddedAsync());
            }
            if (sides.Count > 0)
            {
                sides.Insert(0, await CreateEmptyEndpointAsync());
            }
        }
        if (sides.Count > 0)
        {
            report.Sides.AddRange(sides);
            var name = $"{sides[0].Title} to {sides[^1].Title}";
            await RunStageAsync(progress, name, sides.Count * (options.Rounds + 1), stage => RunRoundsAsync(sides, stage));
        }
    }

    private async Task RunRoundsAsync(List<Side> sides, ProgressTask stage)
    {
        foreach (var side in sides)
        {
            await side.MeasureAsync(TimeSpan.FromSeconds(Math.Min(3, options.Time.TotalSeconds)));
            stage.Increment(1);
        }
        for (var round = 1; round <= options.Rounds; round++)
        {
            foreach (var side in round % 2 == 1 ? sides : sides.AsEnumerable().Reverse())
            {
                var measured = await side.MeasureAsync(options.Time);
                side.Measurements.Add(measured);
                stage.Increment(1);
                AnsiConsole.WriteLine($"round {round}: {side.Title}, {measured}");
            }
        }
    }

    private async Task<Side> CreateSideAsync(Site site, Scenario scenario, Phase phase)
    {
        while (site.Instances.Count < scenario.Instances)
        {
            site.Instances.Add(await StartAppAsync(site, ("FIRESTORE_EMULATOR_HOST", emulator)));
        }
        var instances = site.Instances.Take(scenario.Instances).ToArray();
        foreach (var instance in instances.Where(instance => !site.Ids.ContainsKey(instance)))
        {
            site.Ids.Add(instance, await WarmUpAsync(instance, site.Folder is null ? Scenario.Sessions : options.Warm));
        }
        var ids = site.Ids[instances[0]];
        var file = Path.Combine(WorkFolder, $"{Guid.NewGuid():N}.ids");
        async Task<string?> WriteIdsAsync()
        {
            var drawn = scenario.Visitors switch
            {
                Visitors.Returning => ids,
                Visitors.Crowded => ids[..500],
                Visitors.OneSession => await Load.CreateSessionsAsync(1, instances[0].Url),
                _ => null,
            };
            await File.WriteAllLinesAsync(file, drawn ?? []);
            return drawn is null ? null : file;
        }
        var threads = scenario.Instances == 1 ? Math.Min(2, scenario.Connections) : 1;
        return new Side(site.Prefix + scenario.Title, phase, instances, async time =>
        {
            var drawn = await WriteIdsAsync();
            return await Task.WhenAll(instances.Select(
                instance => Load.WrkAsync(instance.Url, scenario.Connections, threads, time, drawn)));
        });
    }

    private async Task<Side> CreateEmptyEndpointAsync()
    {
        var server = await StartLimitAsync(Limits.EmptyEndpoint, null);
        return new Side(Report.EmptyEndpoint, Phase.OneInstance, [server], async time =>
            [await Load.WrkAsync(server.Url, Scenario.DefaultConnections, 2, time, null)]);
    }

    private async Task<List<Side>> CreateClientsAsync()
    {
        var sides = new List<Side>();
        var benches = new List<(string Title, string? Folder)> { (Report.ClientAlone, null) };
        if (options.BaselineBench is not null)
        {
            benches.Add((Report.Baseline + Report.ClientAlone, Path.GetFullPath(options.BaselineBench)));
        }
        foreach (var (title, folder) in benches)
        {
            var server = await StartLimitAsync(Limits.ClientAlone, folder, ("FIRESTORE_EMULATOR_HOST", emulator));
            async Task<Load[]> RunAsync(TimeSpan time) =>
                [(await Http.GetFromJsonAsync<Load>(new Uri(server.Url, $"/run?seconds={time.TotalSeconds}")))!];
            await RunAsync(options.Time);
            sides.Add(new Side(title, Phase.OneInstance, [server], RunAsync));
        }
        return sides;
    }

    private async Task<List<Side>> CreateEmbeddedAsync()
    {
        var sides = new List<Side>();
        foreach (var site in sites.Where(site => site.Folder is not null))
        {
            var server = await StartEmbeddedAsync(site);
            var file = Path.Combine(WorkFolder, $"{Guid.NewGuid():N}.ids");
            await File.WriteAllLinesAsync(file, await WarmUpAsync(server, options.Warm));
            sides.Add(new Side(site.Prefix + Report.EmbeddedStore, Phase.OneInstance, [server], async time =>
                [await Load.WrkAsync(server.Url, Scenario.DefaultConnections, 2, time, file)]));
        }
        return sides;
    }

    /// <summary>Counts the calls to Firestore in a number of views of each scenario.</summary>
    private async Task CountCallsAsync(ProgressContext progress)
    {
        var scenarios = Scenario.OnFirestore.Where(scenario => options.Runs(scenario.Name)).ToList();
        if (scenarios.Count == 0)
        {
            return;
        }
        await RunStageAsync(progress, "count calls to Firestore", scenarios.Count, async stage =>
        {
            foreach (var scenario in scenarios)
            {
                report.Sides.Single(side => side.Title == scenario.Title).CallsPerView = await CountCallsAsync(scenario);
                stage.Increment(1);
            }
        });
    }

    private async Task<double> CountCallsAsync(Scenario scenario)
    {
        using var relay = new Relay(emulator);
        var apps = new List<Server>();
        for (var i = 0; i < scenario.Instances; i++)
        {
            apps.Add(await StartAppAsync(sites[0], ("FIRESTORE_EMULATOR_HOST", relay.Host)));
        }
        var sessions = scenario.Visitors switch
        {
            Visitors.Crowded => 500,
            Visitors.OneSession => 1,
            _ => Scenario.Sessions,
        };
        var ids = await Load.CreateSessionsAsync(sessions, apps[0].Url);
        Task VisitAsync(int views) => Load.VisitAsync(
            views,
            scenario.Connections * scenario.Instances,
            n => apps[n % apps.Count].Url,
            _ => scenario.Visitors == Visitors.New ? null : ids[Random.Shared.Next(ids.Length)]);
        // Before that, the caches of several instances reach the state that they keep.
        await VisitAsync(apps.Count > 1 ? CountedViews : 1);
        var before = relay.Calls;
        await VisitAsync(CountedViews);
        var calls = relay.Calls - before;
        foreach (var app in apps)
        {
            await app.DisposeAsync();
        }
        return (double)calls / CountedViews;
    }

    /// <summary>Measures the round trips of a view, with a latency that is much longer than everything else.</summary>
    private async Task MeasureLatencyAsync(ProgressContext progress, Site site)
    {
        if (!options.Runs(Scenario.Latency))
        {
            return;
        }
        const int Visits = 200;
        var latency = TimeSpan.FromMilliseconds(10);
        await RunStageAsync(progress, $"{site.Prefix}Firestore {latency.TotalMilliseconds} ms away", 1, async _ =>
        {
            using var relay = new Relay(emulator) { Latency = latency };
            var app = await StartAppAsync(site, ("FIRESTORE_EMULATOR_HOST", relay.Host));
            await Load.CreateSessionsAsync(Visits, app.Url);
            var (first, ids) = await Load.VisitAsync(Visits, 1, _ => app.Url, _ => null);
            var (returning, _) = await Load.VisitAsync(Visits, 1, _ => app.Url, n => ids[n]);
            string Describe(Load load) => $"{load.P50:0.0} ms, {load.P50 / (2 * latency.TotalMilliseconds):0.00} round trips";
            report.Add(
                $"{site.Prefix}Firestore {latency.TotalMilliseconds} ms away each way, p50",
                $"first visit {Describe(first)}; returning visitor {Describe(returning)}");
        });
    }

    /// <summary>Measures the resident memory along a million requests of the embedded store.</summary>
    private async Task MeasureMemoryAsync(ProgressContext progress, Site site)
    {
        if (!options.Runs(Scenario.Memory))
        {
            return;
        }
        const int Early = 100_000;
        const int End = 1_000_000;
        await RunStageAsync(progress, $"{site.Prefix}memory along a million requests", End, async stage =>
        {
            var app = await StartEmbeddedAsync(site);
            var file = Path.Combine(WorkFolder, $"{Guid.NewGuid():N}.ids");
            await File.WriteAllLinesAsync(file, await WarmUpAsync(app, Scenario.Sessions));
            (long Requests, double Megabytes) early = default, now = default;
            while (now.Requests < End)
            {
                var load = await Load.WrkAsync(app.Url, Scenario.DefaultConnections, 2, TimeSpan.FromSeconds(1), file);
                now = (now.Requests + load.Requests, app.ResidentBytes / 1e6);
                early = early.Requests < Early ? now : early;
                stage.Increment(load.Requests);
            }
            report.Add(
                $"{site.Prefix}resident memory, embedded store",
                $"{early.Megabytes:0} MB after {early.Requests:#,0} requests, {now.Megabytes:0} MB after {now.Requests:#,0}");
        });
    }

    /// <summary>Measures the time from the start of a process to its first 200, in turns with a bare app.</summary>
    private async Task MeasureStartAsync(ProgressContext progress)
    {
        if (!options.Runs(Scenario.Start))
        {
            return;
        }
        const int Times = 10;
        var starts = new List<(string Name, Func<Task<Server>> StartAsync, List<double> Times)>
        {
            ("a bare app", () => StartLimitAsync(Limits.EmptyEndpoint, null), []),
        };
        foreach (var site in sites.Where(site => site.Folder is not null))
        {
            starts.Add(($"{site.Prefix}the app", () => StartAppAsync(site, ("FIRESTORE_EMULATOR_HOST", emulator)), []));
        }
        await RunStageAsync(progress, "start to the first 200", Times * starts.Count, async stage =>
        {
            for (var i = 0; i < Times; i++)
            {
                foreach (var (_, startAsync, times) in starts)
                {
                    var clock = System.Diagnostics.Stopwatch.StartNew();
                    var server = await startAsync();
                    (await Http.GetAsync(server.Url)).EnsureSuccessStatusCode();
                    times.Add(clock.Elapsed.TotalMilliseconds);
                    await server.DisposeAsync();
                    stage.Increment(1);
                }
            }
        });
        report.Add(
            $"start to the first 200, medians of {Times}",
            string.Join("; ", starts.Select(start => $"{start.Name} {Report.Median(start.Times):0} ms")));
    }

    /// <summary>Creates sessions at a server, and visits them.</summary>
    /// <returns>The session IDs.</returns>
    private static async Task<string[]> WarmUpAsync(Server server, int views)
    {
        var ids = await Load.CreateSessionsAsync(Scenario.Sessions, server.Url);
        await Load.VisitAsync(
            Math.Max(0, views - ids.Length), Scenario.DefaultConnections, _ => server.Url, n => ids[n % ids.Length]);
        return ids;
    }

    private Task<Server> StartAppAsync(Site site, params (string Key, string Value)[] environment) => StartAsync(
        $"{site.Prefix}the app",
        Path.Combine(site.Folder!, "Greeter.Api.dll"),
        [],
        [("GOOGLE_CLOUD_PROJECT", Project), .. environment]);

    // The app uses the embedded store only in Development, and only without a project.
    private Task<Server> StartEmbeddedAsync(Site site) => StartAppAsync(
        site,
        ("GOOGLE_CLOUD_PROJECT", ""),
        ("ASPNETCORE_ENVIRONMENT", "Development"),
        ("Firestore__EmbeddedFolder", Path.Combine(WorkFolder, Guid.NewGuid().ToString("N"))));

    private Task<Server> StartLimitAsync(string limit, string? folder, params (string Key, string Value)[] environment) =>
        StartAsync(limit, Path.Combine(folder ?? AppContext.BaseDirectory, "Greeter.Bench.dll"), [limit], environment);

    private async Task<Server> StartAsync(
        string name, string program, string[] arguments, params (string Key, string Value)[] environment)
    {
        var server = await Server.StartAsync(name, program, arguments, environment);
        servers.Add(server);
        return server;
    }

    /// <summary>A published app, or a peer.</summary>
    /// <param name="Prefix">The begin of its titles; empty for the app itself.</param>
    /// <param name="Folder">The folder of the published app; null for a peer.</param>
    private sealed record Site(string Prefix, string? Folder)
    {
        /// <summary>Gets the instances on the emulator so far.</summary>
        public List<Server> Instances { get; } = [];

        /// <summary>Gets the sessions that each instance has created.</summary>
        public Dictionary<Server, string[]> Ids { get; } = [];

        /// <summary>Returns in which phase the site runs a scenario; null if it does not.</summary>
        public Phase? GetPhase(Scenario scenario) => Folder is not null ? scenario.Phase : scenario.Phase switch
        {
            Phase.OneInstance => Phase.OneInstance,
            Phase.OneSession => Phase.OneSessionAtPeer,
            _ => null,
        };
    }
}
