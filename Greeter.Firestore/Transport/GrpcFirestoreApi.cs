using System.Diagnostics;
using Grpc.Net.Client;

namespace Greeter.Firestore.Transport;

/// <summary>Calls Cloud Firestore or an emulator with gRPC.</summary>
internal sealed class GrpcFirestoreApi : IFirestoreApi
{
    /// <summary>Firestore's limit of a request in bytes.</summary>
    /// <remarks>Source: https://firebase.google.com/docs/firestore/quotas#writes_and_transactions</remarks>
    private const int MaxRequestSize = 10 << 20;

    private readonly GrpcChannel channel;
    private readonly V1.Firestore.FirestoreClient stub;
    private readonly bool isEmulator;
    private readonly string server;
    private readonly TimeSpan timeout;
    private readonly ConcurrentDictionary<string, Metadata> headers = [];
    private volatile bool hasAnswered;

    /// <param name="address">The server; <c>https</c> unless it is an emulator.</param>
    /// <param name="credentials">The credentials of each call; they are sent over TLS only. Null for an emulator.</param>
    /// <param name="timeout">The deadline of a call. A commit has half as much again: the emulator lets it wait 2 s for a lock.</param>
    /// <param name="handler">Sends the requests; disposed of with this object.</param>
    public GrpcFirestoreApi(Uri address, CallCredentials? credentials, TimeSpan timeout, HttpMessageHandler handler)
    {
        (isEmulator, server, this.timeout) = (credentials is null, address.Authority, timeout);
        channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions
        {
            Credentials = credentials is null
                ? ChannelCredentials.Insecure
                : ChannelCredentials.Create(ChannelCredentials.SecureSsl, credentials),
            DisposeHttpClient = true,
            HttpHandler = handler,
        });
        stub = new(channel);
    }

    public void Dispose() => channel.Dispose();

    public Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken) => CallAsync(
            nameof(stub.BatchGetDocuments),
            timeout,
            request.Database,
            async options =>
            {
                using var call = stub.BatchGetDocuments(request, options);
                var response = new BatchGetDocumentsResponse();
                // The ID of a new transaction can be in a message of its own.
                while (await call.ResponseStream.MoveNext(CancellationToken.None).ConfigureAwait(false))
                {
                    response.MergeFrom(call.ResponseStream.Current);
                }
                return response;
            },
            cancellationToken);

    public Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken) => CallAsync(
        nameof(stub.Commit),
        timeout * 1.5,
        request.Database,
        // The server would say so, too, but only while it receives the request.
        options => request.CalculateSize() > MaxRequestSize
            ? throw new RpcException(new Status(StatusCode.ResourceExhausted, $"The commit has more than {MaxRequestSize} bytes."))
            : stub.CommitAsync(request, options).ResponseAsync,
        cancellationToken);

    public Task RollbackAsync(RollbackRequest request, CancellationToken cancellationToken) => CallAsync(
        nameof(stub.Rollback), timeout, request.Database, options => stub.RollbackAsync(request, options).ResponseAsync, cancellationToken);

    private async Task<T> CallAsync<T>(
        string method, TimeSpan limit, string database, Func<CallOptions, Task<T>> call, CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        var status = StatusCode.Cancelled;
        try
        {
            var options = new CallOptions(headers.GetOrAdd(database, CreateHeaders), DateTime.UtcNow + limit, cancellationToken);
            var response = await call(options).ConfigureAwait(false);
            status = StatusCode.OK;
            hasAnswered = true;
            return response;
        }
        // A cancelled call may also end with the failure of its connection or its access token.
        catch (Exception e) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException($"The call of {method} was cancelled.", e, cancellationToken);
        }
        catch (RpcException e)
        {
            var failure = Explain(method, limit, e);
            status = failure.StatusCode;
            hasAnswered |= failure == e;
            throw failure;
        }
        finally
        {
            ClientMetrics.RecordCall(method, started, status);
        }
    }

    private Metadata CreateHeaders(string database)
    {
        // https://google.aip.dev/client-libraries/4222, and the header that earlier front ends read instead
        var headers = new Metadata
        {
            { "x-goog-request-params", $"database={Uri.EscapeDataString(database)}" },
            { "google-cloud-resource-prefix", database },
        };
        if (isEmulator)
        {
            // With this token the emulator skips its security rules, as Cloud Firestore does for a service account.
            headers.Add("authorization", "Bearer owner");
        }
        return headers;
    }

    /// <summary>Completes the status of a failure that isn't Firestore's.</summary>
    private RpcException Explain(string method, TimeSpan limit, RpcException e) => e.StatusCode switch
    {
        StatusCode.DeadlineExceeded when e.Status.Detail.Length == 0 => new RpcException(
            new Status(e.StatusCode, $"{server} did not respond to {method} in {limit.TotalSeconds} s.", e)),
        not StatusCode.Unavailable when e.Status.Detail.StartsWith("Bad gRPC response", StringComparison.Ordinal) => new RpcException(
            new Status(hasAnswered ? StatusCode.Unknown : StatusCode.Unimplemented, $"{server}: {e.Status.Detail}", e)),
        _ when e.Status.DebugException is InvalidProtocolBufferException invalid => new RpcException(
            new Status(StatusCode.Internal, $"{server}: {invalid.Message}", invalid)),
        // The connection failed.
        _ when e.Status.DebugException is { } cause => new RpcException(
            new Status(hasAnswered ? e.StatusCode : Explain(e.StatusCode, cause), $"{server}: {cause.GetBaseException().Message}", cause)),
        // The library's status for a response without a status. The caller didn't cancel the call.
        StatusCode.Cancelled => new RpcException(new Status(StatusCode.Unknown, $"{server}: {e.Status.Detail}", e)),
        _ => e,
    };

    /// <summary>Returns the status of a failed connection to a server that has never answered.</summary>
    /// <remarks>A server that speaks another protocol sends invalid data, or says that it requires HTTP/1.1
    /// (https://www.rfc-editor.org/rfc/rfc9113#section-7), or sends less than a frame, such as a TLS alert. If it closes the connection
    /// first, the next attempt may show that.</remarks>
    private static StatusCode Explain(StatusCode status, Exception cause) => cause switch
    {
        HttpRequestException { InnerException: HttpProtocolException { ErrorCode: 0x1 or 0x6 or 0xd } } => StatusCode.Unimplemented,
        HttpRequestException when cause.GetBaseException() is HttpIOException { HttpRequestError: HttpRequestError.ResponseEnded } cut
            && cut.Message.Contains("additional bytes", StringComparison.Ordinal) => StatusCode.Unimplemented,
        HttpRequestException => StatusCode.Unavailable,
        _ => status,
    };
}
