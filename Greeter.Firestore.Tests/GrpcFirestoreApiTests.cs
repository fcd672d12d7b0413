namespace Greeter.Firestore.Tests;

/// <summary>What the client adds to gRPC, against a gRPC server.</summary>
public class GrpcFirestoreApiTests
{
    private const string Database = "projects/p/databases/(default)";
    private const string Document = $"{Database}/documents/a/b";
    private static readonly BatchGetDocumentsRequest Request = new() { Database = Database, Documents = { Document } };
    private static readonly BatchGetDocumentsResponse Response = new() { Missing = Document, ReadTime = new() };

    [Fact]
    public async Task Call_has_a_deadline_and_the_headers_by_which_Google_routes_it()
    {
        var (headers, deadline) = (new Metadata(), DateTime.MaxValue);
        await using var server = await GrpcServer.StartAsync((_, context) =>
        {
            (headers, deadline) = (context.RequestHeaders, context.Deadline);
            return Task.FromResult(Response);
        });
        using var api = server.Connect(TimeSpan.FromSeconds(20));

        (await api.BatchGetDocumentsAsync(Request, CancellationToken.None)).Should().Be(Response);

        deadline.Should().BeCloseTo(DateTime.UtcNow + TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(10));
        headers.GetValue("x-goog-request-params").Should().Be("database=projects%2Fp%2Fdatabases%2F%28default%29");
        headers.GetValue("google-cloud-resource-prefix").Should().Be(Database);
        headers.GetValue("authorization").Should().Be("Bearer owner", "the emulator skips its security rules then");
    }

