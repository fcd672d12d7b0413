using System.Net.Http.Headers;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Greeter.Testing;

/// <summary>A gRPC proxy in front of Google's emulator. It records the calls and can respond instead of the emulator.</summary>
public sealed partial class FirestoreProxy : IAsyncDisposable
{
    private static readonly Lazy<Task<FirestoreProxy>> SharedInstance = new(() => StartAsync());

    private readonly ConcurrentDictionary<string, FirestoreCalls> projects = [];
    private readonly HttpMessageInvoker client = new(new SocketsHttpHandler
    {
        EnableMultipleHttp2Connections = true,
        UseProxy = false,
        ActivityHeadersPropagator = null,
    });
    private readonly string emulator;
    private FakeServer? server;

    private FirestoreProxy(string emulator) => this.emulator = emulator;

    /// <summary>Gets the server that the app connects to, with the requests so far.</summary>
    public FakeServer Server => server!;

    /// <summary>Returns the proxy that the tests share, in front of the emulator that they share.</summary>
    public static Task<FirestoreProxy> SharedAsync() => SharedInstance.Value;

    /// <summary>Starts a proxy in front of the emulator that the tests share.</summary>
    /// <param name="certificate">The certificate for TLS; null for none, as the emulator has it.</param>
    public static async Task<FirestoreProxy> StartAsync(X509Certificate2? certificate = null)
    {
        var proxy = new FirestoreProxy((await Emulator.SharedAsync()).Host);
        proxy.server = await FakeServer.StartAsync(proxy.AnswerAsync, HttpProtocols.Http2, certificate);
        return proxy;
    }

    /// <summary>Returns the calls for the database of a project.</summary>
    public FirestoreCalls CallsOf(string projectId) => projects.GetOrAdd(projectId, _ => new());

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        client.Dispose();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var method = context.Request.Path.Value!.Split('/')[^1];
        // The name of the database is in every request.
        var project = ProjectName().Match(Encoding.Latin1.GetString(body.GetBuffer(), 0, (int)body.Length)).Groups[1].Value;
        var calls = CallsOf(project);
        calls.Add(method);
        if (!await calls.Before(method, context))
        {
            await ForwardAsync(context, body.ToArray());
        }
    }

    private async Task ForwardAsync(HttpContext context, byte[] body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{emulator}{context.Request.Path}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/grpc") } },
        };
        request.Headers.Add("TE", "trailers");
        // The emulator knows no other token.
        request.Headers.Add("Authorization", "Bearer owner");
        using var response = await client.SendAsync(request, context.RequestAborted);
        context.Response.ContentType = "application/grpc";
        foreach (var (name, values) in response.Headers.Where(header => header.Key.StartsWith("grpc-", StringComparison.Ordinal)))
        {
            context.Response.Headers[name] = values.ToArray();
        }
        await response.Content.CopyToAsync(context.Response.Body, context.RequestAborted);
        foreach (var (name, values) in response.TrailingHeaders)
        {
            context.Response.AppendTrailer(name, values.ToArray());
        }
    }

    [GeneratedRegex("projects/([^/]+)/databases/")]
    private static partial Regex ProjectName();
}

/// <summary>The calls for one database.</summary>
public sealed class FirestoreCalls
{
    private readonly ConcurrentQueue<string> methods = [];

    /// <summary>Gets the methods called so far, in order, for instance BatchGetDocuments.</summary>
    public IReadOnlyCollection<string> Methods => methods;

    /// <summary>Gets or sets what happens before a call of this method. If it returns true, it has responded, and the call is not
    /// forwarded.</summary>
    public Func<string, HttpContext, Task<bool>> Before { get; set; } = (_, _) => Task.FromResult(false);

    public void Clear() => methods.Clear();

    /// <summary>Responds to every call with a status.</summary>
    public void Fail(int status, string detail) => Before = (_, context) => FailAsync(context, status, detail);

    /// <summary>Responds to a call as a gRPC server does to one that failed: a status without a body.</summary>
    /// <returns>True.</returns>
    public static Task<bool> FailAsync(HttpContext context, int status, string detail)
    {
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = status.ToString(CultureInfo.InvariantCulture);
        context.Response.Headers["grpc-message"] = Uri.EscapeDataString(detail);
        return Task.FromResult(true);
    }

    /// <summary>Never responds. Ends when the client cancels the call.</summary>
    public static async Task<bool> HangAsync(HttpContext context)
    {
        var isCanceled = new TaskCompletionSource();
        await using var registration = context.RequestAborted.Register(isCanceled.SetResult);
        await isCanceled.Task;
        return true;
    }

    internal void Add(string method) => methods.Enqueue(method);
}
