using Greeter.Firestore;
using Greeter.Firestore.Embedded;
using Greeter.Firestore.Transport;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>An empty database in the embedded store or the emulator, and the transport to it.</summary>
internal sealed class TestDatabase : IDisposable
{
    // On a busy machine, a test must not depend on the limit for locks.
    private static readonly TimeSpan LongLockWait = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder folder = new();
    private readonly FirestoreClient client;

    private TestDatabase(Func<string, HttpMessageHandler> open, Uri address, TimeProvider? time)
    {
        Wire = new Wire(open(folder.Path));
        // A long deadline: on a busy machine a call must not end in DEADLINE_EXCEEDED.
        client = new FirestoreClient(new GrpcChannel(Wire, address, authorize: null, TimeSpan.FromSeconds(30)), time);
        Db = new FirestoreDb(Emulator.NewProject(), "(default)", client, CreateCache());
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

    /// <summary>Returns the same database as another process opens it: with its own cache and locks.</summary>
    /// <param name="time">The clock of time slices; the system's if null.</param>
    public FirestoreDb OpenAnother(TimeProvider? time = null) => new(Db.ProjectId, Db.DatabaseId, client, CreateCache(time));

    /// <summary>Returns the same database as another process opens it, with the product's limit for locks.</summary>
    public FirestoreDb OpenWithShortLockWait() => new(Db.ProjectId, Db.DatabaseId, client);

    private static DocumentCache CreateCache(TimeProvider? time = null) =>
        new() { MaxLockWait = LongLockWait, Time = time ?? TimeProvider.System };

    public void Dispose()
    {
        client.Dispose();
        folder.Dispose();
    }
}
