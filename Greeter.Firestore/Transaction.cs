using Greeter.Firestore.V1;

namespace Greeter.Firestore;

/// <summary>
/// One attempt of <see cref="FirestoreDb.RunTransactionAsync{T}"/>. Reads take no lock; the commit is guarded: it fails, and
/// the callback runs again, if a document that was read has changed since.
/// </summary>
public sealed class Transaction
{
    private readonly DocumentGates.Turn turn;
    private readonly DocumentMemory? memory;
    private readonly List<DocumentSnapshot> reads = [];
    private readonly List<Write> writes = [];

    /// <param name="database">Where it reads and writes.</param>
    /// <param name="turn">Its place among others that use the same documents.</param>
    /// <param name="memory">What it may guess from; null for an attempt that must not guess.</param>
    /// <param name="cancellationToken">Ends it.</param>
    internal Transaction(
        FirestoreDb database, DocumentGates.Turn turn, DocumentMemory? memory, CancellationToken cancellationToken)
    {
        (Database, this.turn, this.memory, CancellationToken) = (database, turn, memory, cancellationToken);
    }

    /// <summary>The token that was given to <see cref="FirestoreDb.RunTransactionAsync{T}"/>.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>The database that the transaction runs in.</summary>
    public FirestoreDb Database { get; }

    /// <summary>The document that an attempt lost, if it loses: the first that it read.</summary>
    internal string? ContendedPath => reads.Count > 0 ? reads[0].Reference.Path : null;

    /// <summary>Whether a read was answered from memory: only a guarded commit confirms what came of it.</summary>
    internal bool HasGuessed { get; private set; }

    /// <summary>Whether a document that was not read was guessed to be a new one.</summary>
    internal bool HasGuessedCreation { get; private set; }

    /// <summary>Whether its writes were sent, so that they may be stored.</summary>
    internal bool HasCommitted { get; set; }

    /// <summary>Whether there is anything to write.</summary>
    internal bool HasWrites => writes.Count > 0;

    /// <summary>Reads a document; the snapshot may be of a missing one. A second read of the same document gives the same
    /// snapshot. Several reads may run side by side. Tried again on UNAVAILABLE, INTERNAL and DEADLINE_EXCEEDED, for 60 seconds
    /// at most.</summary>
    /// <param name="documentReference">The document.</param>
    /// <param name="cancellationToken">Cancels the read; the transaction's own token does so too.</param>
    /// <exception cref="InvalidOperationException">The transaction has written already.</exception>
    /// <exception cref="RpcException">Firestore refused, or could not be reached.</exception>
    public async Task<DocumentSnapshot> GetSnapshotAsync(
        DocumentReference documentReference, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(documentReference);
        if (writes.Count > 0)
        {
            throw new InvalidOperationException("A transaction reads before it writes.");
        }
        if (FindRead(documentReference) is { } earlier)
        {
            return earlier;
        }
        using var linked = cancellationToken.CanBeCanceled
            ? CancellationTokenSource.CreateLinkedTokenSource(CancellationToken, cancellationToken)
            : null;
        var token = linked?.Token ?? CancellationToken;
        await turn.JoinAsync(documentReference.Path, token);
        var snapshot = Guess(documentReference) ?? await Database.GetSnapshotAsync(documentReference, token);
        lock (reads)
        {
            if (FindRead(documentReference) is { } meanwhile)
            {
                return meanwhile;
            }
            reads.Add(snapshot);
            return snapshot;
        }
    }

    /// <summary>Creates a document when the transaction commits. The commit fails if the document exists.</summary>
    /// <param name="documentReference">The document.</param>
    /// <param name="documentData">An <see cref="IDictionary{TKey, TValue}"/> from field names to values.</param>
    /// <exception cref="ArgumentException">A value is of a type that Firestore does not have.</exception>
    public void Create(DocumentReference documentReference, object documentData)
    {
        writes.Add(WriteFactory.Create(documentReference, documentData));
    }

