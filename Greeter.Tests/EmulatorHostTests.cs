namespace Greeter.Tests;

/// <summary>The app when <c>FIRESTORE_EMULATOR_HOST</c> names another server, or an emulator that is set up differently.</summary>
[Trait("Category", "Slow")]
public sealed class EmulatorHostTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData("SSH-2.0-OpenSSH_9.2p1\r\n"), InlineData("-ERR unknown command 'PRI'\r\n-ERR unknown command 'SM'\r\n")]
    [InlineData("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")]
    [InlineData("220 mail.example.com ESMTP\r\n")]
    [InlineData("\u0015\u0003\u0001\0\u0002\u0002\u0046")]
    public async Task Server_of_another_protocol_returns_500_at_once(string greeting)
    {
        using var listener = Serve(Encoding.Latin1.GetBytes(greeting));

        await ShouldBeAnotherServerAsync(listener.LocalEndpoint.ToString()!);
    }

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(HttpProtocols.Http1, 404)]
    [InlineData(HttpProtocols.Http2, 200), InlineData(HttpProtocols.Http2, 401)]
    [InlineData(HttpProtocols.Http2, 404), InlineData(HttpProtocols.Http2, 500)]
    public async Task Web_server_returns_500_at_once(HttpProtocols protocols, int status)
    {
        await using var server = await FakeServer.StartAsync(
            context =>
            {
                (context.Response.StatusCode, context.Response.ContentType) = (status, "text/html");
                return context.Response.WriteAsync("<h1>Welcome</h1>");
            },
            protocols);

        await ShouldBeAnotherServerAsync(server.Authority);
    }

    [Fact(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Another_instance_of_the_app_returns_500_at_once()
    {
        using var folder = new TemporaryFolder();
        await using var other = await GreeterProcess.StartAsync(Documents.InFolder(folder));

        await ShouldBeAnotherServerAsync(other.Address.Authority);
    }

    [Fact]
    public async Task Server_that_closes_each_connection_may_be_starting_and_returns_503()
    {
        using var listener = Serve([]);
        await using var app = await StartAsync(listener.LocalEndpoint.ToString()!, ("Request__Timeout", "00:00:01"));

        (await app.VisitAsync()).Status.Should().Be(HttpStatusCode.ServiceUnavailable);
    }

    [Fact]
    public async Task Address_of_all_interfaces_that_the_emulator_prints_is_accepted()
    {
        var emulator = await Emulator.SharedAsync();
        var port = emulator.Host.Split(':')[^1];
        await using var app = await StartAsync($"0.0.0.0:{port}");

        (await app.VisitAsync()).Views.Should().Be(1);
    }

    [Fact]
    public async Task Emulator_in_Datastore_mode_returns_500_with_advice_about_the_emulator()
    {
        await using var emulator = await Emulator.StartAsync(isInDatastoreMode: true);
        await using var app = await StartAsync(emulator.Host);

        foreach (var id in new[] { null, new string('a', 32) })
        {
            (await app.VisitAsync(id)).Status.Should().Be(HttpStatusCode.InternalServerError);
        }

        app.Output.Where(line => line.Contains("\"severity\":\"ERROR\"")).Should().HaveCount(2)
            .And.OnlyContain(line => line.Contains("Restart the emulator without --database-mode") && !line.Contains("databases create"));
    }

    private static async Task ShouldBeAnotherServerAsync(string host)
    {
        await using var app = await StartAsync(host, ("Request__Timeout", "00:01:00"));

        // Much less than the request timeout.
        (await app.VisitAsync().WaitAsync(TimeSpan.FromSeconds(30))).Status.Should().Be(HttpStatusCode.InternalServerError);
        var error = await app.WaitForLineAsync("\"severity\":\"ERROR\"", Patience);
        error.Should().Contain("The server is not Firestore.").And.Contain("FIRESTORE_EMULATOR_HOST");
    }

    private static Task<GreeterProcess> StartAsync(string host, params (string, string)[] more) => GreeterProcess.StartAsync(
        [("FIRESTORE_EMULATOR_HOST", host), ("GOOGLE_CLOUD_PROJECT", Emulator.NewProject()), ("Shutdown__Delay", "0"), .. more]);

    /// <summary>Sends a greeting on each connection, reads what the client sends first, and closes the connection.</summary>
    private static TcpListener Serve(byte[] greeting)
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        _ = ServeAsync(listener, greeting);
        return listener;
    }

    private static async Task ServeAsync(TcpListener listener, byte[] greeting)
    {
        while (listener.Server.IsBound)
        {
            try
            {
                using var client = await listener.AcceptTcpClientAsync();
                await client.GetStream().WriteAsync(greeting);
                _ = greeting.Length > 0 ? await client.GetStream().ReadAsync(new byte[1000]) : 0;
            }
            catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
            {
                // The client closed the connection, or the test has ended.
            }
        }
    }
}
