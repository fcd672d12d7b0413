namespace Greeter.Firestore;

/// <summary>The name of a document, whether it exists or not.</summary>
/// <remarks>Creating a reference makes no call. The client sends a write once and never retries it. A write that is cancelled takes place
/// nevertheless if Firestore has received it.</remarks>
public sealed class DocumentReference : IEquatable<DocumentReference>
{
    internal DocumentReference(FirestoreDb database, string path) => (Database, Path) = (database, path);

    /// <summary>Gets the database that contains the document.</summary>
    public FirestoreDb Database { get; }

    /// <summary>Gets the complete path: <c>projects/…/databases/…/documents/{collection}/{id}</c>.</summary>
    public string Path { get; }

    /// <summary>Gets the last ID of the path.</summary>
    public string Id => ResourcePath.GetId(Path);

    /// <summary>Gets the collection that contains the document.</summary>
    public CollectionReference Parent => new(Database, ResourcePath.GetParent(Path));

    /// <summary>Creates a reference to a collection below this document.</summary>
    /// <param name="path">The IDs below this document, separated by slashes; an odd number of them.</param>
    /// <exception cref="ArgumentException">An ID is empty or has a lone surrogate, or the number of IDs is even.</exception>
    public CollectionReference Collection(string path) => new(Database, ResourcePath.Append(Path, path, odd: true));

    /// <summary>Reads the document.</summary>
    /// <remarks>The client retries the read after <see cref="StatusCode.Unavailable"/>, <see cref="StatusCode.Internal"/> and
    /// <see cref="StatusCode.DeadlineExceeded"/>, for up to 60 seconds.</remarks>
    /// <returns>A snapshot of the document, also if it doesn't exist.</returns>
    /// <exception cref="RpcException">Firestore rejected the read or didn't respond.</exception>
    public Task<DocumentSnapshot> GetSnapshotAsync(CancellationToken cancellationToken = default) =>
        Database.GetSnapshotAsync(this, cancellationToken);

    /// <summary>Creates the document.</summary>
    /// <returns>The time of the write.</returns>
    /// <exception cref="ArgumentException">Firestore can't store the data.</exception>
    /// <exception cref="RpcException">The document exists (ALREADY_EXISTS), or Firestore rejected the write or didn't respond.</exception>
    public Task<WriteResult> CreateAsync(object documentData, CancellationToken cancellationToken = default) =>
        Database.WriteAsync(WriteFactory.Create(this, documentData), cancellationToken);

    /// <summary>Writes the document, whether it exists or not. The default is <see cref="SetOptions.Overwrite"/>.</summary>
    /// <returns>The time of the write.</returns>
    /// <exception cref="ArgumentException">Firestore can't store the data.</exception>
    /// <exception cref="RpcException">Firestore rejected the write or didn't respond.</exception>
    public Task<WriteResult> SetAsync(object documentData, SetOptions? options = null, CancellationToken cancellationToken = default) =>
        Database.WriteAsync(WriteFactory.Set(this, documentData, options), cancellationToken);

    /// <summary>Deletes the document.</summary>
    /// <remarks>Without a precondition, deleting a missing document succeeds.</remarks>
    /// <returns>The time of the commit.</returns>
    /// <exception cref="RpcException">The document doesn't meet the precondition, or Firestore rejected it or didn't respond.</exception>
    public Task<WriteResult> DeleteAsync(Precondition? precondition = null, CancellationToken cancellationToken = default) =>
        Database.WriteAsync(WriteFactory.Delete(this, precondition), cancellationToken);

    /// <summary>Returns whether two references have the same path.</summary>
    public bool Equals(DocumentReference? other) => other?.Path == Path;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as DocumentReference);

    /// <inheritdoc/>
    public override int GetHashCode() => Path.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Path;
}
