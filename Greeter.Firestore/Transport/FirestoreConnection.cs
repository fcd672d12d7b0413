namespace Greeter.Firestore.Transport;

/// <summary>A database together with what was opened for it. Disposing closes the connections, or the embedded store's file.</summary>
/// <remarks><see cref="FirestoreDb"/> isn't disposable, because Google's isn't.</remarks>
internal sealed class FirestoreConnection(FirestoreDb database, FirestoreClient client, string location) : IDisposable
{
    public FirestoreDb Database { get; } = database;

    /// <summary>Gets where the documents are, for people.</summary>
    public string Location { get; } = location;

    public void Dispose() => client.Dispose();
}
