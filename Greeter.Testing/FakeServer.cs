using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace Greeter.Testing;

/// <summary>A server on this machine that a test uses instead of one of Google's. It answers as the test says and records the
/// requests.</summary>
public sealed class FakeServer : IAsyncDisposable
{
    private readonly ConcurrentQueue<ConnectionContext> connections = [];
    private readonly WebApplication app;

    private FakeServer(RequestDelegate answer, HttpProtocols protocols, X509Certificate2? certificate)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = protocols;
            listen.Use(next => connection =>
            {
                connections.Enqueue(connection);
                return next(connection);
            });
            if (certificate is not null)
            {
                listen.UseHttps(certificate);
            }
        }));
        app = builder.Build();
        app.Run(context =>
        {
            var headers = context.Request.Headers.ToDictionary(each => each.Key.ToLowerInvariant(), each => $"{each.Value}");
            Requests.Enqueue((context.Request.Path, headers));
            return answer(context);
        });
    }

    /// <summary>Gets the address.</summary>
    public Uri Address => new(app.Urls.Single());

    /// <summary>Gets the address as host:port.</summary>
    public string Authority => Address.Authority;

    /// <summary>Gets the path and the headers of each request so far.</summary>
    public ConcurrentQueue<(string Path, Dictionary<string, string> Headers)> Requests { get; } = [];

    /// <summary>Starts a server, by default one for HTTP/2 without TLS, as Firestore's emulator is.</summary>
    public static async Task<FakeServer> StartAsync(
        RequestDelegate answer, HttpProtocols protocols = HttpProtocols.Http2, X509Certificate2? certificate = null)
    {
        var server = new FakeServer(answer, protocols, certificate);
        await server.app.StartAsync();
        return server;
    }

    /// <summary>Ends all connections at once, without a GOAWAY frame.</summary>
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
