namespace Greeter.Firestore.Transport;

/// <summary>Replaces HTTP/2 connections that are open but unresponsive.</summary>
/// <remarks>HTTP/2 puts all calls on one connection. If its packets get lost (a gateway dropped its state, an instance was frozen), every
/// call would wait until a ping fails after 35 s. So a call that is cancelled after <see cref="Threshold"/>, while no response arrived at
/// all, makes the next call open a new connection. A server that is only slow costs one per <see cref="Threshold"/> at most.</remarks>
/// <param name="create">Creates the handler that holds the connections.</param>
/// <param name="time">The clock.</param>
internal sealed class ReconnectingHandler(Func<HttpMessageHandler> create, TimeProvider time) : HttpMessageHandler
{
    /// <summary>How long a call must have waited. A caller that cancels sooner says nothing about the connection.</summary>
    private static readonly TimeSpan Threshold = TimeSpan.FromMilliseconds(500);

    // Well above the deadline of a call, so that no response that is being read is interrupted.
    private static readonly TimeSpan TimeToClose = TimeSpan.FromSeconds(10);

    private readonly Lock access = new();
    private Connections current = new(create());

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var connections = Volatile.Read(ref current);
        var started = time.GetTimestamp();
        try
        {
            var response = await connections.SendAsync(request, cancellationToken).ConfigureAwait(false);
            Volatile.Write(ref connections.LastResponse, time.GetTimestamp());
            return response;
        }
        catch (OperationCanceledException) when (
            time.GetElapsedTime(started) >= Threshold && Volatile.Read(ref connections.LastResponse) < started)
        {
            lock (access)
            {
                if (current == connections)
                {
                    current = new Connections(create());
                    _ = CloseAsync(connections);
                }
            }
            throw;
        }
    }

    protected override void Dispose(bool disposing)
    {
        current.Dispose();
        base.Dispose(disposing);
    }

    private async Task CloseAsync(Connections replaced)
    {
        await Task.Delay(TimeToClose, time).ConfigureAwait(false);
        replaced.Dispose();
    }

    private sealed class Connections(HttpMessageHandler handler) : HttpMessageInvoker(handler)
    {
        /// <summary>When the latest response began: a timestamp of the handler's <see cref="TimeProvider"/>.</summary>
        public long LastResponse;
    }
}
