using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Google.Protobuf;

namespace Greeter.Firestore.Transport;

/// <summary>Adds what proves who is calling to a request's headers.</summary>
internal delegate ValueTask Authorizer(Uri address, HttpRequestHeaders headers, CancellationToken cancellationToken);

/// <summary>
/// Calls gRPC methods whose answer is one message, over any <see cref="HttpMessageHandler"/>.
/// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
/// </summary>
/// <param name="handler">Sends the requests.</param>
/// <param name="address">The server, <c>https</c> unless it is an emulator.</param>
/// <param name="authorize">Adds credentials to each request; null for none.</param>
/// <param name="timeout">How long one call may take.</param>
internal sealed class GrpcChannel(HttpMessageHandler handler, Uri address, Authorizer? authorize, TimeSpan timeout) : IDisposable
{
    private static readonly string UserAgent =
        $"greeter-firestore/{typeof(GrpcChannel).Assembly.GetName().Version} dotnet/{Environment.Version}";

    private readonly HttpMessageInvoker invoker = new(handler);
    private readonly ConcurrentDictionary<string, Uri> methods = new();
    private readonly ConcurrentDictionary<string, string> routes = new();
    private readonly string grpcTimeout = $"{timeout.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture)}m";

    public void Dispose() => invoker.Dispose();

    /// <summary>Calls a method.</summary>
    /// <param name="method">Its path: <c>/package.Service/Method</c>.</param>
    /// <param name="database">The database that it is about, by which Google's front end routes it.</param>
    /// <param name="request">What is sent.</param>
    /// <param name="parser">Reads the answer.</param>
    /// <param name="cancellationToken">Ends the call with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="RpcException">The status was not OK, there was none, or something else was wrong with the answer or the
    /// way to it; DEADLINE_EXCEEDED after the channel's timeout.</exception>
    public async Task<TResponse> CallAsync<TResponse>(
        string method, string database, IMessage request, MessageParser<TResponse> parser, CancellationToken cancellationToken)
        where TResponse : class, IMessage<TResponse>
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(timeout);
        try
        {
            using var message = CreateRequest(method, database, request);
            if (authorize is not null)
            {
                await authorize(address, message.Headers, deadline.Token);
            }
            using var response = await invoker.SendAsync(message, deadline.Token);
            return await ReadResponseAsync(response, parser, deadline.Token);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new RpcException(
                StatusCode.Internal, $"{address.Authority} answered {method} with no {typeof(TResponse).Name}.", e);
        }
        catch (RpcException e) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException($"Cancelled before {address.Authority} was called.", e, cancellationToken);
        }
        // A call that is cancelled may also end with what its connection ends with.
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException || IsInternalToTransport(e))
        {
            if (cancellationToken.IsCancellationRequested)
            {
                throw new OperationCanceledException(
                    $"Cancelled before {address.Authority} answered {method}.", e, cancellationToken);
            }
            throw deadline.IsCancellationRequested
                ? new RpcException(
                    StatusCode.DeadlineExceeded, $"{address.Authority} did not answer {method} in {timeout.TotalSeconds} s.", e)
                : new RpcException(GrpcStatus.FromTransport(e), $"{address.Authority}: {e.GetBaseException().Message}", e);
        }
    }

    // Where a connection's headers were garbage, the next call on it ends with an exception that is internal there.
    private static bool IsInternalToTransport(Exception e) => e.GetType().Assembly == typeof(HttpRequestException).Assembly;

    private HttpRequestMessage CreateRequest(string method, string database, IMessage message)
    {
        var uri = methods.GetOrAdd(method, static (path, host) => new Uri(host, path), address);
        var request = new HttpRequestMessage(HttpMethod.Post, uri)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(GrpcFrame.Encode(message)) { Headers = { ContentType = GrpcFrame.ContentType } },
        };
        request.Headers.TryAddWithoutValidation("te", "trailers");
        request.Headers.TryAddWithoutValidation("grpc-timeout", grpcTimeout);
        request.Headers.TryAddWithoutValidation("user-agent", UserAgent);
        // https://google.aip.dev/client-libraries/4222, and what older front ends read instead
        request.Headers.TryAddWithoutValidation("x-goog-request-params", routes.GetOrAdd(database, ToRoute));
        request.Headers.TryAddWithoutValidation("google-cloud-resource-prefix", database);
        return request;
    }

    private static string ToRoute(string database) => $"database={Uri.EscapeDataString(database)}";

    private static async Task<TResponse> ReadResponseAsync<TResponse>(
        HttpResponseMessage response, MessageParser<TResponse> parser, CancellationToken cancellationToken)
        where TResponse : class, IMessage<TResponse>
    {
        // A status among the headers means that there is neither a body nor a trailer; it counts more than HTTP's.
        var hasStatus = GrpcStatus.ThrowIfFailed(response.Headers);
        GrpcStatus.ThrowIfNotGrpc(response);
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        var message = await ReadMessageAsync(body, parser, cancellationToken);
        if (message is not null && await ReadMessageAsync(body, parser, cancellationToken) is not null)
        {
            throw new RpcException(StatusCode.Internal, "The answer has more than one message.");
        }
        if (!GrpcStatus.ThrowIfFailed(response.TrailingHeaders) && !hasStatus)
        {
            throw new RpcException(StatusCode.Unknown, "The answer has no grpc-status.");
        }
        return message ?? throw new RpcException(StatusCode.Internal, "The answer has no message.");
    }

    /// <summary>The next message, or null at the end of the body.</summary>
    private static async ValueTask<TResponse?> ReadMessageAsync<TResponse>(
        Stream body, MessageParser<TResponse> parser, CancellationToken cancellationToken)
        where TResponse : class, IMessage<TResponse>
    {
        var buffer = ArrayPool<byte>.Shared.Rent(1024);
        try
        {
            var read = await body.ReadAtLeastAsync(
                buffer.AsMemory(0, GrpcFrame.HeaderSize), GrpcFrame.HeaderSize, throwOnEndOfStream: false, cancellationToken);
            if (read == 0)
            {
                return null;
            }
            if (read < GrpcFrame.HeaderSize)
            {
                throw new EndOfStreamException("The answer ends inside a message.");
            }
            var size = GrpcFrame.DecodeHeader(buffer);
            if (size > buffer.Length)
            {
                var larger = ArrayPool<byte>.Shared.Rent(size);
                ArrayPool<byte>.Shared.Return(buffer);
                buffer = larger;
            }
            await body.ReadExactlyAsync(buffer.AsMemory(0, size), cancellationToken);
            return parser.ParseFrom(buffer.AsSpan(0, size));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
