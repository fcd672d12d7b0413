namespace Greeter.Firestore.Transport;

/// <summary>The methods of google.firestore.v1.Firestore that transactions need. Each call is sent once.</summary>
/// <remarks>Source: https://firebase.google.com/docs/firestore/reference/rpc/google.firestore.v1</remarks>
internal interface IFirestoreApi : IDisposable
{
    /// <summary>Reads one document.</summary>
    /// <exception cref="RpcException">The server rejected the call or didn't respond.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(BatchGetDocumentsRequest request, CancellationToken cancellationToken);

    /// <summary>Applies writes, all or none.</summary>
    /// <inheritdoc cref="BatchGetDocumentsAsync"/>
    Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken);

    /// <summary>Ends a transaction without a commit, and so releases its locks.</summary>
    /// <inheritdoc cref="BatchGetDocumentsAsync"/>
    Task RollbackAsync(RollbackRequest request, CancellationToken cancellationToken);
}
