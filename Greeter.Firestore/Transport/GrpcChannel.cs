using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Google.Protobuf;

namespace Greeter.Firestore.Transport;

/// <summary>Adds credentials to the headers of a request.</summary>
internal delegate ValueTask Authorizer(Uri address, HttpRequestHeaders headers, CancellationToken cancellationToken);

/// <summary>
/// Calls gRPC methods whose response is one message, over any <see cref="HttpMessageHandler"/>.
/// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
/// </summary>
/// <param name="handler">Sends the requests; disposed of with the channel.</param>
/// <param name="address">The server; <c>https</c> unless it is an emulator.</param>
/// <param name="authorize">Adds credentials to each request; null for none.</param>
/// <param name="timeout">The deadline of a call.</param>
internal sealed class GrpcChannel(HttpMessageHandler handler, Uri address, Authorizer? authorize, TimeSpan timeout) : IDisposable
{
    private static readonly string UserAgent =
        $"greeter-firestore/{typeof(GrpcChannel).Assembly.GetName().Version} dotnet/{Environment.Version}";

    private readonly HttpMessageInvoker invoker = new(handler);
    private readonly ConcurrentDictionary<string, Uri> methods = new();
    private readonly ConcurrentDictionary<string, string> requestParams = new();
    private readonly string grpcTimeout = $"{timeout.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture)}m";

    public void Dispose() => invoker.Dispose();

    /// <summary>Calls a method.</summary>
    /// <param name="method">The path of the method: <c>/package.Service/Method</c>.</param>
    /// <param name="database">The resource name of the database, by which Google's front end routes the call.</param>
    /// <param name="request">The message to send.</param>
    /// <param name="parser">Parses the response.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    /// <exception cref="RpcException">The status is not OK, the response is not valid, or the connection failed;
    /// DEADLINE_EXCEEDED after the channel's timeout.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
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
        // A cancelled call may also end with the failure of its connection or its access token.
        catch (Exception e) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException($"The call of {method} was cancelled.", e, cancellationToken);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new RpcException(
                StatusCode.Internal, $"The response of {address.Authority} is not a valid {typeof(TResponse).Name}.", e);
        }
        // The transport has exceptions of many types, some of them internal to it.
        catch (Exception e) when (e is not RpcException)
        {
            throw deadline.IsCancellationRequested
                ? new RpcException(
                    StatusCode.DeadlineExceeded,
                    $"{address.Authority} did not respond to {method} in {timeout.TotalSeconds} s.",
                    e)
                : new RpcException(GrpcStatus.FromTransport(e), $"{address.Authority}: {e.GetBaseException().Message}", e);
        }
    }

    private HttpRequestMessage CreateRequest(string method, string database, IMessage message)
    {
        var uri = methods.GetOrAdd(method, static (path, host) => new Uri(host, path), address);
        var request = new HttpRequestMessage(HttpMethod.Post, uri)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new GrpcContent(GrpcFrame.Encode(message)),
        };
        request.Headers.TryAddWithoutValidation("te", "trailers");
        request.Headers.TryAddWithoutValidation("grpc-timeout", grpcTimeout);
        request.Headers.TryAddWithoutValidation("user-agent", UserAgent);
        // https://google.aip.dev/client-libraries/4222, and the header that earlier front ends read instead
        request.Headers.TryAddWithoutValidation("x-goog-request-params", requestParams.GetOrAdd(database, ToRequestParams));
        request.Headers.TryAddWithoutValidation("google-cloud-resource-prefix", database);
        return request;
    }

    private static string ToRequestParams(string database) => $"database={Uri.EscapeDataString(database)}";

    private static async Task<TResponse> ReadResponseAsync<TResponse>(
        HttpResponseMessage response, MessageParser<TResponse> parser, CancellationToken cancellationToken)
        where TResponse : class, IMessage<TResponse>
    {
        // A trailers-only response has its status in the headers. It takes precedence over the HTTP status.
        var hasStatus = GrpcStatus.ThrowIfFailed(response.Headers);
        GrpcStatus.ThrowIfNotGrpc(response);
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        var message = await ReadMessageAsync(body, parser, cancellationToken);
        if (message is not null && await ReadMessageAsync(body, parser, cancellationToken) is not null)
        {
            throw new RpcException(StatusCode.Internal, "The response has more than one message.");
        }
        if (!GrpcStatus.ThrowIfFailed(response.TrailingHeaders) && !hasStatus)
        {
            throw new RpcException(StatusCode.Unknown, "The response has no grpc-status.");
        }
        return message ?? throw new RpcException(StatusCode.Internal, "The response has no message.");
    }

    /// <summary>Reads the next message; null at the end of the body.</summary>
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
                throw new EndOfStreamException("The response ends inside a message.");
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
