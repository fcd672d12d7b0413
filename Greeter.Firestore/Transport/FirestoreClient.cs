using System.Diagnostics;
using Google.Protobuf;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transport;

/// <summary>Calls the two methods of google.firestore.v1.Firestore that this client needs.</summary>
/// <param name="channel">Sends the calls.</param>
/// <param name="time">The clock of the pauses between attempts; the system's if null.</param>
internal sealed class FirestoreClient(GrpcChannel channel, TimeProvider? time = null) : IDisposable
{
    public const string BatchGetDocuments = "/google.firestore.v1.Firestore/BatchGetDocuments";
    public const string Commit = "/google.firestore.v1.Firestore/Commit";

    private Action? beforeFirstCall;

    /// <summary>Registers an action that runs once, before the first call.</summary>
    public void OnFirstCall(Action action) => beforeFirstCall = action;

    public void Dispose() => channel.Dispose();

    public Backoff CreateBackoff(CancellationToken cancellationToken) => new(time ?? TimeProvider.System, cancellationToken);

    /// <summary>Reads one document. Repeats the call after a transient failure.</summary>
    public async Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken)
    {
        var backoff = CreateBackoff(cancellationToken);
        try
        {
            while (true)
            {
                try
                {
                    var response = await CallAsync(
                        BatchGetDocuments, request.Database, request, BatchGetDocumentsResponse.Parser, cancellationToken);
                    ThrowIfIncomplete(response);
                    return response;
                }
                catch (RpcException e) when (e.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.DeadlineExceeded)
                {
                    await backoff.PauseAsync(e, Backoff.AfterTransientFailure);
                }
            }
        }
        catch (OperationCanceledException e) when (backoff.IsInterruptedBy(e))
        {
            throw backoff.ToCancellation();
        }
    }

    /// <summary>Writes, in one call that is never repeated: only the caller knows whether it may be.</summary>
    public async Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken)
    {
        var response = await CallAsync(Commit, request.Database, request, CommitResponse.Parser, cancellationToken);
        return response.WriteResults.Count == request.Writes.Count
            ? response
            : throw new RpcException(StatusCode.Internal, "The response doesn't have one result for each write.");
    }

    private Task<TResponse> CallAsync<TResponse>(
        string method, string database, IMessage request, MessageParser<TResponse> parser, CancellationToken cancellationToken)
        where TResponse : class, IMessage<TResponse>
    {
        if (beforeFirstCall is not null)
        {
            Interlocked.Exchange(ref beforeFirstCall, null)?.Invoke();
        }
        var started = Stopwatch.GetTimestamp();
        return ClientMetrics.MeasureAsync(method, started, channel.CallAsync(method, database, request, parser, cancellationToken));
    }

    // An empty response must not count as a missing document. Preconditions and the cache need the times.
    private static void ThrowIfIncomplete(BatchGetDocumentsResponse response)
    {
        var isMissing = response.ResultCase == BatchGetDocumentsResponse.ResultOneofCase.Missing;
        if (response.ReadTime is null || (!isMissing && response.Found?.UpdateTime is null))
        {
            throw new RpcException(
                StatusCode.Internal, "The response has no read time, or neither a document nor the name of a missing one.");
        }
    }
}
