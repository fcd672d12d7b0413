namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>The calls between the client and the embedded store or the emulator. Records them, and responds itself where a test says
/// so.</summary>
internal sealed class Wire(IFirestoreApi server) : IFirestoreApi
{
    public const string Read = "BatchGetDocuments";
    public const string Commit = "Commit";
    public const string Rollback = "Rollback";

    private readonly ConcurrentQueue<string> calls = [];

    /// <summary>Gets the methods called so far.</summary>
    public IEnumerable<string> Calls => calls;

    /// <summary>Gets the reads so far.</summary>
    public ConcurrentQueue<BatchGetDocumentsRequest> Reads { get; } = [];

    /// <summary>Gets the commits so far.</summary>
    public ConcurrentQueue<CommitRequest> Commits { get; } = [];

    /// <summary>Gets or sets what responds to a call: from the method and the number of its earlier calls to a response or an exception,
    /// or null if the server responds.</summary>
    public Func<string, int, CancellationToken, Task<object?>>? Respond { get; set; }

    /// <summary>Gets or sets what happens between a response and the client that receives it: from the method and the number of its
    /// earlier calls.</summary>
    public Func<string, int, Task>? AfterResponse { get; set; }

    /// <summary>Fails the next calls of a method with these statuses.</summary>
    public void Fail(string method, params IEnumerable<StatusCode> statuses)
    {
        var left = new ConcurrentQueue<StatusCode>(statuses);
        Respond = (called, _, _) => Task.FromResult(called == method && left.TryDequeue(out var status) ? Failure(status) : null);
    }

    /// <summary>Cancels a token during the next call of a method. That call gets no response, and ends as gRPC's calls do.</summary>
    public void Cancel(string method, CancellationTokenSource source) => Respond = async (called, _, cancellationToken) =>
    {
        if (called == method && !source.IsCancellationRequested)
        {
            await source.CancelAsync();
            throw new OperationCanceledException("", (Exception)Failure(StatusCode.Cancelled), cancellationToken);
        }
        return null;
    };

    public static object Failure(StatusCode status, string detail = "injected by the test") =>
        new RpcException(new Status(status, detail));

    public Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken)
    {
        Reads.Enqueue(request);
        return CallAsync(Read, () => server.BatchGetDocumentsAsync(request, cancellationToken), cancellationToken);
    }

    public Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken)
    {
        Commits.Enqueue(request);
        return CallAsync(Commit, () => server.CommitAsync(request, cancellationToken), cancellationToken);
    }

    public Task RollbackAsync(RollbackRequest request, CancellationToken cancellationToken) => CallAsync(
        Rollback,
        async () =>
        {
            await server.RollbackAsync(request, cancellationToken);
            return request;
        },
        cancellationToken);

    public void Dispose() => server.Dispose();

    private async Task<T> CallAsync<T>(string method, Func<Task<T>> call, CancellationToken cancellationToken)
        where T : class
    {
        int earlier;
        lock (calls)
        {
            earlier = calls.Count(other => other == method);
            calls.Enqueue(method);
        }
        var response = Respond is null ? null : await Respond(method, earlier, cancellationToken);
        if (response is Exception failure)
        {
            throw failure;
        }
        response ??= await call();
        if (AfterResponse is not null)
        {
            await AfterResponse(method, earlier);
        }
        return (T)response;
    }
}
