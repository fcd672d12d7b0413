using System.Threading.Channels;

namespace Greeter.Testing;

/// <summary>A TCP relay between an app and Firestore that counts calls, adds latency, and injects faults.</summary>
public sealed class Relay : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<Socket, bool> sockets = [];
    private readonly Random random;
    private readonly IPEndPoint target;
    private volatile Fault fault = new();
    private int hits;
    private long calls;

    /// <summary>Starts a relay.</summary>
    /// <param name="target">The address of Firestore as host:port.</param>
    /// <param name="seed">The seed of everything random.</param>
    public Relay(string target, int seed = 0)
    {
        (this.target, random) = (IPEndPoint.Parse(target), new Random(seed));
        listener.Start();
        _ = AcceptAsync();
    }

    /// <summary>Gets the address to connect to, as host:port.</summary>
    public string Host => listener.LocalEndpoint.ToString()!;

    /// <summary>Gets the latency that the relay adds in each direction.</summary>
    public TimeSpan Latency { get; init; }

    /// <summary>Gets the number of gRPC calls so far, retries included.</summary>
    public long Calls => Interlocked.Read(ref calls);

    /// <summary>Gets how often a fault has hit.</summary>
    public int Hits => hits;

    /// <summary>Injects a fault into all connections, present and future, instead of the last one.</summary>
    public void Inject(Fault next) => fault = next;

    /// <summary>Clears the fault. A connection that a fault has broken stays broken.</summary>
    public void Clear() => fault = new Fault();

    public void Dispose()
    {
        listener.Dispose();
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
            // The relay is disposed.
        }
    }

    private async Task JoinAsync(Socket app)
    {
        using var firestore = new Socket(SocketType.Stream, ProtocolType.Tcp);
        app.NoDelay = firestore.NoDelay = true;
        sockets[app] = sockets[firestore] = true;
        try
        {
            await firestore.ConnectAsync(target);
            var up = PumpAsync(app, firestore, Direction.Up);
            var down = PumpAsync(firestore, app, Direction.Down);
            await await Task.WhenAny(up, down);
            await Task.WhenAll(up, down);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // One side is closed, so the other one is closed too.
        }
        finally
        {
            app.Dispose();
            sockets.TryRemove(app, out _);
            sockets.TryRemove(firestore, out _);
        }
    }

    // Ends when one side sends no more, and throws when the connection is broken.
    private async Task PumpAsync(Socket from, Socket to, Direction direction)
    {
        var pending = Channel.CreateBounded<(long ReadAt, Memory<byte> Bytes)>(100);
        var reading = ReadAsync(from, pending.Writer, direction == Direction.Up ? new Http2RequestCounter() : null);
        var writing = WriteAsync(pending.Reader, from, to, direction);
        await await Task.WhenAny(reading, writing);
        await writing;
    }

    private async Task ReadAsync(
        Socket from, ChannelWriter<(long ReadAt, Memory<byte> Bytes)> pending, Http2RequestCounter? counter)
    {
        var buffer = new byte[16384];
        while (await from.ReceiveAsync(buffer) is > 0 and var read)
        {
            Interlocked.Add(ref calls, counter?.Count(buffer.AsSpan(0, read)) ?? 0);
            await pending.WriteAsync((Stopwatch.GetTimestamp(), buffer.AsSpan(0, read).ToArray()));
        }
        pending.Complete();
    }

    private async Task WriteAsync(
        ChannelReader<(long ReadAt, Memory<byte> Bytes)> pending, Socket from, Socket to, Direction direction)
    {
        var (seen, left) = (fault, Draw(fault, direction));
        var isSwallowed = false;
        await foreach (var (readAt, bytes) in pending.ReadAllAsync())
        {
            await WaitForLatencyAsync(readAt);
            if (isSwallowed)
            {
                continue;
            }
            if (seen != fault)
            {
                (seen, left) = (fault, Draw(fault, direction));
            }
            if (seen.Delay > TimeSpan.Zero)
            {
                Interlocked.Increment(ref hits);
                await Task.Delay(seen.Delay * Draw(1000) / 1000);
            }
            var passed = Math.Min(left, bytes.Length);
            await SendAsync(to, bytes[..passed]);
            left -= passed;
            if (passed < bytes.Length)
            {
                Interlocked.Increment(ref hits);
                isSwallowed = seen.Kind is FaultKind.HalfClose or FaultKind.Swallow;
                await HitAsync(seen.Kind, to, from, bytes[passed..]);
            }
        }
        if (!isSwallowed)
        {
            to.Shutdown(SocketShutdown.Send);
        }
    }

    // Timers are accurate to a millisecond, which would show in a latency of ten: the last one is waited for awake.
    private async Task WaitForLatencyAsync(long readAt)
    {
        while (Latency - Stopwatch.GetElapsedTime(readAt) is var rest && rest > TimeSpan.Zero)
        {
            if (rest > TimeSpan.FromMilliseconds(2))
            {
                await Task.Delay(rest - TimeSpan.FromMilliseconds(1.5));
            }
            else
            {
                await Task.Yield();
            }
        }
    }

    private async Task HitAsync(FaultKind kind, Socket to, Socket from, Memory<byte> rest)
    {
        switch (kind)
        {
            case FaultKind.Cut or FaultKind.Reset:
                foreach (var socket in new[] { from, to })
                {
                    socket.LingerState = new LingerOption(kind == FaultKind.Reset, 0);
                    socket.Dispose();
                }
                break;
            case FaultKind.HalfClose:
                to.Shutdown(SocketShutdown.Send);
                break;
            case FaultKind.Garbage:
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

    private int Draw(Fault now, Direction direction) =>
        now.Kind == FaultKind.None || !now.Directions.HasFlag(direction) ? int.MaxValue : Draw(now.Within);

    private int Draw(int most)
    {
        lock (random)
        {
            return random.Next(most);
        }
    }
}
