namespace Greeter.Firestore;

/// <summary>The name of a collection of documents.</summary>
/// <remarks>Creating a reference makes no call.</remarks>
public sealed class CollectionReference : IEquatable<CollectionReference>
{
    internal CollectionReference(FirestoreDb database, string path) => (Database, Path) = (database, path);

    /// <summary>Gets the database that contains the collection.</summary>
    public FirestoreDb Database { get; }

    /// <summary>Gets the complete path: <c>projects/…/databases/…/documents/{collection}</c>.</summary>
    public string Path { get; }

    /// <summary>Gets the last ID of the path.</summary>
    public string Id => ResourcePath.GetId(Path);

    /// <summary>Gets the document that contains the collection; <c>null</c> for a collection at the root.</summary>
    public DocumentReference? Parent =>
        ResourcePath.GetParent(Path) is var parent && parent == Database.DocumentsPath ? null : new(Database, parent);

    /// <summary>Creates a reference to a document in this collection or below it.</summary>
    /// <remarks>Firestore checks the IDs when the reference is used: an ID has 1 to 1,500 bytes in UTF-8 and isn't <c>.</c>,
    /// <c>..</c> or <c>__…__</c>. Source: https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields
    /// </remarks>
    /// <param name="path">The IDs below this collection, separated by slashes; an odd number of them.</param>
    /// <exception cref="ArgumentException">An ID is empty or has a lone surrogate, or the number of IDs is even.</exception>
    public DocumentReference Document(string path) => new(Database, ResourcePath.Append(Path, path, odd: true));

    /// <summary>Returns whether two references have the same path.</summary>
    public bool Equals(CollectionReference? other) => other?.Path == Path;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as CollectionReference);

    /// <inheritdoc/>
    public override int GetHashCode() => Path.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Path;
}
