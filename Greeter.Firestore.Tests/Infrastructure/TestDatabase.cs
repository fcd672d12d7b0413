namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>An empty database in the embedded store or the emulator, and the calls to it.</summary>
internal sealed class TestDatabase : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly TimeProvider? time;

    private TestDatabase(Func<string, IFirestoreApi> open, TimeProvider? time)
    {
        this.time = time;
        Wire = new Wire(open(folder.Path));
        Db = new FirestoreDb(Emulator.NewProject(), "(default)", Wire, CreateCache(), time);
    }

    public FirestoreDb Db { get; }

    public Wire Wire { get; }

    public static TestDatabase OpenEmbedded(TimeProvider? time = null) =>
        new(folder => EmbeddedFirestore.Open(folder, TimeProvider.System), time);

    public static async Task<TestDatabase> OpenAsync(Store store)
    {
        if (store == Store.Embedded)
        {
            return OpenEmbedded();
        }
        var api = await ConnectToEmulatorAsync();
        return new(_ => api, time: null);
    }

    /// <summary>Connects to the emulator that tests share.</summary>
    /// <remarks>The deadline is long: on a busy machine a call must not end in DEADLINE_EXCEEDED.</remarks>
    public static async Task<GrpcFirestoreApi> ConnectToEmulatorAsync() => new(
        new Uri($"http://{(await Emulator.SharedAsync()).Host}"),
        credentials: null,
        TimeSpan.FromSeconds(30),
        new SocketsHttpHandler { UseProxy = false });

    /// <summary>Returns the same database as another process opens it: with its own cache and locks.</summary>
    public FirestoreDb OpenAnother(TimeSpan? maxLockWait = null) => new(Db.ProjectId, Db.DatabaseId, Wire, CreateCache(maxLockWait), time);

    // On a busy machine, a test must not depend on the limit for locks.
    private static DocumentCache CreateCache(TimeSpan? maxLockWait = null) =>
        new() { MaxLockWait = maxLockWait ?? TimeSpan.FromSeconds(30) };

    public void Dispose()
    {
        Wire.Dispose();
        folder.Dispose();
    }
}
