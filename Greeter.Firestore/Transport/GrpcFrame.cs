using System.Buffers.Binary;
using System.Net.Http.Headers;
using Google.Protobuf;

namespace Greeter.Firestore.Transport;

/// <summary>
/// A message on the wire: a flag byte (1: compressed), its length in 4 bytes, big-endian, and the message.
/// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
/// </summary>
internal static class GrpcFrame
{
    public const int HeaderSize = 5;

    /// <summary>gRPC's usual limit for a message received, and four times what a document can be.</summary>
    public const int MaxMessageSize = 4 << 20;

    public static MediaTypeHeaderValue ContentType { get; } = new("application/grpc");

    public static byte[] Encode(IMessage message)
    {
        var size = message.CalculateSize();
        var frame = new byte[HeaderSize + size];
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), size);
        message.WriteTo(frame.AsSpan(HeaderSize));
        return frame;
    }

    /// <summary>How long the message behind this header is, in bytes.</summary>
    /// <exception cref="RpcException">INTERNAL if it is compressed, which nobody asked for; RESOURCE_EXHAUSTED if it is longer
    /// than <see cref="MaxMessageSize"/>.</exception>
    public static int DecodeHeader(ReadOnlySpan<byte> header)
    {
        if (header[0] != 0)
        {
            throw new RpcException(StatusCode.Internal, "The message is compressed, although no compression was asked for.");
        }
        var size = BinaryPrimitives.ReadUInt32BigEndian(header[1..]);
        return size <= MaxMessageSize
            ? (int)size
            : throw new RpcException(StatusCode.ResourceExhausted, $"The message has {size} bytes, more than {MaxMessageSize}.");
    }
}
