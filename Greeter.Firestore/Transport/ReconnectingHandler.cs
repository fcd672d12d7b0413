using System.Diagnostics;

namespace Greeter.Firestore.Transport;

/// <summary>
/// Gives up connections that are open but dead: HTTP/2 puts all calls on one connection, and where its packets go nowhere (a
/// gateway that forgot it, an instance that was frozen) all of them would wait until a ping goes unanswered, 35 s. So a
/// call that is cancelled after a while in which nothing at all was answered takes its connections with it; the next one opens
/// another. A store that is merely slow costs a connection per <see cref="Patience"/> at most.
/// </summary>
/// <param name="create">Makes what holds the connections.</param>
internal sealed class ReconnectingHandler(Func<HttpMessageHandler> create) : HttpMessageHandler
{
    /// <summary>How long a call has waited at least. A visitor who leaves sooner says nothing about the connection.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);

    private readonly Lock access = new();
    private Connections current = new(create());

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var connections = Enter();
        var started = Stopwatch.GetTimestamp();
        try
        {
            var response = await connections.Invoker.SendAsync(request, cancellationToken);
            Volatile.Write(ref connections.Answered, Stopwatch.GetTimestamp());
            return response;
        }
        catch (OperationCanceledException) when (
            Stopwatch.GetElapsedTime(started) >= Patience && Volatile.Read(ref connections.Answered) < started)
        {
            Replace(connections);
            throw;
        }
        finally
        {
            Leave(connections);
        }
    }

    protected override void Dispose(bool disposing)
    {
        current.Invoker.Dispose();
        base.Dispose(disposing);
    }

    private Connections Enter()
    {
        lock (access)
        {
            current.Users++;
            return current;
        }
    }

    private void Replace(Connections dead)
    {
        lock (access)
        {
            if (current == dead)
            {
                current = new Connections(create());
            }
        }
    }

    // Whoever is the last to leave what was replaced disposes of it; answers that are still being read are let finish.
    private void Leave(Connections left)
    {
        bool isOver;
        lock (access)
        {
            isOver = --left.Users == 0 && left != current;
        }
        if (isOver)
        {
            left.Invoker.Dispose();
        }
    }

    private sealed class Connections(HttpMessageHandler handler)
    {
        /// <summary>When the latest answer began, as <see cref="Stopwatch"/> has it.</summary>
        public long Answered;

        public HttpMessageInvoker Invoker { get; } = new(handler);

        /// <summary>The calls that wait for an answer.</summary>
        public int Users { get; set; }
    }
}
