using Greeter.Firestore.V1;

namespace Greeter.Firestore.Grpc;

/// <summary>The two methods of google.firestore.v1.Firestore that this client calls.</summary>
internal sealed class FirestoreClient(GrpcChannel channel) : IDisposable
{
    public const string BatchGetDocuments = "/google.firestore.v1.Firestore/BatchGetDocuments";
    public const string Commit = "/google.firestore.v1.Firestore/Commit";

    public void Dispose() => channel.Dispose();

    /// <summary>Reads one document, again where that may help.</summary>
    public async Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken)
    {
        for (var retry = new Retry(cancellationToken); ;)
        {
            try
            {
                return await channel.CallAsync(
                    BatchGetDocuments, request.Database, request, BatchGetDocumentsResponse.Parser, cancellationToken);
            }
            catch (RpcException e) when (Retry.AllowsReadAfter(e))
            {
                await retry.PauseAsync(e);
            }
        }
    }

    /// <summary>Writes, in one call: what is done after a failure is up to the caller, who knows what was written.</summary>
    public Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken) =>
        channel.CallAsync(Commit, request.Database, request, CommitResponse.Parser, cancellationToken);
}
