using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

/// <summary>
/// The embedded store for Development: answers the client's calls inside the process, without a network. It has no queries, indexes or
/// security rules.
/// </summary>
internal sealed class EmbeddedFirestore(DocumentStore documents) : IFirestoreApi
{
    /// <summary>Loads the documents in a folder; creates the folder if it is missing.</summary>
    /// <exception cref="InvalidOperationException">The folder is in use, can't be written, or its file is damaged. The message
    /// says what to do.</exception>
    public static EmbeddedFirestore Open(string folder, TimeProvider time) => new(new DocumentStore(Journal.Open(folder), time));

    public void Dispose() => documents.Dispose();

    public Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken) =>
        RunAsync(() => documents.BatchGet(request).Single(), cancellationToken);

    public Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken) =>
        RunAsync(() => documents.Commit(request), cancellationToken);

    // The embedded store has no locks, so it returns no transaction's ID.
    public Task RollbackAsync(RollbackRequest request, CancellationToken cancellationToken) => Task.CompletedTask;

    private static Task<T> RunAsync<T>(Func<T> call, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<T>(cancellationToken);
        }
        try
        {
            return Task.FromResult(call());
        }
        catch (RpcException e)
        {
            return Task.FromException<T>(e);
        }
    }
}
