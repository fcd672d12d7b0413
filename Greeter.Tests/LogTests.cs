using System.Net;
using System.Text.Json;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>The log that Cloud Logging reads in Production.</summary>
public class LogTests
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";
    private const string Id = "0123456789abcdef0123456789abcdef";

    [Fact]
    public async Task Every_log_line_is_JSON_with_severity_message_and_time()
    {
        await using var app = await StartAsync();
        await VisitAsync(app);
        await VisitAsync(app);
        app.Terminate();
        await app.WaitForExitAsync();

        var lines = Parse(app);

        lines.Should().NotBeEmpty();
        foreach (var line in lines)
        {
            line.GetProperty("severity").GetString().Should().BeOneOf("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL");
            line.GetProperty("message").GetString().Should().NotBeNullOrEmpty();
            line.GetProperty("time").GetDateTimeOffset().Should().BeCloseTo(DateTimeOffset.UtcNow, TimeSpan.FromMinutes(2));
        }
        lines.Should().ContainSingle(line => line.GetProperty("message").GetString()!.EndsWith(", project log-test"));
    }

    [Theory]
    [InlineData("traceparent", $"00-{Trace}-b7ad6b7169203331-01", "b7ad6b7169203331", true)]
    [InlineData("traceparent", $"00-{Trace}-b7ad6b7169203331-00", "b7ad6b7169203331", false)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace}/13235353014750950193;o=1", "b7ad6b7169203331", true)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace}/1;o=0", "0000000000000001", false)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace}/1", "0000000000000001", false)]
    public async Task Log_entry_of_a_request_has_its_trace(string header, string value, string span, bool isSampled)
    {
        await using var app = await StartAsync();

        await VisitAsync(app, (header, value));

        var error = ErrorOf(app);
        error.GetProperty("logging.googleapis.com/trace").GetString().Should().Be($"projects/log-test/traces/{Trace}");
        error.GetProperty("logging.googleapis.com/spanId").GetString().Should().Be(span);
        error.GetProperty("logging.googleapis.com/trace_sampled").GetBoolean().Should().Be(isSampled);
    }

    [Fact]
    public async Task Traceparent_overrides_X_Cloud_Trace_Context()
    {
        await using var app = await StartAsync();

        await VisitAsync(app,
            ("traceparent", $"00-{Trace}-b7ad6b7169203331-01"),
            ("X-Cloud-Trace-Context", "ffffffffffffffffffffffffffffffff/1;o=1"));

        ErrorOf(app).GetProperty("logging.googleapis.com/trace").GetString().Should().EndWith(Trace);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("/;o=")]
    [InlineData("0af7651916cd43dd8448eb211c80319c/x;o=1")]
    [InlineData("0af7651916cd43dd8448eb211c80319g/1;o=1")]
    [InlineData("00000000000000000000000000000000/1;o=1")]
    public async Task Malformed_trace_header_is_ignored(string value)
    {
        await using var app = await StartAsync();

        (await VisitAsync(app, ("X-Cloud-Trace-Context", value))).Should().Be(HttpStatusCode.ServiceUnavailable);

        ErrorOf(app).GetProperty("logging.googleapis.com/trace").GetString()
            .Should().MatchRegex("^projects/log-test/traces/[0-9a-f]{32}$");
    }

    [Fact]
    public async Task Exception_is_logged_in_stack_trace_and_session_IDs_are_redacted()
    {
        await using var app = await StartAsync();

        await VisitAsync(app, ("Cookie", $"session_id={Id}"));

        var error = ErrorOf(app);
        error.GetProperty("stack_trace").GetString().Should().Contain("RpcException").And.Contain("   at Greeter.");
        error.GetProperty("message").GetString().Should().Contain("sessions/0123…");
        app.Text.Should().NotContain(Id).And.NotContain(Id[..5]);
    }

    // Every call to this Firestore fails with an error that contains the document's name.
    private static async Task<FailingApp> StartAsync()
    {
        var firestore = await FakeServer.StartAsync(async (context, _) =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            var name = System.Text.RegularExpressions.Regex.Match(
                System.Text.Encoding.Latin1.GetString(body.ToArray()),
                "projects/log-test/[ -~]*?sessions/[0-9a-f-]{32,36}").Value;
            context.Response.ContentType = "application/grpc";
            context.Response.Headers["grpc-status"] = "13";
            context.Response.Headers["grpc-message"] = Uri.EscapeDataString($"Document \"{name}\" is out of order ({name})");
        });
        var process = await GreeterProcess.StartAsync(
            ("FIRESTORE_EMULATOR_HOST", firestore.Authority),
            ("GOOGLE_CLOUD_PROJECT", "log-test"),
            ("Request__Timeout", "00:00:00.5"));
        return new FailingApp(process, firestore);
    }

    private static async Task<HttpStatusCode> VisitAsync(FailingApp app, params (string Name, string Value)[] headers)
    {
        using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false, ActivityHeadersPropagator = null });
        using var request = new HttpRequestMessage(HttpMethod.Get, app.Address);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }
        using var response = await visitor.SendAsync(request);
        return response.StatusCode;
    }

    private static List<JsonElement> Parse(FailingApp app) => [.. app.Lines.Select(line => JsonDocument.Parse(line).RootElement)];

    private static JsonElement ErrorOf(FailingApp app)
    {
        app.Terminate();
        app.WaitForExitAsync().GetAwaiter().GetResult();
        return Parse(app).Single(line => line.GetProperty("severity").GetString() == "ERROR");
    }

    private sealed class FailingApp(GreeterProcess process, FakeServer firestore) : IAsyncDisposable
    {
        public Uri Address => process.Address;

        public IReadOnlyCollection<string> Lines => process.Output;

        public string Text => process.Text;

        public void Terminate() => process.Terminate();

        public Task<int> WaitForExitAsync() => process.WaitForExitAsync();

        public async ValueTask DisposeAsync()
        {
            await process.DisposeAsync();
            await firestore.DisposeAsync();
        }
    }
}
