using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transport;

/// <summary>Reads and writes documents of one database. Repeats reads, checks that responses are complete.</summary>
/// <param name="api">Makes the calls.</param>
/// <param name="database">The resource name of the database: <c>projects/{project}/databases/{database}</c>.</param>
/// <param name="time">The clock of the pauses between attempts.</param>
internal sealed class FirestoreClient(IFirestoreApi api, string database, TimeProvider time)
{
    /// <summary>Returns a client for another database of the same server.</summary>
    public FirestoreClient WithDatabase(string other) => new(api, other, time);

    public Backoff CreateBackoff(CancellationToken cancellationToken) => new(time, cancellationToken);

    /// <summary>Reads a document. Repeats the call after a transient failure.</summary>
    /// <param name="name">The full name of the document.</param>
    /// <param name="cancellationToken">Cancels the call and the pauses.</param>
    /// <returns>A response with a read time, and either a document or the name of the missing one.</returns>
    public async Task<BatchGetDocumentsResponse> GetAsync(string name, CancellationToken cancellationToken)
    {
        var request = new BatchGetDocumentsRequest { Database = database, Documents = { name } };
        var backoff = CreateBackoff(cancellationToken);
        try
        {
            while (true)
            {
                try
                {
                    var response = await api.BatchGetDocumentsAsync(request, cancellationToken).ConfigureAwait(false);
                    ThrowIfIncomplete(response);
                    return response;
                }
                catch (RpcException e) when (e.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.DeadlineExceeded)
                {
                    await backoff.PauseAsync(e, Backoff.AfterTransientFailure).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException e) when (backoff.IsInterruptedBy(e))
        {
            throw backoff.ToCancellation();
        }
    }

    /// <summary>Writes, in one call that is never repeated: only the caller knows whether it may be.</summary>
    public async Task<CommitResponse> CommitAsync(IEnumerable<Write> writes, CancellationToken cancellationToken)
    {
        var request = new CommitRequest { Database = database, Writes = { writes } };
        var response = await api.CommitAsync(request, cancellationToken).ConfigureAwait(false);
        return response.WriteResults.Count == request.Writes.Count
            ? response
            : throw new RpcException(new Status(StatusCode.Internal, "The response doesn't have one result for each write."));
    }

    // An empty response must not count as a missing document. Preconditions and the cache need the times.
    private static void ThrowIfIncomplete(BatchGetDocumentsResponse response)
    {
        var isMissing = response.ResultCase == BatchGetDocumentsResponse.ResultOneofCase.Missing;
        if (response.ReadTime is null || (!isMissing && response.Found?.UpdateTime is null))
        {
            throw new RpcException(new Status(
                StatusCode.Internal, "The response has no read time, or neither a document nor the name of a missing one."));
        }
    }
}
