using System.Net.Http.Json;
using System.Runtime.InteropServices;
using Spectre.Console;

namespace Greeter.Bench;

/// <summary>Runs the scenarios and reports the results.</summary>
/// <remarks>
/// What makes the numbers comparable:
/// <list type="bullet">
/// <item>The sides of a comparison alternate: each round measures all of them once, in reverse order in every second round. A
/// ratio is between two numbers of one round, and the report has the median, least, and greatest ratio of all rounds. A noisy
/// machine changes both numbers.</item>
/// <item>Each server is warmed up by thousands of views, and each side runs once unmeasured before the first round.</item>
/// <item>The app, the emulator, and wrk share the machine's cores. So requests/s depend on all three, and CPU time per
/// view, which is that of the app's process alone, varies less.</item>
/// <item>Percentiles are corrected for coordinated omission, as wrk does it. The 99th is often that of the emulator's garbage
/// collections; the client alone has them too.</item>
/// <item>Calls per view are counted apart from the time, at an app of its own, by a relay on its way to the emulator.</item>
/// </list>
/// </remarks>
internal sealed class Bench(Options options, Launcher launcher)
{
    private const int CountedViews = 1000;
    private static readonly string AppFolder = Path.Combine(Repository.Root, "bench", "bin", "app");
    private static readonly HttpClient Http = new() { Timeout = Timeout.InfiniteTimeSpan };

    private readonly List<Site> sites = [];
    private readonly Report report = new();

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
        await console.Progress()
            .HideCompleted(true)
            .Columns(new SpinnerColumn(), new TaskDescriptionColumn(), new ProgressBarColumn(), new ElapsedTimeColumn())
            .StartAsync(async progress =>
            {
                await RunStageAsync(progress, "publish the app", 1, _ => PublishAsync());
                await RunStageAsync(progress, "start the emulator", 1, _ => launcher.StartEmulatorAsync());
                foreach (var phase in Enum.GetValues<Phase>())
                {
                    await RunPhaseAsync(progress, phase);
                }
                await CountCallsAsync(progress);
                await MeasureOnceAsync(progress);
            });
        // An app whose requests succeed logs nothing.
        var lines = launcher.GetNewLogLines().ToList();
        AnsiConsole.WriteLine($"The servers logged {lines.Count} lines during the load.");
        foreach (var line in lines.Take(5))
        {
            AnsiConsole.WriteLine(line[..Math.Min(line.Length, 300)]);
        }
        await report.WriteAsync(options);
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
        if (Directory.Exists(Launcher.WorkFolder))
        {
            Directory.Delete(Launcher.WorkFolder, recursive: true);
        }
        Directory.CreateDirectory(Launcher.WorkFolder);
        // With a runtime identifier the app is compiled ahead of time, as on the platforms.
        var runtime = RuntimeInformation.RuntimeIdentifier;
        await Command.RunAsync(Repository.Root, "dotnet", ["publish", "Greeter.Api", "--runtime", runtime, "--output", AppFolder]);
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

