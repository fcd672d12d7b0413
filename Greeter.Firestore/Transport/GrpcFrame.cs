using System.Buffers.Binary;
using System.Net.Http.Headers;
using Google.Protobuf;

namespace Greeter.Firestore.Transport;

/// <summary>
/// A message on the wire: a flag byte (1: compressed), the length in 4 bytes, big-endian, then the message.
/// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
/// </summary>
internal static class GrpcFrame
{
    /// <summary>The size of the header before a message, in bytes.</summary>
    public const int HeaderSize = 5;

    /// <summary>The limit of a received message in bytes: gRPC's default, and four times the limit of a document. A larger
    /// request may exceed the server's limit.</summary>
    public const int MaxMessageSize = 4 << 20;

    public static MediaTypeHeaderValue ContentType { get; } = new("application/grpc");

    /// <summary>Returns a message with its header.</summary>
    public static byte[] Encode(IMessage message)
    {
        var size = message.CalculateSize();
        var frame = new byte[HeaderSize + size];
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), size);
        message.WriteTo(frame.AsSpan(HeaderSize));
        return frame;
    }

    /// <summary>Returns the size of the message after a header, in bytes.</summary>
    /// <exception cref="RpcException">INTERNAL if the message is compressed; RESOURCE_EXHAUSTED if it is larger than
    /// <see cref="MaxMessageSize"/>.</exception>
    public static int DecodeHeader(ReadOnlySpan<byte> header)
    {
        if (header[0] != 0)
        {
            throw new RpcException(StatusCode.Internal, "The message is compressed, although no compression was requested.");
        }
        var size = BinaryPrimitives.ReadUInt32BigEndian(header[1..]);
        return size <= MaxMessageSize
            ? (int)size
            : throw new RpcException(StatusCode.ResourceExhausted, $"The message has {size} bytes, more than {MaxMessageSize}.");
    }
}
