using System.Net.Http.Json;

namespace Greeter.Testing;

/// <summary>Google's Firestore emulator: the one in FIRESTORE_EMULATOR_HOST, or one that is started on a free port.</summary>
public sealed class Emulator : IAsyncDisposable
{
    private static readonly Lazy<Task<Emulator>> SharedInstance = new(FindAsync);

    private readonly ChildProcess? process;

    private Emulator(string host, ChildProcess? process) => (Host, this.process) = (host, process);

    /// <summary>Gets what to install if there is no emulator; null if there is one. In CI it is always null, so that
    /// tests fail instead of being skipped.</summary>
    public static string? MissingReason { get; } =
        Repository.IsOnCI || GivenHost is not null || (Tool.IsOnPath("gcloud") && Tool.IsOnPath("java"))
            ? null
            : "Google's Firestore emulator is missing: install the gcloud CLI, its cloud-firestore-emulator component, "
                + "and Java 11 or later.";

    private static string? GivenHost =>
        Environment.GetEnvironmentVariable("FIRESTORE_EMULATOR_HOST") is { Length: > 0 } host ? host : null;

    /// <summary>Gets or sets whether the Java virtual machine of an emulator that is started optimizes its code.</summary>
    /// <remarks>A benchmark needs that. Without it, the emulator leaves more of the processor to the tests.</remarks>
    public static bool IsOptimized { get; set; }

    /// <summary>Gets the address as host:port.</summary>
    public string Host { get; }

    /// <summary>Returns the ID of a project that nobody else uses, and so of an empty database.</summary>
    public static string NewProject() => $"test-{Guid.NewGuid():N}"[..30];

    /// <summary>Returns the emulator that most tests share. Each test has a project of its own in it.</summary>
    /// <remarks>It starts when the first test needs it. An assembly fixture would start with every run. A test that needs an emulator is
    /// skipped if it is missing, except in CI.</remarks>
    public static Task<Emulator> SharedAsync() => SharedInstance.Value;

    /// <summary>Starts an emulator that a test may stop.</summary>
    /// <param name="isInDatastoreMode">Whether it refuses Firestore's calls.</param>
    public static async Task<Emulator> StartAsync(bool isInDatastoreMode = false)
    {
        const string Options = "JDK_JAVA_OPTIONS";
        Tool.SkipTestIf(MissingReason);
        for (var tries = 1; ; tries++)
        {
            var host = FreeHost();
            var process = ChildProcess.Start(
                ["gcloud", "emulators", "firestore", "start", $"--host-port={host}", "--quiet",
                    $"--database-mode={(isInDatastoreMode ? "datastore-mode" : "firestore-native")}"],
                IsOptimized ? [] : [(Options, $"{Environment.GetEnvironmentVariable(Options)} -XX:TieredStopAtLevel=1")],
                inherits: _ => true);
            try
            {
                await process.WaitForLineAsync("Dev App Server is now running", TimeSpan.FromSeconds(90));
                if (!isInDatastoreMode)
                {
                    await WarmUpAsync(host);
                }
                return new Emulator(host, process);
            }
            catch (Exception e)
            {
                await process.DisposeAsync();
                if (tries == 3 || !e.Message.Contains("BindException", StringComparison.Ordinal))
                {
                    throw;
                }
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (process is not null)
        {
            await process.DisposeAsync();
        }
    }

    /// <summary>Makes the first commit, which may take longer than a client gives a call.</summary>
    private static async Task WarmUpAsync(string host)
    {
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Add("Authorization", "Bearer owner");
        const string Documents = "projects/warm-up/databases/(default)/documents";
        var commit = new { writes = new[] { new { update = new { name = $"{Documents}/warm/up" } } } };
        using var response = await http.PostAsJsonAsync($"http://{host}/v1/{Documents}:commit", commit);
        response.EnsureSuccessStatusCode();
    }

    private static Task<Emulator> FindAsync() =>
        GivenHost is null ? StartAsync() : Task.FromResult(new Emulator(GivenHost, null));

    // With port 0, the emulator doesn't report the port that it takes. If another process takes this one first, StartAsync tries
    // another.
    private static string FreeHost()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener.LocalEndpoint.ToString()!;
    }
}
