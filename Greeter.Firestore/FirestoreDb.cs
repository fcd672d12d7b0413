using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore;

/// <summary>A Firestore database. It is made by <see cref="FirestoreDbBuilder"/>, safe for threads, and meant to live as long as
/// the process.</summary>
public sealed class FirestoreDb : IDisposable
{
    private readonly FirestoreClient client;
    private readonly DocumentGates gates;

    internal FirestoreDb(string projectId, string databaseId, FirestoreClient client, DocumentGates? gates = null)
    {
        (ProjectId, DatabaseId, this.client, this.gates) = (projectId, databaseId, client, gates ?? new DocumentGates());
        ResourceName = $"projects/{projectId}/databases/{databaseId}";
        DocumentsPath = $"{ResourceName}/documents";
    }

    /// <summary>The project that contains the database.</summary>
    public string ProjectId { get; }

    /// <summary>The database's id, <c>(default)</c> for the default one.</summary>
    public string DatabaseId { get; }

    /// <summary>What this process knows of documents without asking.</summary>
    internal DocumentMemory Memory { get; } = new();

    private string ResourceName { get; }

    internal string DocumentsPath { get; }

    /// <summary>A collection.</summary>
    /// <param name="path">Ids separated by slashes, an odd number of them: <c>sessions</c>, <c>sessions/{id}/pages</c>.</param>
    /// <exception cref="ArgumentException">A part is empty, or their number is even.</exception>
    public CollectionReference Collection(string path) => new(this, ResourcePath.Append(DocumentsPath, path, odd: true));

    /// <summary>A document.</summary>
    /// <param name="path">Ids separated by slashes, an even number of them: <c>sessions/{id}</c>.</param>
    /// <exception cref="ArgumentException">A part is empty, or their number is odd.</exception>
    public DocumentReference Document(string path) => new(this, ResourcePath.Append(DocumentsPath, path, odd: false));

    /// <summary>
    /// Runs the callback and commits what it wrote, all or nothing. What it read is still true at that moment: where somebody
    /// else was faster, and where the commit ends with ABORTED or UNAVAILABLE (RESOURCE_EXHAUSTED: once), the callback runs
    /// again on fresh reads, until the token is cancelled, for 60 seconds at most. Its first run may get, without a call, what
    /// this process has committed last; only the commit says whether that is still so, so what comes of it is never returned
    /// unless the commit succeeds.
    /// </summary>
    /// <param name="callback">Reads first, then writes, and has no effect of its own, because it may run several times. After
    /// a commit whose answer was lost it runs once more although its writes may be stored.</param>
    /// <param name="cancellationToken">Cancels the transaction; the callback sees it as
    /// <see cref="Transaction.CancellationToken"/>.</param>
    /// <returns>What the callback returned when its writes were stored.</returns>
    /// <exception cref="RpcException">Firestore refused, or could not be reached.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the inner exception is what was being retried, if
    /// anything was. The writes may be stored.</exception>
    public async Task<T> RunTransactionAsync<T>(
        Func<Transaction, Task<T>> callback, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(callback);
        using var turn = gates.NewTurn();
        var retry = client.NewRetry(cancellationToken);
        try
        {
            // Only the first attempt may guess: whatever becomes of it, the next one reads.
            for (var guesses = Memory; ; guesses = null)
            {
                var transaction = new Transaction(this, turn, guesses, cancellationToken);
                try
                {
                    var result = await callback(transaction);
                    if (transaction.HasGuessed && !transaction.HasWrites)
                    {
                        continue;
                    }
                    await CommitAsync(transaction, cancellationToken);
                    return result;
                }
                catch (RpcException e) when (transaction.HasCommitted && retry.AllowsCommitAfter(e, transaction.HasLostTo(e)))
                {
                    retry.Record(e);
                    if (Retry.IsContention(e) && transaction.ContendedPath is { } path)
                    {
                        await turn.TakeAsync(path, cancellationToken);
                    }
                    await retry.PauseAsync();
                }
                catch (Exception) when (transaction.HasGuessed && !transaction.HasCommitted)
                {
                    // The callback may have failed because of what was guessed.
                }
            }
        }
        catch (OperationCanceledException e) when (retry.IsBehind(e))
        {
            throw retry.ToCancellation();
        }
    }

    /// <inheritdoc cref="RunTransactionAsync{T}"/>
    public Task RunTransactionAsync(Func<Transaction, Task> callback, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(callback);
        return RunTransactionAsync(
            async transaction =>
            {
                await callback(transaction);
                return true;
            },
            cancellationToken);
    }

    /// <summary>Closes the connections; done by the app's services when the app ends.</summary>
    void IDisposable.Dispose() => client.Dispose();

    internal async Task<DocumentSnapshot> GetSnapshotAsync(DocumentReference reference, CancellationToken cancellationToken)
    {
        var request = new BatchGetDocumentsRequest { Database = ResourceName, Documents = { reference.Path } };
        var response = await client.BatchGetDocumentsAsync(request, cancellationToken);
        return new DocumentSnapshot(reference, response.Found, Timestamp.FromProto(response.ReadTime));
    }

    /// <summary>Sends one write outside a transaction.</summary>
    internal async Task<WriteResult> WriteAsync(Write write, CancellationToken cancellationToken)
    {
        var response = await CommitAsync([write], cancellationToken);
        // A delete has no update time.
        return new WriteResult(Timestamp.FromProto(response.WriteResults[0].UpdateTime ?? response.CommitTime));
    }

    internal Task<CommitResponse> CommitAsync(List<Write> writes, CancellationToken cancellationToken) =>
        client.CommitAsync(new CommitRequest { Database = ResourceName, Writes = { writes } }, cancellationToken);

    private async Task CommitAsync(Transaction transaction, CancellationToken cancellationToken)
    {
        var writes = transaction.GuardedWrites();
        if (writes.Count == 0)
        {
            return;
        }
        transaction.HasCommitted = true;
        try
        {
            transaction.Remember(await CommitAsync(writes, cancellationToken));
        }
        catch (Exception e)
        {
            transaction.Forget(hasLost: e is RpcException failure && transaction.HasLostTo(failure));
            throw;
        }
    }

    /// <summary>A reference that was stored in a document; it may be to another database, also of another project.</summary>
    internal DocumentReference DocumentFromResourceName(string name)
    {
        if (name.Split('/') is not ["projects", var projectId, "databases", var databaseId, "documents", _, _, .. var more]
            || more.Length % 2 != 0)
        {
            throw new NotSupportedException($"'{name}' is no reference to a document.");
        }
        var isHere = projectId == ProjectId && databaseId == DatabaseId;
        return new DocumentReference(isHere ? this : new FirestoreDb(projectId, databaseId, client, gates), name);
    }
}
