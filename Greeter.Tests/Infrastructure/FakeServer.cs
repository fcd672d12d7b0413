using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Greeter.Tests.Infrastructure;

/// <summary>A server on this machine that a test uses instead of one of Google's. It records the requests.</summary>
public sealed class FakeServer : IAsyncDisposable
{
    private readonly WebApplication app;

    private FakeServer(WebApplication app) => this.app = app;

    /// <summary>host:port</summary>
    public string Authority => new Uri(app.Urls.Single()).Authority;

    /// <summary>The requests so far: path, and headers.</summary>
    public ConcurrentQueue<(string Path, Dictionary<string, string> Headers)> Requests { get; } = [];

    /// <summary>Starts one that speaks HTTP/2 without TLS, as Firestore's emulator does.</summary>
    public static Task<FakeServer> StartAsync(Func<HttpContext, FakeServer, Task> answer) => StartAsync(answer, HttpProtocols.Http2, null);

    /// <summary>Starts one that speaks HTTP/1.1, or HTTP/2 over TLS with a certificate.</summary>
    public static async Task<FakeServer> StartAsync(
        Func<HttpContext, FakeServer, Task> answer, HttpProtocols protocols, X509Certificate2? certificate)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = protocols;
            if (certificate is not null)
            {
                listen.UseHttps(certificate);
            }
        }));
        var app = builder.Build();
        var server = new FakeServer(app);
        app.Run(context =>
        {
            server.Requests.Enqueue((context.Request.Path, context.Request.Headers.ToDictionary(h => h.Key.ToLowerInvariant(), h => h.Value.ToString())));
            return answer(context, server);
        });
        await app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
