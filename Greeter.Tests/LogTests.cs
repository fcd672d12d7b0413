namespace Greeter.Tests;

/// <summary>The log that Cloud Logging reads in Production, and the one that a developer reads.</summary>
public partial class LogTests(LogTests.FailingApp app) : IClassFixture<LogTests.FailingApp>
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";
    private const string Id = "0123456789abcdef0123456789abcdef";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Every_log_line_is_JSON_with_severity_message_and_time()
    {
        var ended = new FailingApp();
        await ended.InitializeAsync();
        await ended.VisitAsync();
        await ended.VisitAsync();
        ended.Process.Terminate();
        await ended.Process.WaitForExitAsync();
        await ended.DisposeAsync();

        var lines = ended.Process.Output.Select(line => JsonElement.Parse(line)).ToList();

        lines.Should().NotBeEmpty();
        foreach (var line in lines)
        {
            line.GetProperty("severity").GetString().Should().BeOneOf("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL");
            line.GetProperty("message").GetString().Should().NotBeNullOrEmpty();
            line.GetProperty("time").GetDateTimeOffset().Should().BeCloseTo(DateTimeOffset.UtcNow, TimeSpan.FromMinutes(2));
        }
        lines.Should().ContainSingle(line => line.GetProperty("message").GetString()!.Contains(", project log-test"));
    }

    [Theory]
    [InlineData("traceparent", $"00-{Trace}-b7ad6b7169203331-01", "b7ad6b7169203331", true)]
    [InlineData("traceparent", $"00-{Trace}-b7ad6b7169203331-00", "b7ad6b7169203331", false)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace}/13235353014750950193;o=1", "b7ad6b7169203331", true)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace}/1;o=0", "0000000000000001", false)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace}/1", "0000000000000001", false)]
    [InlineData("X-Cloud-Trace-Context", Trace, null, false)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace};o=1", null, true)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace};o=0", null, false)]
    [InlineData("X-Cloud-Trace-Context", $"{Trace}/0;o=1", null, true)]
    public async Task Log_entry_of_a_request_has_its_trace(string header, string value, string? span, bool isSampled)
    {
        var error = await app.VisitAsync((header, value));

        error.GetProperty("logging.googleapis.com/trace").GetString().Should().Be($"projects/log-test/traces/{Trace}");
        error.GetProperty("logging.googleapis.com/spanId").GetString().Should().MatchRegex($"^{span ?? "[0-9a-f]{16}"}$");
        error.GetProperty("logging.googleapis.com/trace_sampled").GetBoolean().Should().Be(isSampled);
    }

    [Theory]
    [InlineData($"00-{Trace}-b7ad6b7169203331-01", "b7ad6b7169203331")]
    [InlineData("nonsense", "0000000000000001")]
    [InlineData("", "0000000000000001")]
    [InlineData("00-ffffffffffffffffffffffffffffffff-0000000000000000-01", "0000000000000001")]
    [InlineData("00-00000000000000000000000000000000-b7ad6b7169203331-01", "0000000000000001")]
    [InlineData("ff-ffffffffffffffffffffffffffffffff-b7ad6b7169203331-01", "0000000000000001")]
    [InlineData("00-FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF-b7ad6b7169203331-01", "0000000000000001")]
    public async Task Traceparent_overrides_X_Cloud_Trace_Context_unless_it_is_malformed(string traceparent, string span)
    {
        var error = await app.VisitAsync(("traceparent", traceparent), ("X-Cloud-Trace-Context", $"{Trace}/1;o=1"));

        error.GetProperty("logging.googleapis.com/trace").GetString().Should().EndWith(Trace);
        error.GetProperty("logging.googleapis.com/spanId").GetString().Should().Be(span);
    }

    [Theory]
    [InlineData("nonsense"), InlineData("/;o=")]
    [InlineData("0af7651916cd43dd8448eb211c80319c/x;o=1")]
    [InlineData("0af7651916cd43dd8448eb211c80319g/1;o=1")]
    [InlineData("00000000000000000000000000000000/1;o=1")]
    public async Task Malformed_trace_header_is_ignored(string value)
    {
        var error = await app.VisitAsync(("X-Cloud-Trace-Context", value));

        error.GetProperty("logging.googleapis.com/trace").GetString()
            .Should().MatchRegex("^projects/log-test/traces/[0-9a-f]{32}$");
    }

    [Theory]
    [InlineData(false, "sessions/0123…")]
    [InlineData(true, "sessions%2F0123…")]
    public async Task Exception_is_logged_in_stack_trace_and_session_IDs_are_redacted(bool isEscaped, string redacted)
    {
        app.EscapesName = isEscaped;

        var error = await app.VisitAsync(("Cookie", $"session_id={Id}"));

        error.GetProperty("stack_trace").GetString().Should().Contain("RpcException").And.Contain("   at Greeter.");
        error.GetProperty("message").GetString().Should().Contain(redacted);
        app.Process.Text.Should().NotContain(Id).And.NotContain(Id[..5]);
    }

    [Fact]
    public async Task Development_logs_each_request_in_one_line_and_a_failure_without_its_stack_trace()
    {
        await using var developed = new FailingApp { Environment = "Development" };
        await developed.InitializeAsync();
        using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = developed.Process.Address };

        using var health = await visitor.GetAsync("/health/live");
        using var injection = await visitor.GetAsync($"/%0A[12:00:00%20FTL]%20Forged/{Id}");
        await Visit.SendAsync(visitor, visitor.BaseAddress, Id);
        var failure = await developed.Process.WaitForLineAsync("Failure 0 of", Patience);
        await developed.Process.WaitForLineAsync("GET / responded 503 in ", Patience);

        var lines = developed.Process.Output.SkipWhile(line => !line.Contains("Content root path")).Skip(1)
            .Where(line => !line.Contains("The first read of Firestore failed"));
        lines.Should().HaveCount(4).And.OnlyContain(line => line.StartsWith('['));
        lines.Should().ContainSingle(line => Regex.IsMatch(line, @" INF\] GET /health/live responded 200 in [0-9]+\.[0-9] ms$"));
        lines.Should().ContainSingle(line => line.Contains("INF] GET /%0A%5B12:00:00%20FTL%5D%20Forged/0123… responded 404 in "));
        failure.Should().Contain(" ERR] Firestore failed.").And.Contain("sessions/0123…");
        developed.Process.Text.Should().NotContain(Id);
    }

    /// <summary>The app, and a Firestore whose every call fails with an error that contains the document's name.</summary>
    public sealed partial class FailingApp : IAsyncLifetime
    {
        private FakeServer firestore = null!;
        private int failures;

        internal GreeterProcess Process { get; private set; } = null!;

        internal string Environment { private get; init; } = "Production";

        /// <summary>Whether the error contains the document's name as in a URL: with <c>%2F</c> for each slash.</summary>
        internal bool EscapesName { private get; set; }

        public async ValueTask InitializeAsync()
        {
            firestore = await FakeServer.StartAsync(AnswerAsync);
            Process = await GreeterProcess.StartAsync(
                ("FIRESTORE_EMULATOR_HOST", firestore.Authority),
                ("GOOGLE_CLOUD_PROJECT", "log-test"),
                ("ASPNETCORE_ENVIRONMENT", Environment));
        }

        public async ValueTask DisposeAsync()
        {
            await Process.DisposeAsync();
            await firestore.DisposeAsync();
        }

        /// <summary>Visits the app, which responds with 503, and returns the error in its log.</summary>
        internal async Task<JsonElement> VisitAsync(params (string Name, string Value)[] headers)
        {
            failures++;
            using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false, ActivityHeadersPropagator = null });
            using var request = new HttpRequestMessage(HttpMethod.Get, Process.Address);
            foreach (var (name, value) in headers)
            {
                request.Headers.TryAddWithoutValidation(name, value);
            }
            using var response = await visitor.SendAsync(request);
            response.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
            var line = await Process.WaitForLineAsync($"Failure {failures} of", TimeSpan.FromSeconds(30));
            var error = JsonDocument.Parse(line).RootElement;
            error.GetProperty("severity").GetString().Should().Be("ERROR");
            return error;
        }

        private async Task AnswerAsync(HttpContext context)
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            var name = DocumentName().Match(Encoding.Latin1.GetString(body.ToArray())).Value;
            name = EscapesName ? Uri.EscapeDataString(name) : name;
            context.Response.ContentType = "application/grpc";
            // Greeter.Firestore makes only calls that fail. The first message is a transaction ID.
            byte[]? message = context.Request.Path.Value!.Split('/')[^1] switch
            {
                "BeginTransaction" => [0, 0, 0, 0, 3, 10, 1, 1],
                "Rollback" => [0, 0, 0, 0, 0],
                _ => null,
            };
            if (message is null)
            {
                // DATA_LOSS: no client calls again. The warm-up's document has no session ID.
                await FirestoreCalls.FailAsync(
                    context, 15, name.Length == 0 ? "Not a session" : $"Failure {failures} of \"{name}\" ({name})");
                return;
            }
            await context.Response.Body.WriteAsync(message);
            context.Response.AppendTrailer("grpc-status", "0");
        }

        [GeneratedRegex("projects/log-test/[ -~]*?sessions/[0-9a-f-]{32,36}")]
        private static partial Regex DocumentName();
    }
}
