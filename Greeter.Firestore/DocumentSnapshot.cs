using Greeter.Firestore.V1;

namespace Greeter.Firestore;

/// <summary>A document as it was at one moment.</summary>
public sealed class DocumentSnapshot
{
    internal DocumentSnapshot(DocumentReference reference, Document? document) => (Reference, Document) = (reference, document);

    /// <summary>The document.</summary>
    public DocumentReference Reference { get; }

    /// <summary>The document's id.</summary>
    public string Id => Reference.Id;

    /// <summary>Whether there was such a document.</summary>
    public bool Exists => Document is not null;

    /// <summary>When it last changed, in microseconds; null if it did not exist.</summary>
    public Timestamp? UpdateTime => Document is null ? null : Timestamp.FromProto(Document.UpdateTime);

    /// <summary>
    /// The fields, each as <c>long</c>, <c>double</c>, <c>string</c>, <c>bool</c>, <c>null</c>, <see cref="Timestamp"/>,
    /// <see cref="Blob"/>, <see cref="GeoPoint"/>, <see cref="DocumentReference"/>, <c>List&lt;object&gt;</c> or
    /// <c>Dictionary&lt;string, object&gt;</c>; null for a missing document.
    /// </summary>
    /// <exception cref="NotSupportedException">A field is of a kind that this client does not know.</exception>
    public Dictionary<string, object?>? ToDictionary() =>
        Document is null ? null : ValueConverter.ToDictionary(Document.Fields, Reference.Database);

    /// <summary>The document as it came; null for a missing one.</summary>
    internal Document? Document { get; }

    /// <summary>What a write must carry for it to fail if the document is not as it was in this snapshot.</summary>
    internal V1.Precondition ToGuard() => Document is null
        ? new V1.Precondition { Exists = false }
        : new V1.Precondition { UpdateTime = Document.UpdateTime };

    /// <summary>A write that changes nothing and fails if the document is not as it was in this snapshot.</summary>
    internal Write ToGuardWrite() => Document is null
        ? new Write { Delete = Reference.Path, CurrentDocument = ToGuard() }
        : new Write
        {
            Update = new Document { Name = Reference.Path },
            UpdateMask = new DocumentMask(),
            CurrentDocument = ToGuard(),
        };
}
