using System.Net.Http.Json;

namespace Greeter.Bench;

/// <summary>Starts what is needed, and runs the scenarios.</summary>
internal sealed class Scenarios(Options options)
{
    public const string Project = "greeter-bench";
    public const int Sessions = 2000;
    public const int Connections = 16;

    private const int Views = 2000;
    private const string OneConnection = "one session, 1 connection", OneSession = "one session, 16 connections";

    private static readonly (string Scenario, string Title, int Connections)[] HttpScenarios =
    [
        (Options.Returning, "returning visitors", Connections),
        (Options.First, "first visits", Connections),
        (Options.OneConnection, OneConnection, 1),
        (Options.OneSession, OneSession, Connections),
    ];

    private static readonly TimeSpan Way = TimeSpan.FromMilliseconds(10);
    private static readonly HttpClient Control = new() { Timeout = Timeout.InfiniteTimeSpan };

    private readonly List<Child> children = [];
    private readonly List<Child> apps = [];
    private readonly List<Row> rows = [];
    private string emulator = "";

    /// <summary>Runs them all.</summary>
    /// <returns>The table.</returns>
    /// <exception cref="BenchException">Something did not start.</exception>
    public async Task<string> RunAsync()
    {
        try
        {
            await PublishAsync();
            await StartEmulatorAsync();
            var (client, empty) = await RunRoundsAsync();
            await CountCallsAsync();
            await WanderAsync();
            await DelayAsync();
            await StartRepeatedlyAsync();
            await ServeAMillionAsync();
            apps.ForEach(app => app.ReportLog());
            return Table.Format(rows, client, empty);
        }
        finally
        {
            foreach (var child in children)
            {
                await child.DisposeAsync();
            }
        }
    }

    private static async Task PublishAsync()
    {
        Say.Line($"publishes the app: Release, {Environment.ProcessorCount} cores, .NET {Environment.Version}");
        if (Directory.Exists(Repository.Work))
        {
            Directory.Delete(Repository.Work, recursive: true);
        }
        Directory.CreateDirectory(Repository.Work);
        await Child.RunAsync("dotnet publish", "dotnet", "publish", Path.Combine(Repository.Root, "Greeter.Api"),
            "--configuration", "Release", "--output", Repository.App, "--disable-build-servers");
    }

    private async Task StartEmulatorAsync()
    {
        if (!options.Only.Except([Options.Embedded, Options.Memory]).Any())
        {
            return;
        }
        emulator = Environment.GetEnvironmentVariable("FIRESTORE_EMULATOR_HOST") ?? "";
        if (emulator.Length > 0)
        {
            Say.Line($"uses the emulator at {emulator}");
            return;
        }
        var url = Child.FreeUrl();
        Say.Line($"starts Google's emulator at {url.Authority}");
        string[] command = ["gcloud", "emulators", "firestore", "start", $"--host-port={url.Authority}", "--quiet"];
        var child = Child.Start("the emulator", command, null, url);
        children.Add(child);
        await child.AnswersAsync();
        emulator = url.Authority;
    }

    /// <summary>The scenarios that make as many requests as they can, by turns.</summary>
    private async Task<(Row? Client, Row? Empty)> RunRoundsAsync()
    {
        var client = HttpScenarios.Any(each => options.Runs(each.Scenario)) ? await StartClientAloneAsync() : null;
        List<Row> together = [], pair = [], last = [];
        if (client is not null)
        {
            together.Add(client);
            var app = await StartAppAsync("the app", ("FIRESTORE_EMULATOR_HOST", emulator));
            List<Target> targets = [await PrepareAsync("", app.Url, options.Warm)];
            foreach (var (name, url) in options.Peers)
            {
                targets.Add(await PrepareAsync($"{name}: ", url, Sessions));
            }
            foreach (var (scenario, title, connections) in HttpScenarios.Where(each => options.Runs(each.Scenario)))
            {
                foreach (var target in targets)
                {
                    // Of a server that locks up when one visitor's requests collide, nothing else is measured after that.
                    var sides = scenario is Options.Returning or Options.First ? together
                        : scenario == Options.OneSession && target != targets[0] ? last : pair;
                    sides.Add(new Row(target.Prefix + title, async time =>
                        await Load.WrkAsync(target.Url, connections, time, await target.GetIdsAsync(scenario))));
                }
            }
        }
        var empty = options.Runs(Options.Embedded) ? await AddEmbeddedAsync(together) : null;
        rows.AddRange([.. together, .. pair, .. last]);
        await RunRoundsAsync(together);
        await RunRoundsAsync(pair);
        await RunRoundsAsync(last);
        if (rows.Find(row => row.Title == OneSession) is { } crowd && rows.Find(row => row.Title == OneConnection) is { } single)
        {
            crowd.Note = $"{Table.FormatRatio(crowd, single)} of 1 connection";
        }
        return (client, empty);
    }

