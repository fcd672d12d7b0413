using System.Runtime.InteropServices;

namespace Greeter.Testing;

/// <summary>A process that ends, with every process it has started, when this process ends.</summary>
public partial class ChildProcess : IAsyncDisposable
{
    // The command leads a session, and so a process group, of its own. A watcher in that group reads a pipe whose other end is
    // in this process. When this process ends, even by SIGKILL, the pipe closes and the watcher kills the group. The command
    // replaces the shell, so that the process ID, the processor time, and the memory are the command's own.
    private const string Watched = """exec 3<&0; (cat <&3; kill -9 0) >/dev/null 2>&1 & exec "$@" </dev/null 3<&-""";

    private const int SigKill = 9;
    private const int SigTerm = 15;
    private static readonly string[] Basic = ["PATH", "HOME", "DOTNET_ROOT", "TMPDIR", "LANG"];

    private readonly ConcurrentQueue<string> output = [];
    private readonly ConcurrentQueue<string> standardOutput = [];
    private readonly Process process;
    private TaskCompletionSource nextLine = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool isDisposed;

    /// <summary>Starts a command.</summary>
    /// <param name="command">A program and its arguments.</param>
    /// <param name="environment">The variables to set.</param>
    /// <param name="folder">The working directory.</param>
    /// <param name="inherits">Which of this process's own variables the command gets; by default only PATH and its like.</param>
    protected ChildProcess(
        IEnumerable<string> command,
        IEnumerable<(string Key, string Value)> environment,
        string? folder = null,
        Func<string, bool>? inherits = null)
    {
        var start = new ProcessStartInfo("setsid", ["sh", "-c", Watched, "sh", .. command])
        {
            WorkingDirectory = folder ?? "",
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        inherits ??= Basic.Contains;
        foreach (var name in start.Environment.Keys.Where(name => !inherits(name)).ToList())
        {
            start.Environment.Remove(name);
        }
        foreach (var (key, value) in environment)
        {
            start.Environment[key] = value;
        }
        process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is not null)
            {
                standardOutput.Enqueue(line.Data);
            }
            Read(line.Data);
        };
        process.ErrorDataReceived += (_, line) => Read(line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Gets the lines of stdout and stderr so far.</summary>
    public IReadOnlyCollection<string> Output => output;

    /// <summary>Gets the lines of stdout so far.</summary>
    public IReadOnlyCollection<string> StandardOutput => standardOutput;

    /// <summary>Gets the output so far as one string.</summary>
    public string Text => string.Join('\n', output);

    /// <summary>Gets the process ID of the command.</summary>
    public int Id => process.Id;

    /// <summary>Starts a command. The parameters are those of the constructor.</summary>
    public static ChildProcess Start(
        IEnumerable<string> command,
        IEnumerable<(string Key, string Value)> environment,
        string? folder = null,
        Func<string, bool>? inherits = null) => new(command, environment, folder, inherits);

    /// <summary>Waits for a line with this text, and returns it.</summary>
    /// <exception cref="InvalidOperationException">The process ended, or the time is up; the message is its output.</exception>
    public async Task<string> WaitForLineAsync(string text, TimeSpan timeout)
    {
        var end = Task.WhenAny(process.WaitForExitAsync(), Task.Delay(timeout));
        while (true)
        {
            // Taken before the lines are read: a line that arrives in between completes it.
            var next = Volatile.Read(ref nextLine).Task;
            var hasEnded = end.IsCompleted;
            if (output.FirstOrDefault(line => line.Contains(text, StringComparison.Ordinal)) is { } found)
            {
                return found;
            }
            if (hasEnded)
            {
                throw new InvalidOperationException($"There was no \"{text}\" in the output:\n{Text}");
            }
            await Task.WhenAny(next, end);
        }
    }

    /// <summary>Waits until an ASP.NET Core server in the process has started, and returns its address on this machine.</summary>
    /// <exception cref="InvalidOperationException">It did not start within a minute; the message is its output.</exception>
    public async Task<Uri> WaitUntilListeningAsync()
    {
        // The last line that the host logs when it has started.
        await WaitForLineAsync("Content root path", TimeSpan.FromMinutes(1));
        var line = await WaitForLineAsync("Now listening on", TimeSpan.Zero);
        var address = new Uri(ListeningAddress().Match(line).Groups[1].Value);
        return address.Host is "[::]" or "0.0.0.0" ? new Uri($"http://127.0.0.1:{address.Port}") : address;
    }

    /// <summary>Sends SIGTERM to the command, as a platform does to stop an instance.</summary>
    public void Terminate() => _ = Kill(Id, SigTerm);

    /// <summary>Sends SIGKILL to the command and to everything that it has started.</summary>
    public async Task KillAsync()
    {
        _ = Kill(-Id, SigKill);
        await process.WaitForExitAsync();
    }

    /// <summary>Waits for the end of the process.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="OperationCanceledException">The time is up; a minute by default.</exception>
    public async Task<int> WaitForExitAsync(TimeSpan? timeout = null)
    {
        using var patience = new CancellationTokenSource(timeout ?? TimeSpan.FromMinutes(1));
        await process.WaitForExitAsync(patience.Token);
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (!isDisposed)
        {
            isDisposed = true;
            await KillAsync();
            process.Dispose();
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern int Kill(int processId, int signal);

    [GeneratedRegex("Now listening on: (http://[^ \"]+)")]
    private static partial Regex ListeningAddress();

    private void Read(string? line)
    {
        if (line is not null)
        {
            output.Enqueue(line);
            Interlocked.Exchange(ref nextLine, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
        }
    }
}