    /// <summary>Measures the sides of a phase alternately.</summary>
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
            site.Instances.Add(await launcher.StartAppAsync(site));
        }
        var instances = site.Instances.Take(scenario.Instances).ToArray();
        foreach (var instance in instances.Where(instance => !site.Ids.ContainsKey(instance)))
        {
            site.Ids.Add(instance, await Launcher.WarmUpAsync(instance, site.Folder is null ? 2 * Scenario.Sessions : options.Warm));
        }
        var ids = site.Ids[instances[0]];
        var file = scenario.Visitors switch
        {
            Visitors.Returning => await Launcher.WriteIdsAsync(ids),
            Visitors.Crowded => await Launcher.WriteIdsAsync(ids[..500]),
            _ => null,
        };
        var threads = scenario.Instances == 1 ? Math.Min(2, scenario.Connections) : 1;
        return new Side(site.Prefix + scenario.Title, phase, instances, async time =>
        {
            var drawn = scenario.Visitors == Visitors.OneSession
                ? await Launcher.WriteIdsAsync(await Load.CreateSessionsAsync(1, instances[0].Url))
                : file;
            return await Task.WhenAll(instances.Select(
                instance => Load.WrkAsync(instance.Url, scenario.Connections, threads, time, drawn)));
        });
    }

    private async Task<Side> CreateEmptyEndpointAsync()
    {
        var server = await launcher.StartLimitAsync(Limits.EmptyEndpoint);
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
            var server = await launcher.StartLimitAsync(Limits.ClientAlone, folder);
            async Task<Load[]> RunAsync(TimeSpan time, bool metrics = false) =>
                [(await Http.GetFromJsonAsync<Load>(new Uri(server.Url, $"/run?seconds={time.TotalSeconds}&metrics={metrics}")))!];
            await RunAsync(options.Time);
            sides.Add(new Side(title, Phase.OneInstance, [server], time => RunAsync(time)));
            if (folder is null)
            {
                sides.Add(new Side(Report.ClientWithMetrics, Phase.OneInstance, [server], time => RunAsync(time, metrics: true)));
            }
        }
        return sides;
    }

    private async Task<List<Side>> CreateEmbeddedAsync()
    {
        var sides = new List<Side>();
        foreach (var site in sites.Where(site => site.Folder is not null))
        {
            var server = await launcher.StartEmbeddedAsync(site);
            var file = await Launcher.WriteIdsAsync(await Launcher.WarmUpAsync(server, options.Warm));
            sides.Add(new Side(site.Prefix + Report.EmbeddedStore, Phase.OneInstance, [server], async time =>
                [await Load.WrkAsync(server.Url, Scenario.DefaultConnections, 2, time, file)]));
        }
        return sides;
    }

    /// <summary>Counts the calls to Firestore in a number of views of each scenario.</summary>
    private async Task CountCallsAsync(ProgressContext progress)
    {
        // Not with 1,000 connections, which this process and the relay would slow down too much.
        var scenarios = Scenario.OnFirestore
            .Where(scenario => options.Runs(scenario.Name) && scenario.Phase != Phase.Connections)
            .ToList();
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
        using var relay = new Relay(launcher.EmulatorHost);
        var apps = new List<Server>();
        for (var i = 0; i < scenario.Instances; i++)
        {
            apps.Add(await launcher.StartAppAsync(sites[0], relay.Host));
        }
        var sessions = scenario.Visitors switch
        {
            Visitors.Crowded => 500,
            Visitors.OneSession => 1,
            _ => Scenario.Sessions,
        };
        var ids = await Load.CreateSessionsAsync(sessions, apps[0].Url);
        async Task VisitAsync(int views)
        {
            var (load, _) = await Load.VisitAsync(
                views,
                scenario.Connections * scenario.Instances,
                n => apps[n % apps.Count].Url,
                _ => scenario.Visitors == Visitors.New ? null : ids[Random.Shared.Next(ids.Length)]);
            if (load.Failures > 0)
            {
                AnsiConsole.WriteLine($"{load.Failures} of {views} counted views failed: {scenario.Title}");
            }
        }
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

    /// <summary>Makes the single measurements.</summary>
    private async Task MeasureOnceAsync(ProgressContext progress)
    {
        var once = new OneTimeMeasurements(launcher, report);
        var apps = sites.Where(site => site.Folder is not null).ToList();
        foreach (var app in apps)
        {
            if (options.Runs(Scenario.Latency))
            {
                await RunStageAsync(progress, $"{app.Prefix}latency", 1, _ => once.MeasureLatencyAsync(app));
            }
            if (options.Runs(Scenario.Memory))
            {
                const int Requests = OneTimeMeasurements.Requests;
                await RunStageAsync(
                    progress, $"{app.Prefix}memory", Requests, stage => once.MeasureMemoryAsync(app, stage.Increment));
            }
        }
        if (options.Runs(Scenario.Start))
        {
            const int Starts = OneTimeMeasurements.Starts;
            await RunStageAsync(progress, "start", Starts, stage => once.MeasureStartAsync(apps, stage.Increment));
        }
    }
}
