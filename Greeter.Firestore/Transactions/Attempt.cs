namespace Greeter.Firestore.Transactions;

/// <summary>Where the reads of an attempt come from.</summary>
internal enum ReadSource
{
    Cache,              // Or Firestore, for documents that aren't cached.
    Firestore,          // Without locks.
    LockedInFirestore,  // In a transaction of Firestore's own that locks the documents.
}

/// <summary>One attempt of a transaction: what its callback reads and writes, and the commit.</summary>
/// <remarks>Thread-safe, because a callback can read concurrently, and because a read can outlive the attempt.</remarks>
internal sealed class Attempt(
    FirestoreClient client, DocumentCache cache, HeldLock heldLock, ReadSource source, CancellationToken cancellationToken)
{
    private readonly Lock access = new();
    private readonly Dictionary<string, BatchGetDocumentsResponse> reads = [];
    private readonly List<Write> writes = [];
    private bool hasEnded;

    /// <summary>Gets what was read, by the names of the documents; it doesn't change after the attempt has ended.</summary>
    public IReadOnlyDictionary<string, BatchGetDocumentsResponse> Reads => reads;

    /// <summary>Gets the callback's writes; they don't change after the attempt has ended.</summary>
    public IReadOnlyList<Write> Writes => writes;

    /// <summary>Gets the commit that was sent; null if none was.</summary>
    public List<Write>? Commit { get; private set; }

    /// <summary>Gets the transaction in Firestore that locks the documents; null if the attempt takes no locks there.</summary>
    public FirestoreLock? FirestoreLock { get; } = source == ReadSource.LockedInFirestore ? new FirestoreLock(client) : null;

    /// <summary>Gets whether a read came from the cache, so that only a successful commit confirms the callback's result.</summary>
    public bool HasCachedReads { get; private set; }

    /// <summary>Reads a document. A second read of a document returns the same response.</summary>
    /// <exception cref="InvalidOperationException">The attempt has written already, or has ended.</exception>
    public async Task<BatchGetDocumentsResponse> ReadAsync(string name, CancellationToken readToken)
    {
        lock (access)
        {
            ThrowIfEnded();
            if (writes.Count > 0)
            {
                throw new InvalidOperationException("A transaction must read before it writes.");
            }
            if (reads.TryGetValue(name, out var earlier))
            {
                return earlier;
            }
        }
        using var linked = readToken.CanBeCanceled
            ? CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, readToken)
            : null;
        var token = linked?.Token ?? cancellationToken;
        var entry = cache.GetOrAdd(name);
        await heldLock.AcquireAsync(entry.Lock, token).ConfigureAwait(false);
        var cached = source == ReadSource.Cache ? ReadFromCache(entry) : null;
        var read = cached ?? await (FirestoreLock?.GetAsync(name, token) ?? client.GetAsync(name, token)).ConfigureAwait(false);
        lock (access)
        {
            // A read that ends after the attempt isn't part of it: the commit doesn't check it.
            if (hasEnded || reads.TryAdd(name, read))
            {
                HasCachedReads |= !hasEnded && cached is not null;
                return read;
            }
            return reads[name];
        }
    }

    /// <summary>Adds a write to the commit.</summary>
    public void Add(Write write)
    {
        lock (access)
        {
            ThrowIfEnded();
            writes.Add(write);
        }
    }

    /// <summary>Ends a failed attempt: releases its locks in Firestore.</summary>
    public void Abandon()
    {
        End();
        FirestoreLock?.End(hasCommitted: false);
    }

    /// <summary>Commits the writes, with a precondition for each read.</summary>
    /// <returns>Firestore's response; null if there is nothing to write and nothing to check.</returns>
    public async Task<CommitResponse?> CommitAsync()
    {
        End();
        var commit = writes.ToList();
        // One read is consistent by itself; several are consistent only if none of the documents changed in between.
        if (writes.Count > 0 || (reads.Count > 1 && !HasCachedReads))
        {
            Preconditions.Add(commit, reads);
        }
        UpdateLocks();
        if (commit.Count == 0)
        {
            FirestoreLock?.End(hasCommitted: false);
            return null;
        }
        Commit = commit;
        try
        {
            // Without an ID, the lock isn't taken yet. It is released when it is.
            var transactionId = FirestoreLock?.TransactionId;
            var response = await client.CommitAsync(commit, transactionId, cancellationToken).ConfigureAwait(false);
            FirestoreLock?.End(hasCommitted: transactionId is not null);
            heldLock.TimeSlice?.RecordCommit(client.Time);
            RecordHit(isCurrent: true);
            cache.Update(this, response);
            return response;
        }
        catch
        {
            commit.ForEach(write => cache.Drop(write.Name()));
            throw;
        }
    }

    /// <summary>Records whether cached documents were current, if the attempt has read some.</summary>
    public void RecordHit(bool isCurrent)
    {
        if (HasCachedReads)
        {
            cache.HitRate.Record(isCurrent);
        }
    }

    /// <summary>Returns whether a document that was read has changed since.</summary>
    public async Task<bool> HaveReadsChangedAsync()
    {
        try
        {
            List<Write> checks = [];
            Preconditions.Add(checks, reads);
            await client.CommitAsync(checks, transactionId: null, cancellationToken).ConfigureAwait(false);
            return false;
        }
        catch (RpcException e)
        {
            return e.StatusCode is StatusCode.Aborted or StatusCode.FailedPrecondition or StatusCode.AlreadyExists or StatusCode.NotFound;
        }
    }

    /// <summary>Returns a document's version, its update time, as read, or since the commit; null if it doesn't exist.</summary>
    /// <returns>False if the attempt neither read nor wrote the document.</returns>
    public bool TryGetLastVersion(string name, CommitResponse? response, out ProtoTimestamp? version)
    {
        var index = response is null ? -1 : writes.FindLastIndex(write => write.Name() == name);
        version = index >= 0 ? response!.WriteResults[index].UpdateTime : reads.GetValueOrDefault(name)?.Found?.UpdateTime;
        return index >= 0 || reads.ContainsKey(name);
    }

    // Later reads and writes fail, and a read that is still running isn't part of the attempt.
    private void End()
    {
        lock (access)
        {
            hasEnded = true;
        }
    }

    private BatchGetDocumentsResponse? ReadFromCache(CachedDocument entry)
    {
        var read = entry.Bytes > 0 && cache.HitRate.ShouldUseCache() ? entry.Read() : null;
        if (read is null)
        {
            ClientMetrics.CacheMisses.Add(1);
        }
        return read;
    }

    private void UpdateLocks()
    {
        foreach (var name in reads.Keys)
        {
            var documentLock = cache.GetOrAdd(name).Lock;
            documentLock.IsLockable = writes.Exists(write => write.Name() == name);
            if (!documentLock.IsLockable)
            {
                heldLock.Release(documentLock);
            }
        }
    }

    private void ThrowIfEnded()
    {
        if (hasEnded)
        {
            throw new InvalidOperationException("The transaction has ended. Await each read, and write before the callback returns.");
        }
    }
}
