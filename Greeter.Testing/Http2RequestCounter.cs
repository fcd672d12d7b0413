using System.Buffers.Binary;

namespace Greeter.Testing;

/// <summary>Counts the requests in the bytes that an HTTP/2 client sends on one connection.</summary>
/// <remarks>Each request begins with one HEADERS frame, and a gRPC client sends no trailers. The connection preface and the
/// frame header are in RFC 9113, sections 3.4 and 4.1: https://www.rfc-editor.org/rfc/rfc9113#section-4.1</remarks>
internal sealed class Http2RequestCounter
{
    private const int PrefaceSize = 24;
    private const byte HeadersType = 1;

    private readonly byte[] header = new byte[9];
    private int headerSize;
    private int skip = PrefaceSize;

    /// <summary>Returns how many requests begin in these bytes.</summary>
    public int Count(ReadOnlySpan<byte> bytes)
    {
        var count = 0;
        while (bytes.Length > 0)
        {
            var skipped = Math.Min(skip, bytes.Length);
            skip -= skipped;
            bytes = bytes[skipped..];
            var part = Math.Min(header.Length - headerSize, bytes.Length);
            bytes[..part].CopyTo(header.AsSpan(headerSize));
            headerSize += part;
            bytes = bytes[part..];
            if (headerSize == header.Length)
            {
                headerSize = 0;
                skip = (int)(BinaryPrimitives.ReadUInt32BigEndian(header) >> 8);
                count += header[3] == HeadersType ? 1 : 0;
            }
        }
        return count;
    }
}
