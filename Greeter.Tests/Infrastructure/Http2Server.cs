using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Greeter.Tests.Infrastructure;

/// <summary>A server that answers each request as the test says, over HTTP/2 without TLS unless told otherwise.</summary>
internal sealed class Http2Server : IAsyncDisposable
{
    private readonly ConcurrentQueue<ConnectionContext> connections = [];
    private readonly WebApplication app;

    private Http2Server(RequestDelegate answer, HttpProtocols protocols)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = protocols;
            listen.Use(next => connection =>
            {
                connections.Enqueue(connection);
                return next(connection);
            });
        }));
        app = builder.Build();
        app.Run(answer);
    }

    public Uri Address => new(app.Urls.Single());

    public static async Task<Http2Server> StartAsync(RequestDelegate answer, HttpProtocols protocols = HttpProtocols.Http2)
    {
        var server = new Http2Server(answer, protocols);
        await server.app.StartAsync();
        return server;
    }

    /// <summary>Ends all connections at once, without a word.</summary>
    public void DropConnections()
    {
        foreach (var connection in connections)
        {
            connection.Abort();
        }
    }

    public async ValueTask DisposeAsync()
    {
        DropConnections();
        await app.StopAsync();
        await app.DisposeAsync();
    }
}
