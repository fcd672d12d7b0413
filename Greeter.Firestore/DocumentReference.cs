using Greeter.Firestore.V1;

namespace Greeter.Firestore;

/// <summary>A document, whether it exists or not. Having a reference calls nothing and creates nothing.</summary>
public sealed class DocumentReference : IEquatable<DocumentReference>
{
    internal DocumentReference(FirestoreDb database, string path) => (Database, Path) = (database, path);

    /// <summary>The database that contains the document.</summary>
    public FirestoreDb Database { get; }

    /// <summary>The complete path: <c>projects/…/databases/…/documents/{collection}/{id}</c>.</summary>
    public string Path { get; }

    /// <summary>The last part of the path.</summary>
    public string Id => Path[(Path.LastIndexOf('/') + 1)..];

    /// <summary>The collection that the document is in.</summary>
    public CollectionReference Parent => new(Database, Path[..Path.LastIndexOf('/')]);

    /// <summary>A collection below this document.</summary>
    /// <param name="path">Ids separated by slashes, an odd number of them.</param>
    /// <exception cref="ArgumentException">A part is empty, or their number is even.</exception>
    public CollectionReference Collection(string path) => new(Database, ResourcePath.Append(Path, path, odd: true));

    /// <summary>Reads the document; the snapshot may be of a missing one. Tried again on UNAVAILABLE, INTERNAL and
    /// DEADLINE_EXCEEDED, for 60 seconds at most.</summary>
    /// <exception cref="RpcException">Firestore refused, or could not be reached.</exception>
    public Task<DocumentSnapshot> GetSnapshotAsync(CancellationToken cancellationToken = default) =>
        Database.GetSnapshotAsync(this, cancellationToken);

    /// <summary>Writes the document, in one call that is never sent twice.</summary>
    /// <param name="documentData">An <see cref="IDictionary{TKey, TValue}"/> from field names to values.</param>
    /// <param name="options">What happens to fields that are not in the data; overwritten unless set.</param>
    /// <param name="cancellationToken">Cancels the call, not a write that has arrived.</param>
    /// <exception cref="ArgumentException">A value is of a type that Firestore does not have.</exception>
    /// <exception cref="RpcException">Firestore refused, or could not be reached.</exception>
    public Task SetAsync(object documentData, SetOptions? options = null, CancellationToken cancellationToken = default) =>
        Database.CommitAsync([Transaction.CreateSet(this, documentData, options)], cancellationToken);

    /// <summary>Deletes the document, which need not exist, in one call that is never sent twice.</summary>
    /// <exception cref="RpcException">Firestore refused, or could not be reached.</exception>
    public Task DeleteAsync(CancellationToken cancellationToken = default) =>
        Database.CommitAsync([new Write { Delete = Path }], cancellationToken);

    /// <inheritdoc/>
    public bool Equals(DocumentReference? other) => other?.Path == Path;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as DocumentReference);

    /// <inheritdoc/>
    public override int GetHashCode() => Path.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Path;
}
