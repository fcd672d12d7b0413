using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore;

/// <summary>One attempt of <see cref="FirestoreDb.RunTransactionAsync{T}"/>.</summary>
/// <remarks>Transactions are optimistic: reads take no lock in the database. The commit fails, and the callback runs again, if a document
/// changed after it was read. Thread-safe.</remarks>
public sealed class Transaction
{
    private readonly Lock access = new();
    private readonly DocumentCache cache;
    private readonly DocumentLock documentLock;
    private readonly List<DocumentSnapshot> reads = [];
    private readonly List<Write> writes = [];
    private readonly bool canStartFromCache;
    private bool hasEnded;

    /// <param name="database">The database that the transaction runs in.</param>
    /// <param name="cache">The documents that this process committed last.</param>
    /// <param name="documentLock">The lock that the transaction may take.</param>
    /// <param name="canStartFromCache">Whether reads may come from the cache.</param>
    /// <param name="cancellationToken">Cancels the transaction.</param>
    internal Transaction(
        FirestoreDb database, DocumentCache cache, DocumentLock documentLock, bool canStartFromCache, CancellationToken cancellationToken)
    {
        (Database, CancellationToken) = (database, cancellationToken);
        (this.cache, this.documentLock, this.canStartFromCache) = (cache, documentLock, canStartFromCache);
    }

    /// <summary>Gets the token that was given to <see cref="FirestoreDb.RunTransactionAsync{T}"/>.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>Gets the database that the transaction runs in.</summary>
    public FirestoreDb Database { get; }

    /// <summary>Gets whether a read came from the cache, so that only a successful commit confirms the callback's result.</summary>
    internal bool HasCachedReads { get; private set; }

    /// <summary>Gets the snapshots that were read, after the transaction has ended.</summary>
    internal IReadOnlyList<DocumentSnapshot> Reads => reads;

    /// <summary>Gets the writes, without those that only check, after the transaction has ended.</summary>
    internal IReadOnlyList<Write> Writes => writes;

    /// <summary>Reads a document.</summary>
    /// <remarks>
    /// A second read of the same document returns the same snapshot. Several reads can run at the same time. A read that fails with
    /// <see cref="StatusCode.Unavailable"/>, <see cref="StatusCode.Internal"/> or <see cref="StatusCode.DeadlineExceeded"/> is repeated
    /// for up to 60 seconds. The first attempt of a transaction can get a document as this process last committed it, without a call;
    /// the commit's precondition rejects a stale one.
    /// </remarks>
    /// <param name="documentReference">The document.</param>
    /// <param name="cancellationToken">Cancels the read; the transaction's own token does so too.</param>
    /// <returns>The snapshot, also of a document that doesn't exist.</returns>
    /// <exception cref="InvalidOperationException">The transaction has already written, or has ended.</exception>
    /// <exception cref="RpcException">Firestore rejected the read, or couldn't be reached.</exception>
    /// <exception cref="OperationCanceledException">One of the tokens was cancelled.</exception>
    public async Task<DocumentSnapshot> GetSnapshotAsync(
        DocumentReference documentReference, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(documentReference);
        lock (access)
        {
            ThrowIfEnded();
            if (writes.Count > 0)
            {
                throw new InvalidOperationException("A transaction must read before it writes.");
            }
            if (FindRead(documentReference) is { } earlier)
            {
                return earlier;
            }
        }
        using var linked = cancellationToken.CanBeCanceled
            ? CancellationTokenSource.CreateLinkedTokenSource(CancellationToken, cancellationToken)
            : null;
        var token = linked?.Token ?? CancellationToken;
        var entry = cache.Find(documentReference.Path);
        if (entry is not null)
        {
            await documentLock.AcquireAsync(entry, token);
        }
        var cached = canStartFromCache && entry?.UpdateTime is not null && cache.HitRate.ShouldUseCache()
            ? entry.ToSnapshot(documentReference)
            : null;
        if (canStartFromCache && cached is null)
        {
            ClientMetrics.CacheMisses.Add(1);
        }
        var snapshot = cached ?? await Database.GetSnapshotAsync(documentReference, token);
        lock (access)
        {
            if (FindRead(documentReference) is { } concurrent)
            {
                return concurrent;
            }
            // A read that ends after the transaction isn't part of it: the commit doesn't check it.
            if (!hasEnded)
            {
                reads.Add(snapshot);
                HasCachedReads |= cached is not null;
            }
            return snapshot;
        }
    }

    /// <summary>Creates a document when the transaction commits.</summary>
    /// <remarks>The commit fails if the document exists. After a commit whose response was lost, that can be the document of the
    /// transaction itself. To avoid that, choose a new ID each time the callback runs.</remarks>
    /// <param name="documentReference">The document.</param>
    /// <param name="documentData">An <see cref="IDictionary{TKey, TValue}"/> from field names to values.</param>
    /// <exception cref="ArgumentException">The data can't be stored in Firestore.</exception>
    /// <exception cref="InvalidOperationException">The transaction has ended.</exception>
    public void Create(DocumentReference documentReference, object documentData) =>
        Add(WriteFactory.Create(documentReference, documentData));

    /// <summary>Writes a document when the transaction commits, whether the document exists or not.</summary>
    /// <param name="documentReference">The document.</param>
    /// <param name="documentData">An <see cref="IDictionary{TKey, TValue}"/> from field names to values.</param>
    /// <param name="options">What happens to fields that aren't in the data; <see cref="SetOptions.Overwrite"/> if null.</param>
    /// <exception cref="ArgumentException">The data can't be stored in Firestore.</exception>
    /// <exception cref="InvalidOperationException">The transaction has ended.</exception>
    public void Set(DocumentReference documentReference, object documentData, SetOptions? options = null) =>
        Add(WriteFactory.Set(documentReference, documentData, options));

    /// <summary>Deletes a document when the transaction commits.</summary>
    /// <param name="documentReference">The document, which doesn't have to exist.</param>
    /// <param name="precondition">A condition for the commit; none if null.</param>
    /// <exception cref="InvalidOperationException">The transaction has ended.</exception>
    public void Delete(DocumentReference documentReference, Precondition? precondition = null) =>
        Add(WriteFactory.Delete(documentReference, precondition));

    /// <summary>Ends the transaction: later reads and writes fail, and a read that is still running isn't part of it.</summary>
    /// <returns>The writes to commit, with the preconditions of all reads; none if there is nothing to write or to check.</returns>
    /// <exception cref="RpcException">A write's own precondition contradicts a read.</exception>
    internal List<Write> End()
    {
        lock (access)
        {
            hasEnded = true;
        }
        var commit = writes.ToList();
        // One read is consistent by itself; several are consistent only if none of the documents changed in between.
        if (writes.Count > 0 || (reads.Count > 1 && !HasCachedReads))
        {
            Preconditions.Add(commit, reads);
        }
        return commit;
    }

    private void Add(Write write)
    {
        lock (access)
        {
            ThrowIfEnded();
            writes.Add(write);
        }
    }

    private DocumentSnapshot? FindRead(DocumentReference reference) => reads.Find(read => read.Reference.Equals(reference));

    private void ThrowIfEnded()
    {
        if (hasEnded)
        {
            throw new InvalidOperationException("The transaction has ended. Await each read, and write before the callback returns.");
        }
    }
}
