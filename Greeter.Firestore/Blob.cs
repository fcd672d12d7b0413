namespace Greeter.Firestore;

/// <summary>An immutable sequence of bytes.</summary>
/// <remarks>The default value is an empty sequence.</remarks>
public readonly record struct Blob
{
    private const int MaxBytesInText = 32;

    private readonly ByteString? bytes;

    private Blob(ByteString bytes) => this.bytes = bytes;

    /// <summary>Gets the bytes.</summary>
    public ByteString ByteString => bytes ?? ByteString.Empty;

    /// <summary>Gets the number of bytes.</summary>
    public int Length => ByteString.Length;

    /// <summary>Creates a blob from a <see cref="Google.Protobuf.ByteString"/>, without copying it.</summary>
    public static Blob FromByteString(ByteString byteString)
    {
        ArgumentNullException.ThrowIfNull(byteString);
        return new(byteString);
    }

    /// <summary>Creates a blob from a copy of an array.</summary>
    public static Blob CopyFrom(byte[] bytes) => new(ByteString.CopyFrom(bytes));

    /// <summary>Returns whether two blobs have the same bytes.</summary>
    public bool Equals(Blob other) => ByteString.Equals(other.ByteString);

    /// <inheritdoc/>
    public override int GetHashCode() => ByteString.GetHashCode();

    /// <summary>Returns the length and up to 32 bytes in hexadecimal digits.</summary>
    /// <returns>For instance <c>Blob: Length=2; Hex=CA FE</c>.</returns>
    public override string ToString()
    {
        var hex = BitConverter.ToString(ByteString.Span[..Math.Min(Length, MaxBytesInText)].ToArray()).Replace('-', ' ');
        return $"Blob: Length={Length}; {(Length > MaxBytesInText ? $"Hex (first {MaxBytesInText} bytes only)" : "Hex")}={hex}";
    }
}
