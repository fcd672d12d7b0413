using System.Net;
using Google.Protobuf;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

/// <summary>
/// Firestore in the process, for a laptop: answers the client's requests where otherwise a network would. It is no server, has
/// no queries, indexes or security rules, and one process at a time.
/// </summary>
internal sealed class EmbeddedFirestore(DocumentStore documents) : HttpMessageHandler
{
    /// <summary>The file that the documents are in.</summary>
    public string JournalPath => documents.JournalPath;

    /// <summary>Loads the documents in a folder, which is made if there is none.</summary>
    /// <exception cref="InvalidOperationException">The folder is in use, cannot be written or holds a damaged file; the message
    /// says what to do.</exception>
    public static EmbeddedFirestore Open(string folder, TimeProvider time) => new(new DocumentStore(Journal.Open(folder), time));

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var frame = await request.Content!.ReadAsByteArrayAsync(cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            return CreateResponse(Answer(request.RequestUri!.AbsolutePath, frame), new Status(StatusCode.OK, ""));
        }
        catch (RpcException e)
        {
            return CreateResponse([], e.Status);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            documents.Dispose();
        }
        base.Dispose(disposing);
    }

    private byte[] Answer(string method, byte[] frame) => method switch
    {
        FirestoreClient.BatchGetDocuments =>
            Join(documents.BatchGet(Parse(BatchGetDocumentsRequest.Parser, frame)).ConvertAll(GrpcFrame.Encode)),
        FirestoreClient.Commit => GrpcFrame.Encode(documents.Commit(Parse(CommitRequest.Parser, frame))),
        _ => throw new RpcException(StatusCode.Unimplemented, $"The embedded Firestore has no {method}."),
    };

    private static byte[] Join(List<byte[]> frames) => frames.Count == 1 ? frames[0] : [.. frames.SelectMany(frame => frame)];

    private static TRequest Parse<TRequest>(MessageParser<TRequest> parser, byte[] frame)
        where TRequest : IMessage<TRequest> =>
        parser.ParseFrom(frame.AsSpan(GrpcFrame.HeaderSize, GrpcFrame.DecodeHeader(frame)));

    private static HttpResponseMessage CreateResponse(byte[] body, Status status) => new(HttpStatusCode.OK)
    {
        Version = HttpVersion.Version20,
        Content = new ByteArrayContent(body) { Headers = { ContentType = GrpcFrame.ContentType } },
        TrailingHeaders =
        {
            { GrpcStatus.Name, ((int)status.StatusCode).ToString(System.Globalization.CultureInfo.InvariantCulture) },
            { GrpcStatus.MessageName, Uri.EscapeDataString(status.Detail) },
        },
    };
}
