using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Greeter.Bench;

/// <summary>A process that lives no longer than this one.</summary>
internal sealed class Child : IAsyncDisposable
{
    // The command runs in a session of its own, with a watcher beside it that reads from a pipe whose other end is here. When
    // this process ends, however it ends (Ctrl+C, kill -9), the pipe closes and the watcher kills the command and all that the
    // command has started. So nothing here handles signals.
    private const string Watched = """exec 3<&0; (cat <&3; kill -9 0) >/dev/null 2>&1 & exec "$@" </dev/null 3<&-""";

    private const int LinesKept = 100;
    private static readonly string[] Inherited = ["PATH", "HOME", "DOTNET_ROOT", "TMPDIR", "LANG"];
    private static readonly HttpClient Prober = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });

    private readonly string name;
    private readonly Process process;
    private readonly List<string> lines = [];
    private readonly Stopwatch age = Stopwatch.StartNew();
    private int lineCount;
    private int linesAtFirst;
    private bool isDisposed;

    private Child(string name, ProcessStartInfo start)
    {
        this.name = name;
        process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => Keep(line.Data);
        process.ErrorDataReceived += (_, line) => Keep(line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Where it answers HTTP, if it does.</summary>
    public Uri Url { get; private init; } = new("http://127.0.0.1");

    /// <summary>Its resident memory in bytes.</summary>
    public long ResidentBytes
    {
        get
        {
            process.Refresh();
            return process.WorkingSet64;
        }
    }

    /// <summary>Starts a command. Its output goes to a pipe, as a platform reads it.</summary>
    /// <param name="name">What it is, for a person to read.</param>
    /// <param name="command">A program and its arguments.</param>
    /// <param name="environment">All of its environment but PATH and its like; null to hand on this process's own.</param>
    /// <param name="url">Where it will answer HTTP.</param>
    public static Child Start(string name, string[] command, (string Key, string Value)[]? environment = null, Uri? url = null)
    {
        var start = new ProcessStartInfo("setsid", ["sh", "-c", Watched, "sh", .. command])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (environment is not null)
        {
            foreach (var key in start.Environment.Keys.Except(Inherited).ToList())
            {
                start.Environment.Remove(key);
            }
        }
        foreach (var (key, value) in environment ?? [])
        {
            start.Environment[key] = value;
        }
        return new Child(name, start) { Url = url ?? new("http://127.0.0.1") };
    }

    /// <summary>Starts a command that ends by itself, and waits for it.</summary>
    /// <returns>The first lines of its output.</returns>
    /// <exception cref="BenchException">It failed.</exception>
    public static async Task<IReadOnlyList<string>> RunAsync(string name, params string[] command)
    {
        await using var child = Start(name, command);
        await child.process.WaitForExitAsync();
        return child.process.ExitCode == 0 ? child.lines : throw new BenchException($"{name} failed:\n{child.Text}");
    }

    public static Uri FreeUrl()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return new Uri($"http://{listener.LocalEndpoint}");
    }

    /// <summary>Waits for the first 200.</summary>
    /// <returns>The time since the start, to about 2 ms.</returns>
    /// <exception cref="BenchException">It ended, or a minute passed.</exception>
    public async Task<TimeSpan> AnswersAsync()
    {
        while (!process.HasExited && age.Elapsed < TimeSpan.FromMinutes(1))
        {
            try
            {
                using var response = await Prober.GetAsync(Url);
                if (response.StatusCode == HttpStatusCode.OK)
                {
                    linesAtFirst = lineCount;
                    return age.Elapsed;
                }
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }
            await Task.Delay(2);
        }
        throw new BenchException($"{name} did not start:\n{Text}");
    }

    /// <summary>Says what it logged since its first answer: an app whose requests go well logs nothing.</summary>
    public void ReportLog()
    {
        lock (lines)
        {
            foreach (var line in lines.Skip(linesAtFirst).Take(3))
            {
                Say.Line($"! {name} logged: {(line.Length > 400 ? line[..400] + "…" : line)}");
            }
            if (lineCount > linesAtFirst)
            {
                Say.Line($"! {name} logged {lineCount - linesAtFirst} lines since its first answer");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!isDisposed)
        {
            isDisposed = true;
            process.StandardInput.Close();
            await process.WaitForExitAsync();
            process.Dispose();
        }
    }

    private string Text => string.Join('\n', lines);

    private void Keep(string? line)
    {
        lock (lines)
        {
            if (line is not null && ++lineCount <= LinesKept)
            {
                lines.Add(line);
            }
        }
    }
}
