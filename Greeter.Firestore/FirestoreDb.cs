namespace Greeter.Firestore;

/// <summary>A Firestore database.</summary>
/// <remarks>
/// <para>Thread-safe. Create one with a <see cref="FirestoreDbBuilder"/>, and use it as long as the process runs.</para>
/// <para>A field's value is null, a <c>bool</c>, number, <c>string</c>, enumeration's member (stored as its number),
/// <see cref="Timestamp"/>, <c>DateTime</c>, <c>DateTimeOffset</c>, <see cref="Blob"/>, <c>ByteString</c>, <c>byte[]</c>,
/// <see cref="GeoPoint"/>, <see cref="DocumentReference"/>, sequence, dictionary with string keys, or of an anonymous type. Unlike Google's
/// client, this one has no attributes and converters for classes, no sentinel values such as the server's time, and no queries.</para>
/// <para>A call has 2 seconds, a commit 3, so a document of 1 MB needs a connection of 500 KB/s. The client never sends a commit twice, but
/// <c>HttpClient</c> itself sends a call again that the server refused before it processed it.</para>
/// </remarks>
public sealed class FirestoreDb
{
    private readonly FirestoreClient client;
    private readonly DocumentCache cache;

    internal FirestoreDb(
        string projectId, string databaseId, IFirestoreApi api, DocumentCache? cache = null, TimeProvider? time = null)
        : this(projectId, databaseId, new FirestoreClient(api, ToName(projectId, databaseId), time ?? TimeProvider.System), cache ?? new())
    {
    }

    private FirestoreDb(string projectId, string databaseId, FirestoreClient client, DocumentCache cache)
    {
        (ProjectId, DatabaseId, this.client, this.cache) = (projectId, databaseId, client, cache);
        DocumentsPath = $"{ToName(projectId, databaseId)}/documents";
    }

    /// <summary>Gets the ID of the project that contains the database.</summary>
    public string ProjectId { get; }

    /// <summary>Gets the database's ID: <c>(default)</c> for the default database.</summary>
    public string DatabaseId { get; }

    /// <summary>Gets the path of the database's root: <c>projects/{project}/databases/{database}/documents</c>.</summary>
    internal string DocumentsPath { get; }

    /// <summary>Creates a reference to a collection, without a call to Firestore.</summary>
    /// <param name="path">An odd number of IDs, separated by slashes: <c>cities</c>, <c>cities/{id}/districts</c>.</param>
    /// <exception cref="ArgumentException">An ID is empty or contains a lone surrogate, or the number of IDs is even.</exception>
    public CollectionReference Collection(string path) => new(this, ResourcePath.Append(DocumentsPath, path, odd: true));

    /// <summary>Creates a reference to a document, without a call to Firestore.</summary>
    /// <param name="path">An even number of IDs, separated by slashes: <c>cities/{id}</c>.</param>
    /// <exception cref="ArgumentException">An ID is empty or contains a lone surrogate, or the number of IDs is odd.</exception>
    public DocumentReference Document(string path) => new(this, ResourcePath.Append(DocumentsPath, path, odd: false));

    /// <summary>Runs a transaction: a callback that reads and writes documents, and one commit of all its writes.</summary>
    /// <remarks>
    /// <para>Transactions are optimistic, unlike in Google's client: reads take no lock in the database, unless conflicts last. The commit
    /// fails, and the callback runs again on fresh reads, if a document changed after it was read. It also runs again after a transient
    /// failure, but after an ambiguous one only if a first commit that arrives late can't overwrite anything.</para>
    /// <para>The callback's first run can get documents as this process last committed them, without a call. Its result is returned
    /// only if the commit has confirmed them. Transactions of this process that write the same document queue for it.</para>
    /// </remarks>
    /// <typeparam name="T">The type of the callback's result.</typeparam>
    /// <param name="callback">Reads first, then writes. It can run several times, so it must have no other effect. After a commit whose
    /// response was lost it runs again although its writes may be stored.</param>
    /// <param name="options">The limit of attempts. If null, the transaction runs again until 60 seconds have passed, instead of Google's
    /// five attempts: optimistic attempts are cheap, and among many competitors one may need more.</param>
    /// <param name="cancellationToken">Cancels the transaction. The callback gets it as
    /// <see cref="Transaction.CancellationToken"/>.</param>
    /// <returns>The callback's result, after its writes have been stored.</returns>
    /// <exception cref="RpcException">Firestore rejected the transaction or couldn't be reached; the status is the last attempt's. A
    /// conflict that lasts to the limit is <see cref="StatusCode.Aborted"/>.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. The inner exception is the failure that was being retried,
    /// if any. The writes may be stored.</exception>
    public Task<T> RunTransactionAsync<T>(
        Func<Transaction, Task<T>> callback, TransactionOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var runner = new TransactionRunner(client, cache, options?.MaxAttempts, cancellationToken);
        return runner.RunAsync(attempt => callback(new Transaction(this, attempt, cancellationToken)));
    }

    /// <inheritdoc cref="RunTransactionAsync{T}"/>
    /// <returns>A task that ends after the writes have been stored.</returns>
    public Task RunTransactionAsync(
        Func<Transaction, Task> callback, TransactionOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(callback);
        return RunTransactionAsync(
            async transaction =>
            {
                await callback(transaction).ConfigureAwait(false);
                return true;
            },
            options,
            cancellationToken);
    }

    internal async Task<DocumentSnapshot> GetSnapshotAsync(DocumentReference reference, CancellationToken cancellationToken) =>
        new(reference, await client.GetAsync(reference.Path, cancellationToken).ConfigureAwait(false));

    /// <summary>Sends one write outside a transaction, once.</summary>
    internal async Task<WriteResult> WriteAsync(Write write, CancellationToken cancellationToken)
    {
        try
        {
            var response = await client.CommitAsync([write], transactionId: null, cancellationToken).ConfigureAwait(false);
            // A delete has no update time.
            return new WriteResult(Timestamp.FromProtoOrNull(response.WriteResults[0].UpdateTime ?? response.CommitTime) ?? default);
        }
        finally
        {
            cache.Drop(write.Name());
        }
    }

    /// <summary>Creates a reference to a document from its full name, which can be in another database or project.</summary>
    internal DocumentReference DocumentFromResourceName(string name)
    {
        if (name.Split('/') is not ["projects", var projectId, "databases", var databaseId, "documents", _, _, .. var more]
            || more.Length % 2 != 0)
        {
            throw new NotSupportedException($"'{name}' is not a valid reference to a document.");
        }
        var isInThisDatabase = projectId == ProjectId && databaseId == DatabaseId;
        return new DocumentReference(
            isInThisDatabase
                ? this
                : new FirestoreDb(projectId, databaseId, client.WithDatabase(ToName(projectId, databaseId)), cache),
            name);
    }

    private static string ToName(string projectId, string databaseId) => $"projects/{projectId}/databases/{databaseId}";
}
