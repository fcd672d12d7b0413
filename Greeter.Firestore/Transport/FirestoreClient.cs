using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transport;

/// <summary>The two methods of google.firestore.v1.Firestore that this client calls.</summary>
/// <param name="channel">Where they are called.</param>
/// <param name="time">What the pauses between attempts go by; the system's unless given.</param>
internal sealed class FirestoreClient(GrpcChannel channel, TimeProvider? time = null) : IDisposable
{
    public const string BatchGetDocuments = "/google.firestore.v1.Firestore/BatchGetDocuments";
    public const string Commit = "/google.firestore.v1.Firestore/Commit";

    public void Dispose() => channel.Dispose();

    public Retry NewRetry(CancellationToken cancellationToken) => new(time ?? TimeProvider.System, cancellationToken);

    /// <summary>Reads one document, again where that may help.</summary>
    public async Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken)
    {
        var retry = NewRetry(cancellationToken);
        try
        {
            while (true)
            {
                try
                {
                    return Check(await channel.CallAsync(
                        BatchGetDocuments, request.Database, request, BatchGetDocumentsResponse.Parser, cancellationToken));
                }
                catch (RpcException e) when (Retry.AllowsReadAfter(e))
                {
                    retry.Record(e);
                    await retry.PauseAsync();
                }
            }
        }
        catch (OperationCanceledException e) when (retry.IsBehind(e))
        {
            throw retry.ToCancellation();
        }
    }

    /// <summary>Writes, in one call: what is done after a failure is up to the caller, who knows what was written.</summary>
    public async Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken)
    {
        var response = await channel.CallAsync(Commit, request.Database, request, CommitResponse.Parser, cancellationToken);
        return response.WriteResults.Count == request.Writes.Count
            ? response
            : throw new RpcException(StatusCode.Internal, "The answer does not tell of each write.");
    }

    // An empty answer must not pass for a missing document, nor a document without a time for one that can be guarded.
    private static BatchGetDocumentsResponse Check(BatchGetDocumentsResponse response) =>
        response.ReadTime is not null
        && (response.ResultCase == BatchGetDocumentsResponse.ResultOneofCase.Missing || response.Found?.UpdateTime is not null)
            ? response
            : throw new RpcException(StatusCode.Internal, "The answer holds neither a document nor that it is missing.");
}
