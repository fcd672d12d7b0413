using System.Net;
using Greeter.Firestore.Transport;
using Microsoft.AspNetCore.Http;

namespace Greeter.Firestore.Tests;

/// <summary>Only unresponsive connections are replaced.</summary>
[Collection(nameof(Alone))]
public class ReconnectingHandlerTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMilliseconds(700);

    [Fact]
    public async Task Call_without_a_response_replaces_the_connection_and_does_not_interrupt_a_response_that_is_being_read()
    {
        var release = new TaskCompletionSource();
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, release.Task));
        using var client = new HttpMessageInvoker(new ReconnectingHandler(() => new SocketsHttpHandler()));
        using var begun = await SendAsync(client, server, "/begin", Timeout.InfiniteTimeSpan);

        await HangAsync(client, server, Long);
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
        using var client = new HttpMessageInvoker(new ReconnectingHandler(() => new SocketsHttpHandler()));
        var connection = await GetConnectionAsync(client, server);

        await HangAsync(client, server, TimeSpan.FromMilliseconds(50));

        (await GetConnectionAsync(client, server)).Should().Be(connection);
    }

    [Fact]
    public async Task Call_without_a_response_keeps_the_connection_if_other_calls_had_one()
    {
        await using var server = await FakeServer.StartAsync(context => RespondAsync(context, Task.CompletedTask));
        using var client = new HttpMessageInvoker(new ReconnectingHandler(() => new SocketsHttpHandler()));
        var hanging = HangAsync(client, server, Long);
        await Task.Delay(Long / 4);
        var connection = await GetConnectionAsync(client, server);

        await hanging;

        (await GetConnectionAsync(client, server)).Should().Be(connection);
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

    private static async Task HangAsync(HttpMessageInvoker client, FakeServer server, TimeSpan time)
    {
        var call = () => SendAsync(client, server, "/hang", time);
        await call.Should().ThrowAsync<OperationCanceledException>();
    }

    private static async Task<string> GetConnectionAsync(HttpMessageInvoker client, FakeServer server)
    {
        using var response = await SendAsync(client, server, "/", Timeout.InfiniteTimeSpan);
        return await response.Content.ReadAsStringAsync();
    }

    private static async Task<HttpResponseMessage> SendAsync(
        HttpMessageInvoker client, FakeServer server, string path, TimeSpan time)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.Address, path))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        using var timeout = new CancellationTokenSource(time);
        return await client.SendAsync(request, timeout.Token);
    }
}
