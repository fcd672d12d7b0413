using System.Diagnostics;
using System.Globalization;

namespace Greeter.Bench;

/// <summary>A server that the bench loads: a child process, or a peer that runs already.</summary>
internal sealed class Server : IAsyncDisposable
{
    private readonly string name;
    private readonly ChildProcess? process;
    private readonly IReadOnlyCollection<int> ids;
    private readonly int linesAtStart;

    private Server(string name, Uri url, ChildProcess? process, IReadOnlyCollection<int> ids)
    {
        (this.name, Url, this.process, this.ids) = (name, url, process, ids);
        linesAtStart = process?.Output.Count ?? 0;
    }

    /// <summary>Gets its address.</summary>
    public Uri Url { get; }

    /// <summary>Gets the user and system time of its processes so far.</summary>
    public TimeSpan ProcessorTime => TimeSpan.FromTicks(Sum(process => process.TotalProcessorTime.Ticks));

    /// <summary>Gets the resident memory of its processes in bytes.</summary>
    public long ResidentBytes => Sum(process => process.WorkingSet64);

    /// <summary>Starts an ASP.NET Core program on a free port.</summary>
    /// <param name="name">Its name in messages.</param>
    /// <param name="program">The path of its DLL.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">Its whole environment, apart from PATH and its like.</param>
    public static async Task<Server> StartAsync(
        string name, string program, string[] arguments, params (string Key, string Value)[] environment)
    {
        // A content root of its own: a program watches that folder for changed settings.
        // In Development each request is a line of the log. Reading them here would take the time that the app needs.
        string[] command =
        [
            "bash", "-c", "exec dotnet \"$@\" > >(exec grep --line-buffered -v ' responded 200 ')", "bash",
            program, .. arguments, "--urls", "http://127.0.0.1:0", "--contentRoot", Path.GetDirectoryName(program)!,
        ];
        var process = ChildProcess.Start(command, environment);
        return new Server(name, await process.WaitUntilListeningAsync(), process, [process.Id]);
    }

    /// <summary>Finds the processes that listen at a URL.</summary>
    public static Server Find(string name, Uri url)
    {
        var ids = FindListeners(url.Port);
        return ids.Count > 0
            ? new Server(name, url, null, ids)
            : throw new InvalidOperationException($"{name}: no process of this user listens at {url}.");
    }

    /// <summary>Returns the lines logged since the start, without the requests that succeeded.</summary>
    public IEnumerable<string> GetNewLogLines() =>
        process is null ? [] : process.Output.Skip(linesAtStart).Select(line => $"{name}: {line}");

    public ValueTask DisposeAsync() => process?.DisposeAsync() ?? ValueTask.CompletedTask;

    // All processes that share the listening socket: gunicorn's workers, for instance.
    private static List<int> FindListeners(int port)
    {
        const string Listening = "0A";
        // The fields are in https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html
        var sockets = File.ReadLines("/proc/net/tcp").Concat(File.ReadLines("/proc/net/tcp6"))
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(fields => fields[3] == Listening && fields[1].EndsWith($":{port:X4}", StringComparison.Ordinal))
            .Select(fields => $"socket:[{fields[9]}]")
            .ToHashSet();
        return [.. Directory.EnumerateDirectories("/proc")
            .Select(folder => int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out var id) ? id : 0)
            .Where(id => id > 0 && HasOpen(id, sockets))];
    }

    private static bool HasOpen(int id, HashSet<string> sockets)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries($"/proc/{id}/fd")
                .Any(file => new FileInfo(file).LinkTarget is { } target && sockets.Contains(target));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has ended, or belongs to another user.
            return false;
        }
    }

    private long Sum(Func<Process, long> value) => ids.Sum(id =>
    {
        using var process = Process.GetProcessById(id);
        return value(process);
    });
}
