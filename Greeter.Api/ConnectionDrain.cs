using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace Greeter.Api;

/// <summary>
/// Lets whoever has connected be answered before Kestrel closes. Closing a listening socket resets the connections that wait to
/// be accepted, and Kestrel closes accepted ones whose request it has yet to read; so, on Linux, nobody new is let in first, for
/// long enough that nobody is in between. To who comes later it is as if the app were gone already.
/// </summary>
internal sealed class ConnectionDrain : IHostedLifecycleService
{
    private static readonly TimeSpan Wait = TimeSpan.FromMilliseconds(250);

    private readonly List<Socket> listeners = [];

    /// <summary>For <see cref="SocketTransportOptions.CreateBoundListenSocket"/>.</summary>
    public Socket Bind(EndPoint endpoint)
    {
        var listener = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        listeners.Add(listener);
        return listener;
    }

    /// <inheritdoc/>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (OperatingSystem.IsLinux())
        {
            listeners.ForEach(DropConnectionRequests);
            await Task.Delay(Wait, CancellationToken.None);
        }
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    // A packet filter: what has the SYN flag, 0x02 in byte 13 of a TCP header, is dropped.
    // https://www.kernel.org/doc/html/latest/networking/filter.html
    private static void DropConnectionRequests(Socket listener)
    {
        const int SolSocket = 1, SoAttachFilter = 26;
        Instruction[] program =
        [
            new(0x30, 0, 0, 13),           // load byte 13
            new(0x45, 0, 1, 0x02),         // if it has the flag
            new(0x06, 0, 0, 0),            //     drop the packet
            new(0x06, 0, 0, uint.MaxValue) // else pass it
        ];
        var pinned = GCHandle.Alloc(program, GCHandleType.Pinned);
        try
        {
            var filter = new Filter((ushort)program.Length, pinned.AddrOfPinnedObject());
            listener.SetRawSocketOption(SolSocket, SoAttachFilter, MemoryMarshal.AsBytes(new ReadOnlySpan<Filter>(in filter)));
        }
        catch (SocketException)
        {
            // A sandbox may not have it: then it is as without.
        }
        finally
        {
            pinned.Free();
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Instruction(ushort Code, byte IfTrue, byte IfFalse, uint Operand);

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Filter(ushort Length, nint Program);
}
