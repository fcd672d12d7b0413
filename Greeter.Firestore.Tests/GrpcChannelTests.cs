using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Google.Protobuf;
using Greeter.Firestore;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Greeter.Firestore.Tests;

/// <summary>gRPC over HttpClient, against a test server.</summary>
public class GrpcChannelTests
{
    private const string Database = "projects/p/databases/(default)";
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);
    private const string Document = $"{Database}/documents/a/b";
    private static readonly BatchGetDocumentsRequest Request = new() { Database = Database, Documents = { Document } };
    private static readonly BatchGetDocumentsResponse Response = new() { Missing = Document };

    [Fact]
    public async Task Call_is_a_POST_with_the_headers_of_gRPC_and_Google()
    {
        var (line, body) = ("", Array.Empty<byte>());
        var headers = new HeaderDictionary();
        await using var server = await FakeServer.StartAsync(async context =>
        {
            line = $"{context.Request.Method} {context.Request.Path} {context.Request.Protocol}";
            foreach (var (name, value) in context.Request.Headers)
            {
                headers[name] = value;
            }
            using var copy = new MemoryStream();
            await context.Request.Body.CopyToAsync(copy);
            body = copy.ToArray();
            await RespondAsync(context, Frame(Response));
        });
        static ValueTask Authorize(Uri address, HttpRequestHeaders headers, CancellationToken cancellationToken)
        {
            headers.Authorization = new("Bearer", $"for {address.Scheme}");
            return ValueTask.CompletedTask;
        }
        using var channel = new GrpcChannel(new SocketsHttpHandler(), server.Address, Authorize, TimeSpan.FromSeconds(7.5));

        (await CallAsync(channel)).Should().Be(Response);

        line.Should().Be("POST /google.firestore.v1.Firestore/BatchGetDocuments HTTP/2");
        headers.Should().Contain(new Dictionary<string, Microsoft.Extensions.Primitives.StringValues>
        {
            ["Content-Type"] = "application/grpc",
            ["TE"] = "trailers",
            ["grpc-timeout"] = "7500m",
            ["x-goog-request-params"] = "database=projects%2Fp%2Fdatabases%2F%28default%29",
            ["google-cloud-resource-prefix"] = Database,
            ["Authorization"] = "Bearer for http",
        });
        headers["User-Agent"].ToString().Should().MatchRegex(@"^greeter-firestore/\S+ dotnet/\S+$");
        body[0].Should().Be(0);
        BinaryPrimitives.ReadInt32BigEndian(body.AsSpan(1)).Should().Be(body.Length - 5);
        BatchGetDocumentsRequest.Parser.ParseFrom(body, 5, body.Length - 5).Should().Be(Request);
    }

    [Fact]
    public async Task Concurrent_calls_get_their_own_responses()
    {
        await using var server = await FakeServer.StartAsync(async context =>
        {
            using var copy = new MemoryStream();
            await context.Request.Body.CopyToAsync(copy);
            var request = BatchGetDocumentsRequest.Parser.ParseFrom(copy.ToArray(), 5, (int)copy.Length - 5);
            await RespondAsync(context, Frame(new BatchGetDocumentsResponse { Missing = request.Documents[0] }));
        });
        using var channel = CreateChannel(server);
        var names = Enumerable.Range(0, 200).Select(i => new string('x', i * 20)).ToList();

        var responses = await Task.WhenAll(names.Select(name => CallAsync(channel, new() { Documents = { name } })));

        responses.Select(response => response.Missing).Should().Equal(names);
    }

    [Fact]
    public async Task Message_may_arrive_in_pieces()
    {
        await using var server = await FakeServer.StartAsync(async context =>
        {
            context.Response.ContentType = "application/grpc+proto";
            foreach (var piece in Frame(Response))
            {
                await context.Response.Body.WriteAsync(new[] { piece });
                await context.Response.Body.FlushAsync();
            }
            context.Response.AppendTrailer("grpc-status", "0");
        });
        using var channel = CreateChannel(server);

        (await CallAsync(channel)).Should().Be(Response);
    }

    [Fact]
    public async Task Status_of_a_trailers_only_response_is_in_the_headers()
    {
        await using var server = await FakeServer.StartAsync(context =>
        {
            context.Response.ContentType = "application/grpc";
            context.Response.Headers["grpc-status"] = "9";
            context.Response.Headers["grpc-message"] = "gr%C3%BC%C3%9Fe%2C 100%25%0Awirklich%";
            return Task.CompletedTask;
        });

        (await FailAsync(server)).Status.Should().Be(new Status(StatusCode.FailedPrecondition, "grüße, 100%\nwirklich%"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Status_after_a_body_is_in_the_trailers(bool withMessage)
    {
        await using var server = await FakeServer.StartAsync(
            context => RespondAsync(context, withMessage ? Frame(Response) : [], "10", "contention, %F0%9F%98%80"));

        (await FailAsync(server)).Status.Should().Be(new Status(StatusCode.Aborted, "contention, 😀"));
    }

    [Theory]
    [InlineData("99")]
    [InlineData("-1")]
    [InlineData("x")]
    public async Task Status_with_another_code_is_unknown(string status)
    {
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Frame(Response), status, "odd"));

        (await FailAsync(server)).Status.Should().Be(
            new Status(StatusCode.Unknown, $"The response has grpc-status '{status}'. odd"));
    }

    [Fact]
    public async Task Response_without_a_status_is_unknown()
    {
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Frame(Response), status: null));

        (await FailAsync(server)).StatusCode.Should().Be(StatusCode.Unknown);
    }

    [Fact]
    public async Task Status_ok_without_a_message_is_internal()
    {
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, []));

        (await FailAsync(server)).StatusCode.Should().Be(StatusCode.Internal);
    }

    [Theory]
    [InlineData(204, StatusCode.Unknown)]
    [InlineData(302, StatusCode.Unknown)]
    [InlineData(400, StatusCode.Internal)]
    [InlineData(401, StatusCode.Unauthenticated)]
    [InlineData(403, StatusCode.PermissionDenied)]
    [InlineData(404, StatusCode.Unimplemented)]
    [InlineData(429, StatusCode.Unavailable)]
    [InlineData(500, StatusCode.Unknown)]
    [InlineData(502, StatusCode.Unavailable)]
    [InlineData(503, StatusCode.Unavailable)]
    [InlineData(504, StatusCode.Unavailable)]
    public async Task HTTP_status_is_mapped_by_the_rules_of_gRPC(int httpStatus, StatusCode expected)
    {
        await using var server = await FakeServer.StartAsync(context =>
        {
            context.Response.StatusCode = httpStatus;
            context.Response.ContentType = "application/grpc";
            return Task.CompletedTask;
        });

        (await FailAsync(server)).StatusCode.Should().Be(expected);
    }

    [Fact]
    public async Task The_gRPC_status_takes_precedence_over_the_HTTP_status()
    {
        await using var server = await FakeServer.StartAsync(context =>
        {
            context.Response.StatusCode = 503;
            context.Response.Headers["grpc-status"] = "7";
            return Task.CompletedTask;
        });

        (await FailAsync(server)).StatusCode.Should().Be(StatusCode.PermissionDenied);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("text/html; charset=utf-8")]
    [InlineData("application/grpc-web")]
    [InlineData("application/json")]
    public async Task Another_content_type_is_unknown(string? contentType)
    {
        await using var server = await FakeServer.StartAsync(
            context => RespondAsync(context, Frame(Response), contentType: contentType));

        (await FailAsync(server)).StatusCode.Should().Be(StatusCode.Unknown);
    }

    [Fact]
    public async Task Compressed_message_is_internal()
    {
        var frame = Frame(Response);
        frame[0] = 1;
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, frame));

        (await FailAsync(server)).Status.Detail.Should().Contain("compressed");
    }

    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(20)]
    public async Task Incomplete_message_is_internal(int length)
    {
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Frame(Response)[..length]));

        (await FailAsync(server)).StatusCode.Should().Be(StatusCode.Internal);
    }

    [Fact]
    public async Task Two_messages_are_internal()
    {
        await using var server = await FakeServer.StartAsync(
            context => RespondAsync(context, [.. Frame(Response), .. Frame(Response)]));

        (await FailAsync(server)).StatusCode.Should().Be(StatusCode.Internal);
    }

    [Fact]
    public async Task Malformed_message_is_internal()
    {
        await using var server = await FakeServer.StartAsync(
            context => RespondAsync(context, [0, 0, 0, 0, 3, 0xff, 0xff, 0xff]));

        var e = await FailAsync(server);

        e.StatusCode.Should().Be(StatusCode.Internal);
        e.Status.Detail.Should().Contain("BatchGetDocumentsResponse");
    }

    [Fact]
    public async Task Message_of_4_MiB_is_accepted()
    {
        var response = new BatchGetDocumentsResponse { Missing = new string('x', GrpcFrame.MaxMessageSize - 5) };
        response.CalculateSize().Should().Be(GrpcFrame.MaxMessageSize);
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Frame(response)));
        using var channel = CreateChannel(server);

        (await CallAsync(channel)).Should().Be(response);
    }

    [Theory]
    [InlineData(GrpcFrame.MaxMessageSize + 1u)]
    [InlineData(int.MaxValue + 1u)]
    [InlineData(uint.MaxValue)]
    public void Message_of_more_than_4_MiB_is_refused_before_memory_is_allocated_for_it(uint size)
    {
        var frame = new byte[1000];
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(1), size);
        using var body = new ByteArrayContent(frame) { Headers = { ContentType = GrpcFrame.ContentType } };
        using var channel = new GrpcChannel(
            new FakeHandler(() => new HttpResponseMessage { Version = HttpVersion.Version20, Content = body }),
            new("http://fake"),
            null,
            Long);
        var before = GC.GetAllocatedBytesForCurrentThread();

        // Everything happens on this thread, as the handler responds synchronously.
        var call = CallAsync(channel);

        call.IsFaulted.Should().BeTrue();
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(1 << 20);
        call.Exception!.InnerException.Should().BeOfType<RpcException>()
            .Which.StatusCode.Should().Be(StatusCode.ResourceExhausted);
    }

    [Fact]
    public async Task Status_that_the_server_sends_before_it_has_read_the_request_ends_the_call()
    {
        var isOver = new TaskCompletionSource();
        await using var server = await FakeServer.StartAsync(async context =>
        {
            if (context.Request.ContentLength > GrpcFrame.MaxMessageSize)
            {
                context.Response.ContentType = "application/grpc";
                context.Response.Headers["grpc-status"] = "8";
                await context.Response.CompleteAsync();
                // Kestrel resets the stream when this method returns. The client must not depend on that.
                await isOver.Task;
                return;
            }
            await context.Request.Body.CopyToAsync(Stream.Null);
            await RespondAsync(context, Frame(Response));
        });
        try
        {
            await RejectTooLargeRequestsAsync(server.Address);
        }
        finally
        {
            isOver.SetResult();
        }
    }

    [Fact]
    public async Task Request_over_4_MiB_gets_the_status_of_the_emulator_long_before_the_deadline() =>
        await RejectTooLargeRequestsAsync(new Uri($"http://{(await Emulator.SharedAsync()).Host}"));

    [Fact]
    public async Task Response_over_HTTP_1_is_internal()
    {
        using var channel = new GrpcChannel(
            new FakeHandler(() => new HttpResponseMessage { Version = HttpVersion.Version11 }), new("http://fake"), null, Long);

        (await FailAsync(channel)).Status.Should().Be(
            new Status(StatusCode.Internal, "The response came over HTTP/1.1. gRPC needs HTTP/2."));
    }

    [Fact]
    public async Task Server_with_HTTP_1_only_is_internal()
    {
        await using var server = await FakeServer.StartAsync(
            context => RespondAsync(context, Frame(Response)), HttpProtocols.Http1);

        (await FailAsync(server)).StatusCode.Should().Be(StatusCode.Internal);
    }

    [Theory]
    [InlineData(0x0, StatusCode.Internal)]
    [InlineData(0x2, StatusCode.Internal)]
    [InlineData(0x7, StatusCode.Unavailable)]
    [InlineData(0x8, StatusCode.Cancelled)]
    [InlineData(0xb, StatusCode.ResourceExhausted)]
    [InlineData(0xc, StatusCode.PermissionDenied)]
    public async Task Stream_reset_during_a_response_is_mapped_by_the_rules_of_gRPC(int error, StatusCode expected)
    {
        await using var server = await FakeServer.StartAsync(async context =>
        {
            await StartResponseAsync(context);
            context.Features.GetRequiredFeature<IHttpResetFeature>().Reset(error);
        });

        (await FailAsync(server)).StatusCode.Should().Be(expected);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Connection_that_breaks_is_unavailable(bool inTheMiddle)
    {
        var isReached = new TaskCompletionSource();
        await using var server = await FakeServer.StartAsync(async context =>
        {
            if (inTheMiddle)
            {
                await StartResponseAsync(context);
            }
            isReached.TrySetResult();
            await UntilAbortedAsync(context);
        });
        using var channel = CreateChannel(server);
        var call = FailAsync(channel);
        await isReached.Task;

        server.DropConnections();

        (await call).StatusCode.Should().Be(StatusCode.Unavailable);
    }

    [Fact]
    public async Task Refused_connection_is_unavailable_and_the_message_has_the_address()
    {
        // It has a port, but doesn't listen.
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        server.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var address = new Uri($"http://{server.LocalEndPoint}");
        using var channel = new GrpcChannel(new SocketsHttpHandler(), address, null, Long);

        var e = await FailAsync(channel);

        e.StatusCode.Should().Be(StatusCode.Unavailable);
        e.Status.Detail.Should().Contain(address.Authority);
        e.GetBaseException().Should().BeOfType<SocketException>();
    }

    [Fact]
    public async Task Connection_that_takes_too_long_is_unavailable()
    {
        using var channel = new GrpcChannel(
            new SocketsHttpHandler
            {
                ConnectTimeout = TimeSpan.FromMilliseconds(50),
                ConnectCallback = async (_, cancellationToken) =>
                {
                    await Task.Delay(Timeout.Infinite, cancellationToken);
                    return Stream.Null;
                },
            },
            new("http://127.0.0.1"),
            null,
            Long);

        (await FailAsync(channel)).StatusCode.Should().Be(StatusCode.Unavailable);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Timeout_is_deadline_exceeded_and_ends_the_call_at_the_server(bool inTheMiddle)
    {
        var isReached = new TaskCompletionSource();
        var hasEnded = new TaskCompletionSource();
        await using var server = await FakeServer.StartAsync(async context =>
        {
            if (inTheMiddle)
            {
                await StartResponseAsync(context);
            }
            isReached.TrySetResult();
            await UntilAbortedAsync(context);
            hasEnded.TrySetResult();
        });
        using var channel = new GrpcChannel(new SocketsHttpHandler(), server.Address, null, TimeSpan.FromMilliseconds(300));

        // On a busy machine the timeout may come before the server has begun.
        while (!isReached.Task.IsCompleted)
        {
            var clock = Stopwatch.StartNew();
            (await FailAsync(channel)).StatusCode.Should().Be(StatusCode.DeadlineExceeded);
            clock.Elapsed.Should().BeGreaterThan(TimeSpan.FromMilliseconds(250)).And.BeLessThan(TimeSpan.FromSeconds(20));
        }

        await hasEnded.Task.WaitAsync(Long);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Cancellation_ends_the_call_at_the_client_and_at_the_server(bool inTheMiddle)
    {
        var isReached = new TaskCompletionSource();
        var hasEnded = new TaskCompletionSource();
        await using var server = await FakeServer.StartAsync(async context =>
        {
            if (inTheMiddle)
            {
                await StartResponseAsync(context);
            }
            isReached.TrySetResult();
            await UntilAbortedAsync(context);
            hasEnded.TrySetResult();
        });
        using var channel = CreateChannel(server);
        using var source = new CancellationTokenSource();
        var call = CallAsync(channel, cancellationToken: source.Token);
        await isReached.Task;

        await source.CancelAsync();

        (await call.Awaiting(it => it).Should().ThrowAsync<OperationCanceledException>())
            .Which.CancellationToken.Should().Be(source.Token);
        await hasEnded.Task.WaitAsync(Long);
    }

    [Fact]
    public async Task Connection_that_breaks_after_a_cancellation_is_a_cancellation()
    {
        using var source = new CancellationTokenSource();
        using var channel = new GrpcChannel(
            new FakeHandler(() =>
            {
                source.Cancel();
                throw new HttpRequestException("broken");
            }),
            new("http://fake"),
            null,
            Long);

        var call = () => CallAsync(channel, cancellationToken: source.Token);

        await call.Should().ThrowAsync<OperationCanceledException>();
    }

    [Fact]
    public async Task Access_token_that_fails_after_a_cancellation_is_a_cancellation()
    {
        using var source = new CancellationTokenSource();
        using var channel = new GrpcChannel(
            new FakeHandler(() => throw new InvalidOperationException("It must not be called.")),
            new("http://fake"),
            (_, _, _) =>
            {
                source.Cancel();
                throw new RpcException(StatusCode.Unavailable, "There is no access token yet.");
            },
            Long);

        var call = () => CallAsync(channel, cancellationToken: source.Token);

        (await call.Should().ThrowAsync<OperationCanceledException>()).WithInnerException<RpcException>();
    }

    [Fact]
    public async Task Any_other_exception_of_the_transport_is_unavailable()
    {
        using var channel = new GrpcChannel(
            new FakeHandler(() => throw new InvalidDataException("Incomplete header block received.")),
            new("http://fake"),
            null,
            Long);

        var e = await FailAsync(channel);

        e.StatusCode.Should().Be(StatusCode.Unavailable);
        e.Status.Detail.Should().Contain("Incomplete header block received.");
    }

    [Fact]
    public async Task Failed_call_leaves_the_connection_usable()
    {
        var calls = 0;
        await using var server = await FakeServer.StartAsync(context => Interlocked.Increment(ref calls) % 2 == 1
            ? RespondAsync(context, [0, 0xff, 0xff, 0xff, 0xff, .. new byte[100_000]])
            : RespondAsync(context, Frame(Response)));
        using var channel = CreateChannel(server);

        for (var round = 0; round < 50; round++)
        {
            (await FailAsync(channel)).StatusCode.Should().Be(StatusCode.ResourceExhausted);
            (await CallAsync(channel)).Should().Be(Response);
        }
    }

    private static async Task RejectTooLargeRequestsAsync(Uri address)
    {
        var request = new BatchGetDocumentsRequest { Database = new string('x', GrpcFrame.MaxMessageSize) };
        using var channel = new GrpcChannel(new SocketsHttpHandler(), address, FirestoreDbBuilder.AuthorizeEmulator, Long);
        for (var round = 0; round < 5; round++)
        {
            var call = () => CallAsync(channel, request);

            (await call.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.ResourceExhausted);
            (await CallAsync(channel)).Missing.Should().Be(Document, "the connection is still usable");
        }
    }

    private static GrpcChannel CreateChannel(FakeServer server) =>
        new(new SocketsHttpHandler { AllowAutoRedirect = false }, server.Address, null, Long);

    private static Task<BatchGetDocumentsResponse> CallAsync(
        GrpcChannel channel, BatchGetDocumentsRequest? request = null, CancellationToken cancellationToken = default) =>
        channel.CallAsync(
            FirestoreClient.BatchGetDocuments, Database, request ?? Request, BatchGetDocumentsResponse.Parser, cancellationToken);

    private static async Task<RpcException> FailAsync(GrpcChannel channel) =>
        (await FluentActions.Awaiting(() => CallAsync(channel)).Should().ThrowAsync<RpcException>()).Which;

    private static async Task<RpcException> FailAsync(FakeServer server)
    {
        using var channel = CreateChannel(server);
        return await FailAsync(channel);
    }

    private static byte[] Frame(IMessage message)
    {
        var body = message.ToByteArray();
        var frame = new byte[5 + body.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), body.Length);
        body.CopyTo(frame, 5);
        return frame;
    }

    private static async Task RespondAsync(
        HttpContext context, byte[] body, string? status = "0", string? message = null, string? contentType = "application/grpc")
    {
        context.Response.ContentType = contentType;
        await context.Response.StartAsync();
        try
        {
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        if (status is not null)
        {
            context.Response.AppendTrailer("grpc-status", status);
        }
        if (message is not null)
        {
            context.Response.AppendTrailer("grpc-message", message);
        }
    }

    private static async Task StartResponseAsync(HttpContext context)
    {
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(Frame(Response).AsMemory(0, 7));
        await context.Response.Body.FlushAsync();
    }

    private static async Task UntilAbortedAsync(HttpContext context)
    {
        try
        {
            await Task.Delay(Long, context.RequestAborted);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private sealed class FakeHandler(Func<HttpResponseMessage> respond) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(respond());
    }
}
