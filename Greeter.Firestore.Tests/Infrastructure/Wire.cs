using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Google.Protobuf;
using Greeter.Firestore;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>The way from the client to its store: keeps what was called, and answers in the store's place where a test says
/// so.</summary>
internal sealed class Wire(HttpMessageHandler store) : DelegatingHandler(store)
{
    public const string Read = "BatchGetDocuments";
    public const string Commit = "Commit";

    private readonly ConcurrentQueue<string> calls = [];

    /// <summary>The methods called so far.</summary>
    public IEnumerable<string> Calls => calls;

    /// <summary>The commits so far.</summary>
    public ConcurrentQueue<CommitRequest> Commits { get; } = [];

    /// <summary>From a method and how many of its calls there were before to an answer; null sends the call to the
    /// store.</summary>
    public Func<string, int, CancellationToken, Task<HttpResponseMessage?>>? Answer { get; set; }

    /// <summary>Gets or sets what happens after the store has responded and before the client sees it: from a method and how
    /// many of its calls there were before.</summary>
    public Func<string, int, Task>? Responded { get; set; }

    /// <summary>Fails the first calls of a method with these statuses.</summary>
    public void Fail(string method, params StatusCode[] statuses) => Answer = (called, earlier, _) =>
        Task.FromResult(called == method && earlier < statuses.Length ? Failure(statuses[earlier]) : null);

    public static HttpResponseMessage Success(IMessage message) => Create(GrpcFrame.Encode(message), StatusCode.OK, "");

    public static HttpResponseMessage Failure(StatusCode status, string detail = "as the test wants it") =>
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
        var answer = Answer is null ? null : await Answer(method, earlier, cancellationToken);
        var response = answer ?? await base.SendAsync(request, cancellationToken);
        if (Responded is not null)
        {
            await Responded(method, earlier);
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