    [Fact]
    public void Credentials_are_never_sent_without_TLS()
    {
        var credentials = CallCredentials.FromInterceptor((_, _) => Task.CompletedTask);

        var connect = () => new GrpcFirestoreApi(
            new Uri("http://127.0.0.1:1"), credentials, TimeSpan.FromSeconds(1), new SocketsHttpHandler());

        connect.Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public async Task Cancellation_ends_the_call_at_the_client_and_at_the_server()
    {
        var (hasStarted, hasEnded) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var server = await StartHangingAsync(hasStarted, hasEnded);
        using var api = server.Connect();
        using var cancellation = new CancellationTokenSource();

        var call = api.BatchGetDocumentsAsync(Request, cancellation.Token);
        await hasStarted.Task;
        await cancellation.CancelAsync();

        var exception = (await call.Awaiting(task => task).Should().ThrowAsync<OperationCanceledException>()).Which;
        exception.CancellationToken.Should().Be(cancellation.Token);
        await hasEnded.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Deadline_is_DEADLINE_EXCEEDED_and_names_the_server_and_the_method_and_that_of_a_commit_is_longer()
    {
        await using var server = await GrpcServer.StartRawAsync(context => Task.Delay(Timeout.Infinite, context.RequestAborted));
        using var api = server.Connect(TimeSpan.FromSeconds(0.5));
        var commit = () => api.CommitAsync(new CommitRequest { Database = Database }, CancellationToken.None);

        var status = await FailAsync(api);
        (await commit.Should().ThrowAsync<RpcException>()).Which.Status.Detail.Should().EndWith("Commit in 0.75 s.");

        status.StatusCode.Should().Be(StatusCode.DeadlineExceeded);
        status.Detail.Should().Be($"{server.Address.Authority} did not respond to BatchGetDocuments in 0.5 s.");
    }

    [Fact]
    public async Task Refused_connection_is_UNAVAILABLE_and_names_the_address()
    {
        Uri address;
        await using (var server = await GrpcServer.StartAsync((_, _) => Task.FromResult(Response)))
        {
            address = server.Address;
        }
        using var api = new GrpcFirestoreApi(address, null, TimeSpan.FromSeconds(30), new SocketsHttpHandler { UseProxy = false });

        var status = await FailAsync(api);

        status.StatusCode.Should().Be(StatusCode.Unavailable);
        status.Detail.Should().StartWith($"{address.Authority}: ").And.NotContain("Status(");
    }

    [Fact]
    public async Task Status_of_the_server_goes_to_the_caller()
    {
        await using var server = await GrpcServer.StartAsync((_, _) =>
            throw new RpcException(new Status(StatusCode.FailedPrecondition, "grüße, 100%\nwirklich%")));
        using var api = server.Connect();

        (await FailAsync(api)).Should().Be(new Status(StatusCode.FailedPrecondition, "grüße, 100%\nwirklich%"));
    }

    [Theory]
    [InlineData("a response without a status", StatusCode.Unknown)]
    [InlineData("a response that is not valid", StatusCode.Internal), InlineData("a web page", StatusCode.Unimplemented)]
    [InlineData("a web page for 404", StatusCode.Unimplemented), InlineData("HTTP/1.1", StatusCode.Unimplemented)]
    public async Task Server_that_does_not_speak_gRPC_is_a_failure(string kind, StatusCode status)
    {
        var protocols = kind == "HTTP/1.1" ? HttpProtocols.Http1 : HttpProtocols.Http2;
        await using var server = await GrpcServer.StartRawAsync(context => AnswerAsync(context, kind), protocols);
        using var api = server.Connect();

        var failure = await FailAsync(api);

        failure.StatusCode.Should().Be(status, failure.Detail);
        failure.Detail.Should().NotBeEmpty();
    }

    [Fact]
    public async Task Request_over_10_MiB_fails_at_once_with_RESOURCE_EXHAUSTED()
    {
        await using var server = await GrpcServer.StartRawAsync(_ => throw new InvalidOperationException("It must not be sent."));
        using var api = server.Connect();
        var write = new Write { Update = new Document { Name = Document } };
        write.Update.Fields.Add("text", new Value { StringValue = new string('x', 12 << 20) });
        var started = Stopwatch.GetTimestamp();

        var call = () => api.CommitAsync(new CommitRequest { Database = Database, Writes = { write } }, CancellationToken.None);

        (await call.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.ResourceExhausted);
        Stopwatch.GetElapsedTime(started).Should().BeLessThan(TimeSpan.FromSeconds(10), "the deadline is 30 s");
    }

    [Fact]
    public async Task Response_over_4_MiB_is_RESOURCE_EXHAUSTED()
    {
        await using var server = await GrpcServer.StartAsync((_, _) =>
            Task.FromResult(new BatchGetDocumentsResponse { Transaction = ByteString.CopyFrom(new byte[5 << 20]) }));
        using var api = server.Connect();

        (await FailAsync(api)).StatusCode.Should().Be(StatusCode.ResourceExhausted);
    }

    [Fact]
    public async Task Read_after_the_connection_was_closed_fails_at_once()
    {
        await using var server = await GrpcServer.StartAsync((_, _) => Task.FromResult(Response));
        var api = server.Connect();
        var db = new FirestoreDb("p", "(default)", api);
        (await db.Document("a/b").GetSnapshotAsync()).Exists.Should().BeFalse();
        api.Dispose();

        await db.Document("a/b").Awaiting(document => document.GetSnapshotAsync())
            .Should().ThrowAsync<ObjectDisposedException>().WaitAsync(TimeSpan.FromSeconds(10));
    }

    private static async Task<Status> FailAsync(GrpcFirestoreApi api)
    {
        var call = () => api.BatchGetDocumentsAsync(Request, CancellationToken.None);
        return (await call.Should().ThrowAsync<RpcException>()).Which.Status;
    }

    private static Task<GrpcServer> StartHangingAsync(TaskCompletionSource hasStarted, TaskCompletionSource hasEnded) =>
        GrpcServer.StartAsync(async (_, context) =>
        {
            context.CancellationToken.Register(hasEnded.SetResult);
            hasStarted.SetResult();
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return Response;
        });

    private static async Task AnswerAsync(HttpContext context, string kind)
    {
        context.Response.StatusCode = kind.Contains("404", StringComparison.Ordinal) ? 404 : 200;
        context.Response.ContentType = kind.Contains("web page", StringComparison.Ordinal) ? "text/html" : "application/grpc";
        var isInvalid = kind == "a response that is not valid";
        byte[] message = isInvalid ? [255, 255, 255, 255] : Response.ToByteArray();
        // The frame's header: not compressed, and the length in four bytes.
        await context.Response.Body.WriteAsync(new byte[] { 0, 0, 0, 0, (byte)message.Length });
        await context.Response.Body.WriteAsync(message);
        if (isInvalid)
        {
            context.Response.AppendTrailer("grpc-status", "0");
        }
    }
}
