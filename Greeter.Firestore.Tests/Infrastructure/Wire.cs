using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Google.Protobuf;
using Greeter.Firestore;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>The transport between the client and the embedded store or the emulator. Records the calls, and responds itself where a test
/// says so.</summary>
internal sealed class Wire(HttpMessageHandler server) : DelegatingHandler(server)
{
    public const string Read = "BatchGetDocuments";
    public const string Commit = "Commit";

    private readonly ConcurrentQueue<string> calls = [];

    /// <summary>Gets the methods called so far.</summary>
    public IEnumerable<string> Calls => calls;

    /// <summary>Gets the commits so far.</summary>
    public ConcurrentQueue<CommitRequest> Commits { get; } = [];

    /// <summary>Gets or sets what responds to a call: from the method and the number of its earlier calls to a response, or null if the
    /// server responds.</summary>
    public Func<string, int, CancellationToken, Task<HttpResponseMessage?>>? Respond { get; set; }

    /// <summary>Gets or sets what happens between a response and the client that receives it: from the method and the number of its
    /// earlier calls.</summary>
    public Func<string, int, Task>? AfterResponse { get; set; }

    /// <summary>Fails the first calls of a method with these statuses.</summary>
    public void Fail(string method, params StatusCode[] statuses) => Respond = (called, earlier, _) =>
        Task.FromResult(called == method && earlier < statuses.Length ? Failure(statuses[earlier]) : null);

    public static HttpResponseMessage Success(IMessage message) => Create(GrpcFrame.Encode(message), StatusCode.OK, "");

    public static HttpResponseMessage Failure(StatusCode status, string detail = "injected by the test") =>
        Create([], status, detail);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var method = request.RequestUri!.Segments[^1];
        int earlier;
        lock (calls)
        {
            earlier = calls.Count(call => call == method);
            calls.Enqueue(method);
        }
        if (method == Commit)
        {
            var frame = await request.Content!.ReadAsByteArrayAsync(cancellationToken);
            Commits.Enqueue(CommitRequest.Parser.ParseFrom(frame, GrpcFrame.HeaderSize, frame.Length - GrpcFrame.HeaderSize));
        }
        var response = Respond is null ? null : await Respond(method, earlier, cancellationToken);
        response ??= await base.SendAsync(request, cancellationToken);
        if (AfterResponse is not null)
        {
            await AfterResponse(method, earlier);
        }
        return response;
    }

    private static HttpResponseMessage Create(byte[] body, StatusCode status, string detail) => new(HttpStatusCode.OK)
    {
        Version = HttpVersion.Version20,
        Content = new ByteArrayContent(body) { Headers = { ContentType = GrpcFrame.ContentType } },
        TrailingHeaders =
        {
            { GrpcStatus.Name, ((int)status).ToString(CultureInfo.InvariantCulture) },
            { GrpcStatus.MessageName, detail },
        },
    };
}