    private async Task RunRoundsAsync(List<Row> sides)
    {
        var warm = TimeSpan.FromSeconds(Math.Min(3, options.Seconds));
        foreach (var side in sides)
        {
            Say.Line($"warms: {side.Title}");
            await side.Run!(warm);
        }
        for (var round = 1; round <= options.Rounds; round++)
        {
            foreach (var side in sides)
            {
                var load = await side.Run!(TimeSpan.FromSeconds(options.Seconds));
                side.Loads.Add(load);
                Say.Line($"round {round} of {options.Rounds}: {side.Title}, {Describe(load)}");
            }
        }
    }

    private async Task<Row> StartClientAloneAsync()
    {
        var server = await StartLimitAsync(Limits.Client, ("FIRESTORE_EMULATOR_HOST", emulator));
        return new Row("client alone (no HTTP)", async time =>
            await Control.GetFromJsonAsync<Load>(new Uri(server.Url, $"/run?seconds={time.TotalSeconds}"))
                ?? throw new BenchException("The client alone gave no result."));
    }

    private async Task<Row> AddEmbeddedAsync(List<Row> sides)
    {
        var limit = await StartLimitAsync(Limits.Empty);
        var app = await StartEmbeddedAsync("the embedded app");
        var ids = (await PrepareAsync("embedded: ", app.Url, Sessions)).Ids;
        var empty = new Row("empty endpoint", time => Load.WrkAsync(limit.Url, Connections, time, null));
        sides.Add(empty);
        sides.Add(new Row("embedded store", time => Load.WrkAsync(app.Url, Connections, time, ids)) { IsOnFirestore = false });
        return empty;
    }

    /// <summary>Makes sessions, by first visits, and warms the server with views of them.</summary>
    private async Task<Target> PrepareAsync(string prefix, Uri url, int warm)
    {
        Say.Line($"{prefix}{warm:#,0} views of {url}, {Sessions:#,0} of them first visits");
        // Two rows want a new session each time that they run; the emulator gets slower with each version that a document has had.
        var spare = 2 * (options.Rounds + 1);
        var (load, ids) = await Load.ExactlyAsync(Sessions + spare, Connections, _ => url, _ => null);
        if (load.Failures > 0)
        {
            throw new BenchException($"{load.Failures} of {load.Requests} first visits to {url} got no 200 with a session_id.");
        }
        var (rest, _) = await Load.ExactlyAsync(Math.Max(0, warm - Sessions), Connections, _ => url, n => ids[n % Sessions]);
        Say.Line($"{prefix}{Describe(rest.Requests > 0 ? rest : load)}");
        var file = Path.Combine(Repository.Work, $"{url.Port}.ids");
        await File.WriteAllLinesAsync(file, ids[..Sessions]);
        return new Target(prefix, url, file, new Queue<string>(ids[Sessions..]));
    }

