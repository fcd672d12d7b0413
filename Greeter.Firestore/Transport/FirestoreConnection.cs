namespace Greeter.Firestore.Transport;

/// <summary>A database with its connections or its embedded store, which it closes when it is disposed of.</summary>
/// <remarks><see cref="FirestoreDb"/> isn't disposable, because Google's isn't.</remarks>
internal sealed class FirestoreConnection(FirestoreDb database, FirestoreClient client, string location) : IDisposable
{
    public FirestoreDb Database { get; } = database;

    /// <summary>Gets where the documents are, for people.</summary>
    public string Location { get; } = location;

    public void Dispose() => client.Dispose();
}
