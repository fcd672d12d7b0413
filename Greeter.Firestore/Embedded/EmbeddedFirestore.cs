using System.Globalization;
using System.Net;
using Google.Protobuf;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

/// <summary>
/// The embedded store for Development: handles the client's gRPC requests inside the process, without a network. It has no
/// queries, indexes or security rules, and serves one process.
/// </summary>
internal sealed class EmbeddedFirestore(DocumentStore documents) : HttpMessageHandler
{
    /// <summary>Gets the path of the file with the documents.</summary>
    public string JournalPath => documents.JournalPath;

    /// <summary>Loads the documents in a folder; creates the folder if it is missing.</summary>
    /// <exception cref="InvalidOperationException">The folder is in use, can't be written, or its file is damaged. The message
    /// says what to do.</exception>
    public static EmbeddedFirestore Open(string folder, TimeProvider time) => new(new DocumentStore(Journal.Open(folder), time));

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var frame = await request.Content!.ReadAsByteArrayAsync(cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            return CreateResponse(Call(request.RequestUri!.AbsolutePath, frame), new Status(StatusCode.OK, ""));
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

    private byte[] Call(string method, byte[] frame) => method switch
    {
        FirestoreClient.BatchGetDocuments =>
            [.. documents.BatchGet(Parse(BatchGetDocumentsRequest.Parser, frame)).SelectMany(GrpcFrame.Encode)],
        FirestoreClient.Commit => GrpcFrame.Encode(documents.Commit(Parse(CommitRequest.Parser, frame))),
        _ => throw new RpcException(StatusCode.Unimplemented, $"The embedded store does not implement {method}."),
    };

    private static TRequest Parse<TRequest>(MessageParser<TRequest> parser, byte[] frame)
        where TRequest : IMessage<TRequest> =>
        parser.ParseFrom(frame.AsSpan(GrpcFrame.HeaderSize, GrpcFrame.DecodeHeader(frame)));

    private static HttpResponseMessage CreateResponse(byte[] body, Status status) => new(HttpStatusCode.OK)
    {
        Version = HttpVersion.Version20,
        Content = new ByteArrayContent(body) { Headers = { ContentType = GrpcFrame.ContentType } },
        TrailingHeaders =
        {
            { GrpcStatus.Name, ((int)status.StatusCode).ToString(CultureInfo.InvariantCulture) },
            { GrpcStatus.MessageName, Uri.EscapeDataString(status.Detail) },
        },
    };
}
