using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Greeter.Firestore;
using Greeter.Firestore.Transport;

namespace Greeter.Tests.Infrastructure;

/// <summary>Google's Firestore emulator: the one in FIRESTORE_EMULATOR_HOST, else one that is started on a free port.</summary>
public sealed class Emulator : IAsyncDisposable
{
    private static readonly Lazy<Task<Emulator>> SharedInstance = new(StartAsync);

    // Ends the emulator, all its processes, when this process ends, however it ends.
    private const string Watch = """
        set -m
        "$@" < /dev/null &
        emulator=$!
        exec 3<&0
        { read -r _ <&3; kill -TERM -- -$emulator; } &
        # wait also returns when the emulator is frozen
        while kill -0 $emulator 2> /dev/null; do wait $emulator; sleep 0.1; done
        """;

    private readonly Process? process;

    private Emulator(string host, Process? process) => (Host, this.process) = (host, process);

    /// <summary>A project that nobody else has: an empty database.</summary>
    public static string NewProject() => $"test-{Guid.NewGuid():N}"[..30];

    /// <summary>Why there is none, and what to install; null if there is one.</summary>
    public static string? MissingReason { get; } =
        Environment.GetEnvironmentVariable("FIRESTORE_EMULATOR_HOST") is { Length: > 0 } || Tool.IsOnPath("gcloud") && Tool.IsOnPath("java")
            ? null
            : "Google's Firestore emulator is missing: install the gcloud CLI, its cloud-firestore-emulator component, and Java 11 or later.";

    /// <summary>host:port</summary>
    public string Host { get; }

    /// <summary>Stops it in the middle of whatever it does, as a machine that is out of memory would.</summary>
    public void Freeze() => Signal("STOP");

    public void Thaw() => Signal("CONT");

    /// <summary>The one that most tests share; each uses a project of its own in it.</summary>
    public static Task<Emulator> SharedAsync() => SharedInstance.Value;

    /// <summary>One that a test may stop.</summary>
    public static async Task<Emulator> StartAsync(int port)
    {
        var host = $"127.0.0.1:{port}";
        var start = new ProcessStartInfo(
            "bash", ["-c", Watch, "watch", "gcloud", "emulators", "firestore", "start", $"--host-port={host}", "--quiet"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        var process = Process.Start(start)!;
        var isReady = new TaskCompletionSource();
        var output = new List<string>();
        void Read(object sender, DataReceivedEventArgs line)
        {
            lock (output)
            {
                output.Add(line.Data ?? "");
            }
            if (line.Data?.Contains("Dev App Server is now running", StringComparison.Ordinal) == true)
            {
                isReady.TrySetResult();
            }
        }
        process.OutputDataReceived += Read;
        process.ErrorDataReceived += Read;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var first = await Task.WhenAny(isReady.Task, process.WaitForExitAsync(), Task.Delay(TimeSpan.FromSeconds(90)));
        if (first != isReady.Task)
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException($"The emulator did not start:\n{string.Join('\n', output)}");
        }
        await WarmUpAsync(host);
        return new Emulator(host, process);
    }

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        if (process is not null)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            process.Dispose();
        }
    }

    /// <summary>Its first commit may take longer than the client gives a call.</summary>
    private static async Task WarmUpAsync(string host)
    {
        var address = new Uri($"http://{host}");
        var channel = new GrpcChannel(new SocketsHttpHandler(), address, authorize: null, TimeSpan.FromSeconds(60));
        using IDisposable database = new FirestoreDb("warm-up", "(default)", new FirestoreClient(channel));
        await ((FirestoreDb)database).Document("warm/up").SetAsync(new Dictionary<string, object> { ["views"] = 1L });
    }

    // To each process of the tree: the emulator is a child of gcloud's.
    private void Signal(string name)
    {
        // Not to the watching shell itself.
        const string Tree = "tree() { for child in $(pgrep -P $1); do echo $child; tree $child; done; }";
        using var kill = Process.Start("bash", ["-c", $"{Tree}; kill -{name} $(tree {process!.Id})"]);
        kill.WaitForExit();
    }

    private static Task<Emulator> StartAsync() =>
        Environment.GetEnvironmentVariable("FIRESTORE_EMULATOR_HOST") is { Length: > 0 } host
            ? Task.FromResult(new Emulator(host, null))
            : StartAsync(FreePort());
}
