using Google.Protobuf.WellKnownTypes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>A gRPC server of google.firestore.v1.Firestore. A read gets what the test says.</summary>
internal sealed class GrpcServer : IAsyncDisposable
{
    private readonly WebApplication app;

    private GrpcServer(WebApplication app) => this.app = app;

    /// <summary>Gets the address.</summary>
    public Uri Address => new(app.Urls.Single());

    /// <summary>Starts a server that answers reads.</summary>
    public static Task<GrpcServer> StartAsync(Func<BatchGetDocumentsRequest, ServerCallContext, Task<BatchGetDocumentsResponse>> read) =>
        StartAsync(app => app.MapGrpcService<Service>(), new Answers(read));

    /// <summary>Starts a server that answers every request as the test says, gRPC or not.</summary>
    public static Task<GrpcServer> StartRawAsync(RequestDelegate answer, HttpProtocols protocols = HttpProtocols.Http2) =>
        StartAsync(app => app.Run(answer), new Answers((_, _) => throw new NotSupportedException()), protocols);

    /// <summary>Connects to the server.</summary>
    public GrpcFirestoreApi Connect(TimeSpan? timeout = null) => new(
        Address, credentials: null, timeout ?? TimeSpan.FromSeconds(30), new SocketsHttpHandler { UseProxy = false });

    public async ValueTask DisposeAsync()
    {
        // Calls that hang end with the server.
        await app.StopAsync(new CancellationToken(canceled: true));
        await app.DisposeAsync();
    }

    private static async Task<GrpcServer> StartAsync(
        Action<WebApplication> map, Answers answers, HttpProtocols protocols = HttpProtocols.Http2)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        builder.Services.AddRouting().AddSingleton(answers).AddGrpc();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(
            kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = protocols));
        var app = builder.Build();
        map(app);
        await app.StartAsync();
        return new GrpcServer(app);
    }

    private sealed record Answers(Func<BatchGetDocumentsRequest, ServerCallContext, Task<BatchGetDocumentsResponse>> Read);

    private sealed class Service(Answers answers) : V1.Firestore.FirestoreBase
    {
        public override async Task BatchGetDocuments(
            BatchGetDocumentsRequest request, IServerStreamWriter<BatchGetDocumentsResponse> responseStream, ServerCallContext context) =>
            await responseStream.WriteAsync(await answers.Read(request, context));

        public override Task<Empty> Rollback(RollbackRequest request, ServerCallContext context) => Task.FromResult(new Empty());
    }
}
