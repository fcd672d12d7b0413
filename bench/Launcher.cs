namespace Greeter.Bench;

/// <summary>Starts servers, and ends all of them at the end of the run.</summary>
internal sealed class Launcher : IAsyncDisposable
{
    public const string Project = "greeter-bench";

    private readonly List<Server> servers = [];
    private Emulator? emulator;

    /// <summary>Gets the address of the emulator as host:port.</summary>
    public string EmulatorHost => emulator?.Host ?? throw new InvalidOperationException("The emulator has not been started.");

    /// <summary>Gets the folder for what a run writes. The next run empties it.</summary>
    public static string WorkFolder { get; } = Path.Combine(Repository.Root, "bench", "bin", "work");

    /// <summary>Creates sessions at a server, and visits them.</summary>
    /// <returns>The session IDs.</returns>
    public static async Task<string[]> WarmUpAsync(Server server, int views)
    {
        var ids = await Load.CreateSessionsAsync(Scenario.Sessions, server.Url);
        await Load.VisitAsync(
            Math.Max(0, views - ids.Length), Scenario.DefaultConnections, _ => server.Url, n => ids[n % ids.Length]);
        return ids;
    }

    /// <summary>Writes session IDs to a file for wrk.</summary>
    /// <returns>The path of the file.</returns>
    public static async Task<string> WriteIdsAsync(IEnumerable<string> ids)
    {
        var file = Path.Combine(WorkFolder, $"{Guid.NewGuid():N}.ids");
        await File.WriteAllLinesAsync(file, ids);
        return file;
    }

    /// <summary>Starts Google's emulator, unless FIRESTORE_EMULATOR_HOST names one.</summary>
    public async Task StartEmulatorAsync()
    {
        Emulator.IsOptimized = true;
        emulator = await Emulator.SharedAsync();
    }

    /// <summary>Starts the app.</summary>
    /// <param name="site">Which app.</param>
    /// <param name="firestore">The address of the emulator, or of a relay to it; null for the emulator.</param>
    public Task<Server> StartAppAsync(Site site, string? firestore = null) => StartAsync(
        site, ("GOOGLE_CLOUD_PROJECT", Project), ("FIRESTORE_EMULATOR_HOST", firestore ?? EmulatorHost));

    /// <summary>Starts the app on an empty embedded store. It uses one only in Development, and only without a project.</summary>
    public Task<Server> StartEmbeddedAsync(Site site) => StartAsync(
        site,
        ("ASPNETCORE_ENVIRONMENT", "Development"),
        ("Firestore__EmbeddedFolder", Path.Combine(WorkFolder, Guid.NewGuid().ToString("N"))));

    /// <summary>Starts one of <see cref="Limits"/>.</summary>
    /// <param name="limit">Its name.</param>
    /// <param name="folder">The folder of the bench; null for this one.</param>
    public Task<Server> StartLimitAsync(string limit, string? folder = null) => StartAsync(
        limit,
        Path.Combine(folder ?? AppContext.BaseDirectory, "Greeter.Bench.dll"),
        [limit],
        ("FIRESTORE_EMULATOR_HOST", EmulatorHost));

    private Task<Server> StartAsync(Site site, params (string Key, string Value)[] environment) =>
        StartAsync($"{site.Prefix}the app", Path.Combine(site.Folder!, "Greeter.Api.dll"), [], environment);

    private async Task<Server> StartAsync(
        string name, string program, string[] arguments, params (string Key, string Value)[] environment)
    {
        var server = await Server.StartAsync(name, program, arguments, environment);
        servers.Add(server);
        return server;
    }

    /// <summary>Returns the lines that the servers have logged since their start.</summary>
    public IEnumerable<string> GetNewLogLines() => servers.SelectMany(server => server.GetNewLogLines());

    public async ValueTask DisposeAsync()
    {
        foreach (var server in servers)
        {
            await server.DisposeAsync();
        }
        if (emulator is not null)
        {
            await emulator.DisposeAsync();
        }
    }
}
