using Greeter.Firestore;
using Greeter.Firestore.Embedded;
using Greeter.Firestore.Transport;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>An empty database on one of the stores, and the wire to it.</summary>
internal sealed class TestDatabase : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly FirestoreClient client;

    private TestDatabase(Func<string, HttpMessageHandler> store, Uri address, TimeProvider? time)
    {
        Wire = new Wire(store(folder.Path));
        // Patient calls: the machine may be busy, and a commit whose time is up is not repeated.
        client = new FirestoreClient(new GrpcChannel(Wire, address, authorize: null, TimeSpan.FromSeconds(30)), time);
        Db = new FirestoreDb(Emulator.NewProject(), "(default)", client);
    }

    public FirestoreDb Db { get; }

    public Wire Wire { get; }


    public static TestDatabase OpenEmbedded(TimeProvider? time = null) =>
        new(folder => EmbeddedFirestore.Open(folder, TimeProvider.System), new Uri("http://embedded"), time);

    public static async Task<TestDatabase> OpenAsync(Store store)
    {
        if (store == Store.Embedded)
        {
            return OpenEmbedded();
        }
        var emulator = await Emulator.SharedAsync();
        return new(_ => new SocketsHttpHandler(), new Uri($"http://{emulator.Host}"), time: null);
    }

    /// <summary>The same database as another process has it: with gates and a memory of its own.</summary>
    public FirestoreDb OpenAnother() => new(Db.ProjectId, Db.DatabaseId, client);

    public void Dispose()
    {
        client.Dispose();
        folder.Dispose();
    }
}
