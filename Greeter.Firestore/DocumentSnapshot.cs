namespace Greeter.Firestore;

/// <summary>A document as it was at one moment, whether it existed or not.</summary>
public sealed class DocumentSnapshot : IEquatable<DocumentSnapshot>
{
    internal DocumentSnapshot(DocumentReference reference, BatchGetDocumentsResponse read) =>
        (Reference, Document, ReadTime) = (reference, read.Found, Timestamp.FromProto(read.ReadTime));

    /// <summary>Gets the reference to the document.</summary>
    public DocumentReference Reference { get; }

    /// <summary>Gets the database that contains the document.</summary>
    public FirestoreDb Database => Reference.Database;

    /// <summary>Gets the document's ID.</summary>
    public string Id => Reference.Id;

    /// <summary>Gets whether the document existed.</summary>
    public bool Exists => Document is not null;

    /// <summary>Gets the time at which the document was created, in microseconds; <c>null</c> if it didn't exist.</summary>
    public Timestamp? CreateTime => Timestamp.FromProtoOrNull(Document?.CreateTime);

    /// <summary>Gets the time at which the document last changed, in microseconds; <c>null</c> if it didn't exist.</summary>
    public Timestamp? UpdateTime => Timestamp.FromProtoOrNull(Document?.UpdateTime);

    /// <summary>Gets the time at which the document was in this state, in microseconds.</summary>
    /// <remarks>If the state comes from the client's cache, this is the time of the commit that wrote it.</remarks>
    public Timestamp ReadTime { get; }

    /// <summary>Gets the document as Firestore sent it; <c>null</c> if it didn't exist.</summary>
    internal Document? Document { get; }

    /// <summary>Converts the fields to .NET values.</summary>
    /// <remarks>A value is a <c>long</c>, <c>double</c>, <c>string</c>, <c>bool</c>, <c>null</c>, <see cref="Timestamp"/>,
    /// <see cref="Blob"/>, <see cref="GeoPoint"/>, <see cref="DocumentReference"/>, <c>List&lt;object&gt;</c> or
    /// <c>Dictionary&lt;string, object&gt;</c>. Unlike with Google's client, a reference can be to another database.</remarks>
    /// <returns>A copy of the fields; <c>null</c> if the document didn't exist.</returns>
    /// <exception cref="NotSupportedException">The client doesn't know the type of a field.</exception>
    public Dictionary<string, object?>? ToDictionary() =>
        Document is null ? null : ValueConverter.ToDictionary(Document.Fields, Reference.Database.DocumentFromResourceName);

    /// <summary>Returns whether two snapshots are of the same document with the same fields, whatever their times.</summary>
    public bool Equals(DocumentSnapshot? other) =>
        Reference.Equals(other?.Reference) && Equals(Document?.Fields, other.Document?.Fields);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as DocumentSnapshot);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Reference, Document?.Fields);
}
