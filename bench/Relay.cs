using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Greeter.Bench;

/// <summary>A TCP relay that counts the calls that pass, and may delay every byte.</summary>
internal sealed class Relay : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly string target;
    private readonly TimeSpan delay;
    private long calls;

    /// <param name="target">host:port</param>
    /// <param name="delay">What is added to each way.</param>
    public Relay(string target, TimeSpan delay = default)
    {
        (this.target, this.delay) = (target, delay);
        listener.Start();
        _ = AcceptAsync();
    }

    /// <summary>host:port</summary>
    public string Host => listener.LocalEndpoint.ToString()!;

    /// <summary>The calls so far. A unary gRPC call is one HTTP/2 request, and each request begins with one HEADERS frame on its
    /// way to the server (there are no request trailers), so HEADERS frames are counted. Retries are calls too.</summary>
    public long Calls => Interlocked.Read(ref calls);

    public void Dispose() => listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = JoinAsync(await listener.AcceptTcpClientAsync());
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task JoinAsync(TcpClient client)
    {
        using var server = new TcpClient { NoDelay = true };
        client.NoDelay = true;
        try
        {
            await server.ConnectAsync(IPEndPoint.Parse(target));
            var up = PumpAsync(client.GetStream(), server.GetStream(), new FrameCounter());
            var down = PumpAsync(server.GetStream(), client.GetStream(), null);
            await Task.WhenAny(up, down);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // One side has gone, so the other goes too.
        }
        finally
        {
            client.Dispose();
        }
    }

    private async Task PumpAsync(NetworkStream from, NetworkStream to, FrameCounter? counter)
    {
        var pending = Channel.CreateUnbounded<(long ReadAt, byte[] Bytes)>();
        var writing = WriteAsync(pending.Reader, to);
        var buffer = new byte[65536];
        while (!writing.IsCompleted && await from.ReadAsync(buffer) is > 0 and var read)
        {
            Interlocked.Add(ref calls, counter?.CountHeaders(buffer.AsSpan(0, read)) ?? 0);
            pending.Writer.TryWrite((Stopwatch.GetTimestamp(), buffer[..read]));
        }
        pending.Writer.Complete();
        await writing;
    }

    private async Task WriteAsync(ChannelReader<(long ReadAt, byte[] Bytes)> pending, NetworkStream to)
    {
        await foreach (var (readAt, bytes) in pending.ReadAllAsync())
        {
            // Timers are good to a millisecond, of which four in a call would show: the last one is waited for awake.
            while (delay - Stopwatch.GetElapsedTime(readAt) is var rest && rest > TimeSpan.Zero)
            {
                await (rest > TimeSpan.FromMilliseconds(2) ? Task.Delay(rest - TimeSpan.FromMilliseconds(1.5)) : Yield());
            }
            await to.WriteAsync(bytes);
        }
    }

    private static async Task Yield() => await Task.Yield();

    /// <summary>Follows the frames of one HTTP/2 connection: RFC 9113, sections 3.4 and 4.1.</summary>
    private sealed class FrameCounter
    {
        private const int PrefaceSize = 24;
        private const byte HeadersType = 1;

        private readonly byte[] header = new byte[9];
        private int have;
        private int skip = PrefaceSize;

        public int CountHeaders(ReadOnlySpan<byte> bytes)
        {
            var count = 0;
            while (bytes.Length > 0)
            {
                var skipped = Math.Min(skip, bytes.Length);
                skip -= skipped;
                bytes = bytes[skipped..];
                var part = Math.Min(header.Length - have, bytes.Length);
                bytes[..part].CopyTo(header.AsSpan(have));
                have += part;
                bytes = bytes[part..];
                if (have == header.Length)
                {
                    have = 0;
                    skip = (int)(BinaryPrimitives.ReadUInt32BigEndian(header) >> 8);
                    count += header[3] == HeadersType ? 1 : 0;
                }
            }
            return count;
        }
    }
}
