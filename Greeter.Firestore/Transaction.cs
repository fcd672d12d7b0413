using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore;

/// <summary>
/// One attempt of <see cref="FirestoreDb.RunTransactionAsync{T}"/>. Reads take no lock; the commit is guarded: it fails, and
/// the callback runs again, if a document that was read has changed since.
/// </summary>
public sealed class Transaction
{
    private readonly DocumentGates.Turn turn;
    private readonly List<DocumentSnapshot> reads = [];
    private readonly List<Write> writes = [];

    internal Transaction(FirestoreDb database, DocumentGates.Turn turn, CancellationToken cancellationToken)
    {
        (Database, this.turn, CancellationToken) = (database, turn, cancellationToken);
    }

    /// <summary>The token that was given to <see cref="FirestoreDb.RunTransactionAsync{T}"/>.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>The database that the transaction runs in.</summary>
    public FirestoreDb Database { get; }

    /// <summary>The document that an attempt lost, if it loses: the first that it read.</summary>
    internal string? ContendedPath => reads.Count > 0 ? reads[0].Reference.Path : null;

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
        var snapshot = await Database.GetSnapshotAsync(documentReference, token);
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

    /// <summary>Writes a document when the transaction commits.</summary>
    /// <param name="documentReference">The document.</param>
    /// <param name="documentData">An <see cref="IDictionary{TKey, TValue}"/> from field names to values.</param>
    /// <param name="options">What happens to fields that are not in the data; overwritten unless set.</param>
    /// <exception cref="ArgumentException">A value is of a type that Firestore does not have.</exception>
    public void Set(DocumentReference documentReference, object documentData, SetOptions? options = null) =>
        writes.Add(CreateSet(documentReference, documentData, options));

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
                if (writes.Find(write => (write.Update?.Name ?? write.Delete) == read.Reference.Path) is { } write)
                {
                    write.CurrentDocument = read.ToGuard();
                }
                else
                {
                    guarded.Add(read.ToGuardWrite());
                }
            }
            return guarded;
        }
    }

    internal static Write CreateSet(DocumentReference documentReference, object documentData, SetOptions? options)
    {
        ArgumentNullException.ThrowIfNull(documentReference);
        var write = new Write { Update = new Document { Name = documentReference.Path } };
        ValueConverter.AddTo(write.Update.Fields, documentData);
        if (options == SetOptions.MergeAll)
        {
            write.UpdateMask = new DocumentMask();
            AddLeaves(write.UpdateMask.FieldPaths, null, write.Update.Fields);
        }
        return write;
    }

    private DocumentSnapshot? FindRead(DocumentReference reference)
    {
        lock (reads)
        {
            return reads.Find(read => read.Reference.Equals(reference));
        }
    }

    // An empty map is a leaf: merging it makes the field an empty map.
    private static void AddLeaves(RepeatedField<string> paths, string? parent, MapField<string, Value> fields)
    {
        foreach (var (name, value) in fields)
        {
            var path = FieldPath.Append(parent, name);
            if (value.MapValue?.Fields.Count > 0)
            {
                AddLeaves(paths, path, value.MapValue.Fields);
            }
            else
            {
                paths.Add(path);
            }
        }
    }
}
