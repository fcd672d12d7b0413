using System.Net;

namespace Greeter.Firestore.Transport;

/// <summary>The body of a gRPC request. Disposing of it stops sending.</summary>
/// <remarks>
/// A server may send a status before it has read the request, for instance RESOURCE_EXHAUSTED for a large message. HttpClient
/// waits until a <see cref="ByteArrayContent"/> is sent before it reads the response, but not for content types of our own: see
/// AllowDuplex in
/// https://github.com/dotnet/runtime/blob/main/src/libraries/System.Net.Http/src/System/Net/Http/HttpContent.cs
/// </remarks>
internal sealed class GrpcContent : HttpContent
{
    private readonly byte[] frame;
    private readonly CancellationTokenSource sending = new();

    public GrpcContent(byte[] frame)
    {
        this.frame = frame;
        Headers.ContentType = GrpcFrame.ContentType;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        stream.WriteAsync(frame, sending.Token).AsTask();

    protected override bool TryComputeLength(out long length)
    {
        length = frame.Length;
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        // The server may never read the rest. The stream would stay open, and block the connection.
        sending.Cancel();
        sending.Dispose();
        base.Dispose(disposing);
    }
}