    /// <summary>Calls to Firestore per view: an app of its own, behind a relay that counts them.</summary>
    private async Task CountCallsAsync()
    {
        if (!HttpScenarios.Any(each => options.Runs(each.Scenario)))
        {
            return;
        }
        Say.Line($"counts calls to Firestore over {Views:#,0} views of each kind");
        using var relay = new Relay(emulator);
        await using var app = await StartAppAsync("the counted app", ("FIRESTORE_EMULATOR_HOST", relay.Host));
        string[] ids = [];
        foreach (var (scenario, title, connections) in HttpScenarios.OrderByDescending(each => each.Scenario == Options.First))
        {
            var before = relay.Calls;
            var (load, answered) = await Load.ExactlyAsync(Views, connections, _ => app.Url, n => scenario switch
            {
                Options.First => null,
                Options.Returning => ids[n],
                _ => ids[0],
            });
            ids = scenario == Options.First ? answered : ids;
            ReportFailures(title, load);
            if (rows.Find(row => row.Title == title) is { } row)
            {
                row.CallsPerView = (double)(relay.Calls - before) / Views;
            }
        }
    }

    /// <summary>Visitors who wander at random between two instances.</summary>
    private async Task WanderAsync()
    {
        if (!options.Runs(Options.Wandering))
        {
            return;
        }
        const int Visitors = 200;
        Say.Line($"{Visitors} visitors wander between two instances, {Views:#,0} views");
        using var relay = new Relay(emulator);
        await using var one = await StartAppAsync("an instance", ("FIRESTORE_EMULATOR_HOST", relay.Host));
        await using var two = await StartAppAsync("another instance", ("FIRESTORE_EMULATOR_HOST", relay.Host));
        Uri AtRandom(int n) => Random.Shared.Next(2) == 0 ? one.Url : two.Url;
        var (_, ids) = await Load.ExactlyAsync(Visitors, Connections, AtRandom, _ => null);
        var before = relay.Calls;
        var (load, _) = await Load.ExactlyAsync(Views, Connections, AtRandom, n => ids[n % Visitors]);
        rows.Add(new Row("wandering between two instances") { CallsPerView = (double)(relay.Calls - before) / Views });
        ReportFailures("wandering", load);
    }

    /// <summary>How many round trips a view costs: over a way so long that nothing else matters.</summary>
    private async Task DelayAsync()
    {
        if (!options.Runs(Options.Relay))
        {
            return;
        }
        const int Visitors = 200;
        Say.Line($"{Visitors} first and {Visitors} returning visits, one by one, Firestore {Way.TotalMilliseconds} ms away");
        using var relay = new Relay(emulator, Way);
        await using var app = await StartAppAsync("the distant app", ("FIRESTORE_EMULATOR_HOST", relay.Host));
        await Load.ExactlyAsync(Visitors, Connections, _ => app.Url, _ => null);
        async Task<string[]> MeasureAsync(string title, Func<int, string?> id)
        {
            var (load, ids) = await Load.ExactlyAsync(Visitors, 1, _ => app.Url, id);
            var roundTrips = load.P50 / (2 * Way.TotalMilliseconds);
            rows.Add(new Row(title) { Loads = { load }, Note = $"{roundTrips:0.00} round trips at p50" });
            return ids;
        }
        var ids = await MeasureAsync("first visit, 10 ms each way", _ => null);
        await MeasureAsync("returning visit, 10 ms each way", n => ids[n]);
    }

    /// <summary>From the start of the process to its first 200, by turns with a bare app.</summary>
    private async Task StartRepeatedlyAsync()
    {
        if (!options.Runs(Options.Start))
        {
            return;
        }
        const int Times = 10;
        Say.Line($"starts the app and a bare one {Times} times each");
        async Task<double> MeasureAsync(Child child)
        {
            await using (child)
            {
                return (await child.AnswersAsync()).TotalMilliseconds;
            }
        }
        var (ours, bare) = (new double[Times], new double[Times]);
        for (var i = 0; i < Times; i++)
        {
            ours[i] = await MeasureAsync(LaunchApp("the app", ("FIRESTORE_EMULATOR_HOST", emulator)));
            bare[i] = await MeasureAsync(LaunchLimit(Limits.Empty));
            Say.Line($"start {i + 1} of {Times}: {ours[i]:0} ms, bare {bare[i]:0} ms");
        }
        rows.Add(new Row("start to first 200")
        {
            Loads = { new Load(Times, 0, Table.Median(ours), 0, 0) },
            Note = $"{Table.Median(ours) / Table.Median(bare):0.00} of a bare app's {Table.Median(bare):0} ms",
        });
    }

