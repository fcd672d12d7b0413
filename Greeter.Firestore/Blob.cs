using Google.Protobuf;

namespace Greeter.Firestore;

/// <summary>Immutable bytes, Firestore's bytes value.</summary>
public readonly record struct Blob
{
    private readonly ByteString? bytes;

    internal Blob(ByteString bytes) => this.bytes = bytes;

    /// <summary>How many bytes there are.</summary>
    public int Length => ByteString.Length;

    internal ByteString ByteString => bytes ?? ByteString.Empty;

    /// <summary>A copy of the given bytes.</summary>
    public static Blob CopyFrom(byte[] bytes) => new(ByteString.CopyFrom(bytes));

    /// <summary>A copy of the bytes.</summary>
    public byte[] ToByteArray() => ByteString.ToByteArray();

    /// <inheritdoc/>
    public bool Equals(Blob other) => ByteString.Equals(other.ByteString);

    /// <inheritdoc/>
    public override int GetHashCode() => ByteString.GetHashCode();
}
