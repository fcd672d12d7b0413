namespace Greeter.Firestore;

/// <summary>One attempt of <see cref="FirestoreDb.RunTransactionAsync{T}"/>.</summary>
/// <remarks>Thread-safe.</remarks>
public sealed class Transaction
{
    private readonly Attempt attempt;

    internal Transaction(FirestoreDb database, Attempt attempt, CancellationToken cancellationToken) =>
        (Database, this.attempt, CancellationToken) = (database, attempt, cancellationToken);

    /// <summary>Gets the token that was given to <see cref="FirestoreDb.RunTransactionAsync{T}"/>.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>Gets the database that the transaction runs in.</summary>
    public FirestoreDb Database { get; }

    /// <summary>Reads a document.</summary>
    /// <remarks>A second read of the same document returns an equal snapshot. Several reads can run at the same time. A failed read is
    /// repeated as by <see cref="DocumentReference.GetSnapshotAsync"/>. The first attempt can get a document as this process last committed
    /// it, without a call; the commit's precondition rejects a stale one.</remarks>
    /// <returns>The snapshot, also of a document that doesn't exist.</returns>
    /// <exception cref="InvalidOperationException">The transaction has already written, or has ended.</exception>
    /// <exception cref="RpcException">Firestore rejected the read, or couldn't be reached.</exception>
    /// <exception cref="OperationCanceledException">One of the tokens was cancelled.</exception>
    public async Task<DocumentSnapshot> GetSnapshotAsync(
        DocumentReference documentReference, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(documentReference);
        var read = await attempt.ReadAsync(documentReference.Path, cancellationToken).ConfigureAwait(false);
        return new DocumentSnapshot(documentReference, read);
    }

    /// <summary>Creates a document when the transaction commits.</summary>
    /// <remarks>The commit fails if the document exists. After a commit whose response was lost, that can be the document of the
    /// transaction itself. To avoid that, choose a new ID each time the callback runs.</remarks>
    /// <exception cref="ArgumentException">The data can't be stored in Firestore.</exception>
    /// <exception cref="InvalidOperationException">The transaction has ended.</exception>
    public void Create(DocumentReference documentReference, object documentData) =>
        attempt.Add(WriteFactory.Create(documentReference, documentData));

    /// <summary>Writes a document when the transaction commits. The default is <see cref="SetOptions.Overwrite"/>.</summary>
    /// <exception cref="ArgumentException">The data can't be stored in Firestore.</exception>
    /// <exception cref="InvalidOperationException">The transaction has ended.</exception>
    public void Set(DocumentReference documentReference, object documentData, SetOptions? options = null) =>
        attempt.Add(WriteFactory.Set(documentReference, documentData, options));

    /// <summary>Deletes a document when the transaction commits. It doesn't have to exist, unless the precondition says so.</summary>
    /// <exception cref="InvalidOperationException">The transaction has ended.</exception>
    public void Delete(DocumentReference documentReference, Precondition? precondition = null) =>
        attempt.Add(WriteFactory.Delete(documentReference, precondition));
}
