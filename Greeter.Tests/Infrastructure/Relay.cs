using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Greeter.Tests.Infrastructure;

/// <summary>The ways through a relay.</summary>
[Flags]
internal enum Way
{
    Up = 1,
    Down = 2,
    Both = Up | Down,
}

/// <summary>What becomes of a connection.</summary>
internal enum Fate
{
    /// <summary>It goes on.</summary>
    None,

    /// <summary>Both ends are closed.</summary>
    Cut,

    /// <summary>Both ends are reset.</summary>
    Reset,

    /// <summary>No more comes this way, and the other end is told so; the other way goes on.</summary>
    HalfClose,

    /// <summary>No more comes this way, and nobody is told, even after the fault is over.</summary>
    Swallow,

    /// <summary>Random bytes come this way instead.</summary>
    Garbage,
}

/// <summary>A fault of the network.</summary>
/// <param name="Fate">What becomes of a connection.</param>
/// <param name="Ways">On which of its ways.</param>
/// <param name="Within">After how many bytes at most, at random; 0 for at once.</param>
internal sealed record Fault(Fate Fate = Fate.None, Way Ways = Way.Both, int Within = 0)
{
    /// <summary>For how long every read is held up at most, at random.</summary>
    public TimeSpan Delay { get; init; }

    /// <summary>Which reads on their way up are fatal: every n-th of all connections together; about a request each.</summary>
    public int EveryNth { get; init; }
}

/// <summary>A TCP relay between an app and its store, with faults.</summary>
internal sealed class Relay : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<Socket, bool> sockets = [];
    private readonly Random random;
    private readonly string home;
    private volatile Fault fault = new();
    private volatile string target;
    private int hits;
    private int requests;

    /// <param name="target">host:port</param>
    /// <param name="seed">Of what happens at random.</param>
    public Relay(string target, int seed)
    {
        (home, this.target, random) = (target, target, new Random(seed));
        listener.Start();
        _ = AcceptAsync();
    }

    /// <summary>host:port</summary>
    public string Host => listener.LocalEndpoint.ToString()!;

    /// <summary>How often a fault has struck.</summary>
    public int Hits => hits;

    /// <summary>The fault from now on, for the connections there are and for new ones.</summary>
    public void Suffer(Fault next) => fault = next;

    /// <summary>Ends all connections; new ones lead elsewhere.</summary>
    public void LeadTo(string elsewhere)
    {
        Interlocked.Increment(ref hits);
        target = elsewhere;
        CutAll();
    }

    /// <summary>All is well again; connections that a fault has left dead stay so.</summary>
    public void Heal()
    {
        fault = new Fault();
        if (target != home)
        {
            target = home;
            CutAll();
        }
    }

    public void Dispose()
    {
        listener.Dispose();
        CutAll();
    }

    private void CutAll()
    {
        foreach (var socket in sockets.Keys)
        {
            socket.Dispose();
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = JoinAsync(await listener.AcceptSocketAsync());
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task JoinAsync(Socket app)
    {
        using var store = new Socket(SocketType.Stream, ProtocolType.Tcp);
        app.NoDelay = store.NoDelay = true;
        sockets[app] = sockets[store] = true;
        try
        {
            await store.ConnectAsync(IPEndPoint.Parse(target));
            var up = PumpAsync(app, store, Way.Up);
            var down = PumpAsync(store, app, Way.Down);
            await await Task.WhenAny(up, down);
            await Task.WhenAll(up, down);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // One side has gone, so the other goes too.
        }
        finally
        {
            app.Dispose();
            sockets.TryRemove(app, out _);
            sockets.TryRemove(store, out _);
        }
    }

    // Ends when nothing more comes, throws when the connection is over.
    private async Task PumpAsync(Socket from, Socket to, Way way)
    {
        var buffer = new byte[16384];
        var (seen, left) = (fault, Draw(fault, way));
        var isSwallowed = false;
        while (await from.ReceiveAsync(buffer) is > 0 and var read)
        {
            if (isSwallowed)
            {
                continue;
            }
            if (seen != fault)
            {
                (seen, left) = (fault, Draw(fault, way));
            }
            if (seen.Delay > TimeSpan.Zero)
            {
                Interlocked.Increment(ref hits);
                await Task.Delay(seen.Delay * Draw(1000) / 1000);
            }
            left = IsNth(seen, way) ? Draw(read) : left;
            var passed = Math.Min(left, read);
            await SendAsync(to, buffer.AsMemory(0, passed));
            left -= passed;
            if (passed < read)
            {
                Interlocked.Increment(ref hits);
                isSwallowed = seen.Fate is Fate.HalfClose or Fate.Swallow;
                await StrikeAsync(seen.Fate, to, from, buffer.AsMemory(passed, read - passed));
            }
        }
        if (!isSwallowed)
        {
            to.Shutdown(SocketShutdown.Send);
        }
    }

    private async Task StrikeAsync(Fate fate, Socket to, Socket from, Memory<byte> rest)
    {
        switch (fate)
        {
            case Fate.Cut or Fate.Reset:
                foreach (var socket in new[] { from, to })
                {
                    socket.LingerState = new LingerOption(fate == Fate.Reset, 0);
                    socket.Dispose();
                }
                break;
            case Fate.HalfClose:
                to.Shutdown(SocketShutdown.Send);
                break;
            case Fate.Garbage:
                lock (random)
                {
                    random.NextBytes(rest.Span);
                }
                await SendAsync(to, rest);
                break;
        }
    }

    private static async Task SendAsync(Socket to, ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[await to.SendAsync(bytes)..];
        }
    }

    private bool IsNth(Fault now, Way way) =>
        now.EveryNth > 0 && way == Way.Up && Interlocked.Increment(ref requests) % now.EveryNth == 0;

    private int Draw(Fault now, Way way) =>
        now.Fate == Fate.None || now.EveryNth > 0 || !now.Ways.HasFlag(way) ? int.MaxValue : Draw(now.Within);

    private int Draw(int most)
    {
        lock (random)
        {
            return random.Next(most);
        }
    }
}
