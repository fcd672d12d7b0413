namespace Greeter.Firestore.Transactions;

/// <summary>Reads documents in a read-write transaction of Firestore's own. Firestore holds other clients' writes of these documents back
/// until the transaction ends.</summary>
/// <remarks>Source: https://cloud.google.com/firestore/native/docs/transaction-data-contention</remarks>
internal sealed class FirestoreLock(FirestoreClient client)
{
    private readonly Lock access = new();
    private Task<BatchGetDocumentsResponse>? firstRead;
    private bool hasEnded;

    /// <summary>Gets the ID of the transaction; null if nothing was read, or if the server has no locks.</summary>
    public ByteString? TransactionId =>
        firstRead is { IsCompletedSuccessfully: true } && firstRead.Result.Transaction is { IsEmpty: false } id ? id : null;

    /// <summary>Gets whether a read has failed that may succeed later. It isn't sent again: perhaps the lock is taken.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Reads and locks a document. The first read begins the transaction.</summary>
    public async Task<BatchGetDocumentsResponse> GetAsync(string name, CancellationToken cancellationToken)
    {
        var isFirst = false;
        lock (access)
        {
            if (firstRead is null)
            {
                ObjectDisposedException.ThrowIf(hasEnded, this);
                isFirst = true;
                // Not cancelled: without the response, nobody could release the lock. The call's deadline limits it.
                firstRead = client.GetLockedAsync(name, transactionId: null, CancellationToken.None);
            }
        }
        try
        {
            var first = await firstRead.WaitAsync(cancellationToken).ConfigureAwait(false);
            return isFirst ? first : await client.GetLockedAsync(name, first.Transaction, cancellationToken).ConfigureAwait(false);
        }
        catch (RpcException e) when (e.StatusCode is StatusCode.Aborted or StatusCode.Unavailable or StatusCode.DeadlineExceeded
            or StatusCode.Internal or StatusCode.ResourceExhausted)
        {
            HasFailed = true;
            throw;
        }
    }

    /// <summary>Ends the transaction, unless it has ended. Releases the locks if no commit has. Doesn't wait for that.</summary>
    public void End(bool hasCommitted)
    {
        lock (access)
        {
            if (!hasEnded && !hasCommitted && firstRead is not null)
            {
                _ = RollbackAsync(firstRead);
            }
            hasEnded = true;
        }
    }

    private async Task RollbackAsync(Task<BatchGetDocumentsResponse> beginning)
    {
        try
        {
            if ((await beginning.ConfigureAwait(false)).Transaction is { IsEmpty: false } id)
            {
                await client.RollbackAsync(id).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException)
        {
            // Firestore releases the locks of a transaction that is idle for 60 s. The failure of the attempt is what counts.
        }
    }
}