    /// <summary>Writes a document when the transaction commits.</summary>
    /// <param name="documentReference">The document.</param>
    /// <param name="documentData">An <see cref="IDictionary{TKey, TValue}"/> from field names to values.</param>
    /// <param name="options">What happens to fields that are not in the data; overwritten unless set.</param>
    /// <exception cref="ArgumentException">A value is of a type that Firestore does not have.</exception>
    public void Set(DocumentReference documentReference, object documentData, SetOptions? options = null) =>
        writes.Add(WriteFactory.Set(documentReference, documentData, options));

    /// <summary>Deletes a document, which need not exist, when the transaction commits.</summary>
    public void Delete(DocumentReference documentReference)
    {
        ArgumentNullException.ThrowIfNull(documentReference);
        writes.Add(new Write { Delete = documentReference.Path });
    }

    /// <summary>
    /// The writes of the commit: each document that was read is guarded, by the first write to it or by one that changes
    /// nothing. Empty if there is nothing to do: no write, and at most one read, which is consistent by itself.
    /// </summary>
    internal List<Write> GuardedWrites()
    {
        lock (reads)
        {
            if (writes.Count == 0 && reads.Count <= 1)
            {
                return [];
            }
            var guarded = new List<Write>(writes);
            foreach (var read in reads)
            {
                if (writes.Find(write => write.Name() == read.Reference.Path) is { } write)
                {
                    write.CurrentDocument = read.ToGuard();
                }
                else
                {
                    guarded.Add(read.ToGuardWrite());
                }
            }
            GuessCreation();
            return guarded;
        }
    }

    /// <summary>Whether the commit failed because a document was not as it had been read or guessed to be; without a guard these
    /// codes are what they say.</summary>
    internal bool HasLostTo(RpcException e) => e.StatusCode switch
    {
        StatusCode.AlreadyExists => reads.Count > 0 || HasGuessedCreation,
        StatusCode.FailedPrecondition or StatusCode.NotFound => reads.Count > 0,
        _ => false,
    };

    /// <summary>Takes the documents of a commit into memory, as they are now.</summary>
    internal void Remember(CommitResponse response)
    {
        var known = reads.ToDictionary(read => read.Reference.Path, read => read.Document);
        for (var i = 0; i < writes.Count; i++)
        {
            var (write, name, updateTime) = (writes[i], writes[i].Name(), response.WriteResults[i].UpdateTime);
            var isNew = write.CurrentDocument is { ConditionTypeCase: V1.Precondition.ConditionTypeOneofCase.Exists };
            // A merge into what was not read leaves fields that are not known; after a deletion there is no update time.
            if (updateTime is null || write.Update is null || !(isNew || write.UpdateMask is null || known.ContainsKey(name)))
            {
                known.Remove(name);
                Database.Memory.Forget(name);
                continue;
            }
            var document = write.ApplyTo(known.GetValueOrDefault(name));
            document.UpdateTime = updateTime;
            known[name] = document;
            Database.Memory.Remember(document);
        }
        Learn(wasRight: true);
    }

    /// <summary>Forgets the documents of a commit that failed, or may have.</summary>
    internal void Forget(bool hasLost)
    {
        reads.ForEach(read => Database.Memory.Forget(read.Reference.Path));
        writes.ForEach(write => Database.Memory.Forget(write.Name()));
        if (hasLost)
        {
            Learn(wasRight: false);
        }
    }

    private void Learn(bool wasRight)
    {
        if (HasGuessed)
        {
            Database.Memory.Reads.Learn(wasRight);
        }
        if (HasGuessedCreation)
        {
            Database.Memory.Creations.Learn(wasRight);
        }
    }

    // Who merges into one document without reading anything most likely creates it, and only then is all of it known.
    private void GuessCreation()
    {
        if (memory is not null && reads.Count == 0 && writes is [{ UpdateMask: not null } write] && memory.Creations.Favour)
        {
            write.CurrentDocument = new V1.Precondition { Exists = false };
            HasGuessedCreation = true;
        }
    }

    private DocumentSnapshot? Guess(DocumentReference reference)
    {
        if (memory?.Recall(reference.Path) is not { } document)
        {
            return null;
        }
        HasGuessed = true;
        return new DocumentSnapshot(reference, document, Timestamp.FromProto(document.UpdateTime));
    }

    private DocumentSnapshot? FindRead(DocumentReference reference)
    {
        lock (reads)
        {
            return reads.Find(read => read.Reference.Equals(reference));
        }
    }
}
