using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Greeter.Tests.Infrastructure;

/// <summary>The app as a process of its own, started with nothing in its environment but what the test gives.</summary>
public sealed class GreeterProcess : IAsyncDisposable
{
    private static readonly string[] Inherited = ["PATH", "HOME", "DOTNET_ROOT", "TMPDIR", "LANG", "SystemRoot", "TEMP"];

    private readonly ConcurrentQueue<string> output = [];
    private readonly TaskCompletionSource listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Process process;

    private GreeterProcess(ProcessStartInfo start)
    {
        process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => Read(line.Data);
        process.ErrorDataReceived += (_, line) => Read(line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.StandardInput.Close();
    }

    /// <summary>The lines of stdout and stderr so far.</summary>
    public IReadOnlyCollection<string> Output => output;

    public string Text => string.Join('\n', output);

    public int Id => process.Id;

    public Uri Address { get; private init; } = new("http://127.0.0.1");

    /// <summary>Starts it on a free port and waits until it listens.</summary>
    public static Task<GreeterProcess> StartAsync(params (string Key, string Value)[] environment) =>
        StartAsync(port => CreateStart([("PORT", port), .. environment]));

    /// <summary>Starts it as the test says, to listen where the test expects, and waits until it does.</summary>
    public static Task<GreeterProcess> StartAsync(
        string[] arguments, Uri address, params (string Key, string Value)[] environment) =>
        StartAsync(CreateStart(environment, arguments), address);

    /// <summary>Starts what a platform built, in a folder, with its start line; $PORT is a free port, in the values too.</summary>
    public static Task<GreeterProcess> StartLineAsync(string folder, string line, params (string Key, string Value)[] environment) =>
        StartAsync(port =>
        {
            var values = environment.Select(one => (one.Key, one.Value.Replace("$PORT", port, StringComparison.Ordinal)));
            var start = CreateStart([("PORT", port), .. values]);
            (start.FileName, start.WorkingDirectory) = ("bash", folder);
            start.ArgumentList.Clear();
            start.ArgumentList.Add("-c");
            start.ArgumentList.Add(line);
            return start;
        });

    /// <summary>Starts it in a way that it is to refuse.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(string[] arguments, params (string Key, string Value)[] environment)
    {
        await using var app = new GreeterProcess(CreateStart(environment, arguments));
        return (await app.WaitForExitAsync(), app.Text);
    }

    /// <summary>SIGTERM, as a platform stops an instance.</summary>
    public void Terminate() => _ = Kill(process.Id, 15);

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        // Whole: a platform's start line may leave a shell around the app.
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
    }

    public async Task<int> WaitForExitAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await process.WaitForExitAsync(patience.Token);
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            await KillAsync();
        }
        process.Dispose();
    }

    private static Task<GreeterProcess> StartAsync(Func<string, ProcessStartInfo> createStart)
    {
        var port = Emulator.FreePort().ToString(CultureInfo.InvariantCulture);
        return StartAsync(createStart(port), new($"http://127.0.0.1:{port}"));
    }

    private static async Task<GreeterProcess> StartAsync(ProcessStartInfo start, Uri address)
    {
        var app = new GreeterProcess(start) { Address = address };
        var first = await Task.WhenAny(app.listening.Task, app.process.WaitForExitAsync(), Task.Delay(TimeSpan.FromSeconds(60)));
        return first == app.listening.Task ? app : throw new InvalidOperationException($"The app did not start:\n{app.Text}");
    }

    private static ProcessStartInfo CreateStart((string Key, string Value)[] environment, string[]? arguments = null)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Greeter.Api.dll"), .. arguments ?? []])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Except(Inherited).ToList())
        {
            start.Environment.Remove(name);
        }
        foreach (var (key, value) in environment)
        {
            start.Environment[key] = value;
        }
        return start;
    }

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern int Kill(int processId, int signal);

    private void Read(string? line)
    {
        if (line is not null)
        {
            output.Enqueue(line);
        }
        if (line?.Contains("Application started", StringComparison.Ordinal) == true)
        {
            listening.TrySetResult();
        }
    }
}
