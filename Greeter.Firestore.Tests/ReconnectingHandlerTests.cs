namespace Greeter.Firestore.Tests;

/// <summary>Only unresponsive connections are replaced.</summary>
public class ReconnectingHandlerTests
{
    private static readonly TimeSpan Threshold = TimeSpan.FromMilliseconds(500);

    private readonly FakeTimeProvider time = new();

    [Fact]
    public async Task Call_without_a_response_replaces_the_connection_and_does_not_interrupt_a_response_that_is_being_read()
    {
        var release = new TaskCompletionSource();
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, release.Task));
        using var client = CreateClient();
        using var begun = await SendAsync(client, server, "/begin");

        await HangAsync(client, server, Threshold);
        var connection = await GetConnectionAsync(client, server);
        release.SetResult();

        var earlier = await begun.Content.ReadAsStringAsync();
        connection.Should().NotBe(earlier);
        (await GetConnectionAsync(client, server)).Should().Be(connection, "the new connection is kept");
    }

    [Fact]
    public async Task Call_that_was_cancelled_early_keeps_the_connection()
    {
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Task.CompletedTask));
        using var client = CreateClient();
        var connection = await GetConnectionAsync(client, server);

        await HangAsync(client, server, Threshold - TimeSpan.FromMilliseconds(1));

        (await GetConnectionAsync(client, server)).Should().Be(connection);
    }

    [Fact]
    public async Task Call_without_a_response_keeps_the_connection_if_other_calls_had_one()
    {
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Task.CompletedTask));
        using var client = CreateClient();
        var connection = "";

        await HangAsync(client, server, Threshold, async () => connection = await GetConnectionAsync(client, server));

        (await GetConnectionAsync(client, server)).Should().Be(connection);
    }

    [Fact]
    public async Task Replaced_connection_is_closed()
    {
        var handlers = new List<ClosableHandler>();
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Task.CompletedTask));
        using var client = new HttpMessageInvoker(new ReconnectingHandler(
            () =>
            {
                handlers.Add(new ClosableHandler());
                return handlers[^1];
            },
            time));

        await HangAsync(client, server, Threshold);
        await GetConnectionAsync(client, server);
        time.Advance(TimeSpan.FromSeconds(10));

        handlers.Select(handler => handler.IsClosed).Should().Equal(true, false);
    }

    private static async Task RespondAsync(HttpContext context, Task release)
    {
        if (context.Request.Path == "/hang")
        {
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return;
        }
        if (context.Request.Path == "/begin")
        {
            await context.Response.StartAsync();
            await context.Response.Body.FlushAsync();
            await release;
        }
        await context.Response.WriteAsync(context.Connection.Id);
    }

    private HttpMessageInvoker CreateClient() => new(new ReconnectingHandler(() => new SocketsHttpHandler(), time));

    /// <summary>Makes a call that gets no response, and cancels it after a time.</summary>
    private async Task HangAsync(HttpMessageInvoker client, FakeServer server, TimeSpan duration, Func<Task>? meanwhile = null)
    {
        using var source = new CancellationTokenSource();
        time.Advance(TimeSpan.FromMilliseconds(1));
        var call = SendAsync(client, server, "/hang", source.Token);
        if (meanwhile is not null)
        {
            await meanwhile();
        }
        time.Advance(duration);
        await source.CancelAsync();
        await call.Awaiting(it => it).Should().ThrowAsync<OperationCanceledException>();
    }

    private static async Task<string> GetConnectionAsync(HttpMessageInvoker client, FakeServer server)
    {
        using var response = await SendAsync(client, server, "/");
        return await response.Content.ReadAsStringAsync();
    }

    private static async Task<HttpResponseMessage> SendAsync(
        HttpMessageInvoker client, FakeServer server, string path, CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.Address, path))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        return await client.SendAsync(request, cancellationToken);
    }

    private sealed class ClosableHandler() : DelegatingHandler(new SocketsHttpHandler())
    {
        public bool IsClosed { get; private set; }

        protected override void Dispose(bool disposing)
        {
            IsClosed = true;
            base.Dispose(disposing);
        }
    }
}
