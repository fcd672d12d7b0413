namespace Greeter.Firestore.Transport;

/// <summary>Reads and writes documents of one database. Repeats reads, checks that responses are complete.</summary>
/// <param name="api">Makes the calls.</param>
/// <param name="database">The resource name of the database: <c>projects/{project}/databases/{database}</c>.</param>
/// <param name="time">The clock of the pauses between attempts.</param>
internal sealed class FirestoreClient(IFirestoreApi api, string database, TimeProvider time)
{
    /// <summary>Gets the clock of the pauses between attempts.</summary>
    public TimeProvider Time => time;

    /// <summary>Returns a client for another database of the same server.</summary>
    public FirestoreClient WithDatabase(string other) => new(api, other, time);

    /// <summary>Reads a document. Repeats the call after a transient failure.</summary>
    public Task<BatchGetDocumentsResponse> GetAsync(string name, CancellationToken cancellationToken)
    {
        var request = new BatchGetDocumentsRequest { Database = database, Documents = { name } };
        var backoff = new Backoff(time, cancellationToken);
        return backoff.RunAsync(async () =>
        {
            while (true)
            {
                try
                {
                    return await GetOnceAsync(request, cancellationToken).ConfigureAwait(false);
                }
                catch (RpcException e) when (!backoff.IsOver
                    && e.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.DeadlineExceeded)
                {
                    await backoff.PauseAsync(e, Backoff.AfterTransientFailure).ConfigureAwait(false);
                }
            }
        });
    }

    /// <summary>Reads a document in a transaction that locks it, in one call that is never repeated.</summary>
    /// <remarks>Without a transaction's ID, it begins one, whose ID is in the response, unless the server has no locks.</remarks>
    public async Task<BatchGetDocumentsResponse> GetLockedAsync(
        string name, ByteString? transactionId, CancellationToken cancellationToken)
    {
        var request = new BatchGetDocumentsRequest { Database = database, Documents = { name } };
        if (transactionId is null)
        {
            request.NewTransaction = new V1.TransactionOptions { ReadWrite = new() };
        }
        else if (!transactionId.IsEmpty)
        {
            request.Transaction = transactionId;
        }
        return await GetOnceAsync(request, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Releases the locks of a transaction.</summary>
    public Task RollbackAsync(ByteString transactionId) =>
        api.RollbackAsync(new RollbackRequest { Database = database, Transaction = transactionId }, CancellationToken.None);

    /// <summary>Writes, in one call that is never repeated: only the caller knows whether it may be. If a transaction is given, a
    /// successful commit releases its locks. A commit that Firestore has received is applied even if it is cancelled.</summary>
    public async Task<CommitResponse> CommitAsync(
        IEnumerable<Write> writes, ByteString? transactionId, CancellationToken cancellationToken)
    {
        var request = new CommitRequest { Database = database, Writes = { writes }, Transaction = transactionId ?? ByteString.Empty };
        var response = await api.CommitAsync(request, cancellationToken).ConfigureAwait(false);
        return response.WriteResults.Count == request.Writes.Count
            ? response
            : throw new RpcException(new Status(StatusCode.Internal, "The response doesn't have one result for each write."));
    }

    private async Task<BatchGetDocumentsResponse> GetOnceAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken)
    {
        var response = await api.BatchGetDocumentsAsync(request, cancellationToken).ConfigureAwait(false);
        // An empty response must not count as a missing document. Preconditions and the cache need the times.
        var isComplete = response.ReadTime is not null
            && (response.Found?.UpdateTime is not null || response.ResultCase == BatchGetDocumentsResponse.ResultOneofCase.Missing);
        return isComplete ? response : throw new RpcException(new Status(
            StatusCode.Internal, "The response has no read time, or neither a document nor the name of a missing one."));
    }
}
