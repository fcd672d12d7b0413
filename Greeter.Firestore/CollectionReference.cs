namespace Greeter.Firestore;

/// <summary>A collection of documents. Having a reference calls nothing and creates nothing.</summary>
public sealed class CollectionReference
{
    internal CollectionReference(FirestoreDb database, string path) => (Database, Path) = (database, path);

    /// <summary>The database that contains the collection.</summary>
    public FirestoreDb Database { get; }

    /// <summary>The complete path: <c>projects/…/databases/…/documents/{collection}</c>.</summary>
    public string Path { get; }

    /// <summary>The last part of the path.</summary>
    public string Id => Path[(Path.LastIndexOf('/') + 1)..];

    /// <summary>A document of this collection, or, with two parts more each, of a collection below one.</summary>
    /// <param name="path">Ids separated by slashes, an odd number of them. An id is 1 to 1,500 bytes of UTF-8, not <c>.</c>,
    /// <c>..</c> or <c>__…__</c>: https://cloud.google.com/firestore/quotas#collections_documents_and_fields; the server
    /// checks that.</param>
    /// <exception cref="ArgumentException">A part is empty, or their number is even.</exception>
    public DocumentReference Document(string path) => new(Database, ResourcePath.Append(Path, path, odd: true));

    /// <inheritdoc/>
    public override string ToString() => Path;
}