    /// <summary>Resident memory along a million requests of the embedded store.</summary>
    private async Task ServeAMillionAsync()
    {
        if (!options.Runs(Options.Memory))
        {
            return;
        }
        const long Early = 100_000, End = 1_000_000;
        await using var app = await StartEmbeddedAsync("the app in memory");
        var ids = (await PrepareAsync("memory: ", app.Url, Sessions)).Ids;
        var row = new Row("a million embedded requests");
        (long Requests, double Megabytes) early = default, now = default;
        while (now.Requests < End)
        {
            var load = await Load.WrkAsync(app.Url, Connections, TimeSpan.FromSeconds(2), ids);
            row.Loads.Add(load);
            var before = now.Requests;
            now = (before + load.Requests, app.ResidentBytes / 1e6);
            early = early.Requests < Early ? now : early;
            if (now.Requests / Early > before / Early)
            {
                Say.Line($"{now.Requests:#,0} embedded requests: {now.Megabytes:0} MB resident");
            }
        }
        row.Note = $"{early.Megabytes:0} MB after {early.Requests:#,0}, {now.Megabytes:0} MB after {now.Requests:#,0}: "
            + $"{now.Megabytes / early.Megabytes - 1:+0.0 %;-0.0 %}";
        rows.Add(row);
    }

    private static Child LaunchApp(string name, params (string Key, string Value)[] environment)
    {
        var url = Child.FreeUrl();
        var command = new[] { "dotnet", Path.Combine(Repository.App, "Greeter.Api.dll"), "--urls", url.OriginalString };
        return Child.Start(name, command, [("GOOGLE_CLOUD_PROJECT", Project), .. environment], url);
    }

    private static Child LaunchLimit(string limit, params (string Key, string Value)[] environment)
    {
        var url = Child.FreeUrl();
        // Its own content root: it watches that for changed settings, and would see each line that the embedded store writes.
        var program = typeof(Limits).Assembly.Location;
        string[] command = ["dotnet", program, limit, "--urls", url.OriginalString, "--contentRoot", Path.GetDirectoryName(program)!];
        return Child.Start(limit, command, environment, url);
    }

    private async Task<Child> StartAppAsync(string name, params (string Key, string Value)[] environment)
    {
        var app = await StartedAsync(LaunchApp(name, environment));
        apps.Add(app);
        return app;
    }

    private async Task<Child> StartLimitAsync(string limit, params (string Key, string Value)[] environment) =>
        await StartedAsync(LaunchLimit(limit, environment));

    // Only Development has the embedded store, and only where no project is named.
    private async Task<Child> StartEmbeddedAsync(string name) => await StartAppAsync(
        name,
        ("GOOGLE_CLOUD_PROJECT", ""),
        ("ASPNETCORE_ENVIRONMENT", "Development"),
        ("Firestore__EmbeddedFolder", Path.Combine(Repository.Work, Guid.NewGuid().ToString("N"))));

    private async Task<Child> StartedAsync(Child child)
    {
        children.Add(child);
        await child.AnswersAsync();
        return child;
    }

    private static void ReportFailures(string title, Load load)
    {
        if (load.Failures > 0)
        {
            Say.Line($"! {title}: {load.Failures} of {load.Requests} views failed");
        }
    }

    private static string Describe(Load load) =>
        $"{load.PerSecond:#,0}/s, p50 {load.P50:0.00} ms, p99 {load.P99:0.0} ms, {load.Failures} failures";

    /// <param name="Prefix">Its name in the table; empty for the app.</param>
    /// <param name="Url">Where it answers.</param>
    /// <param name="Ids">A file with the ids of its sessions.</param>
    /// <param name="Spare">The ids of others.</param>
    private sealed record Target(string Prefix, Uri Url, string Ids, Queue<string> Spare)
    {
        /// <summary>The file with a scenario's sessions; null where each request makes one.</summary>
        public async Task<string?> GetIdsAsync(string scenario)
        {
            if (scenario is Options.First or Options.Returning)
            {
                return scenario == Options.First ? null : Ids;
            }
            await File.WriteAllTextAsync($"{Ids}.one", Spare.Dequeue());
            return $"{Ids}.one";
        }
    }
}
