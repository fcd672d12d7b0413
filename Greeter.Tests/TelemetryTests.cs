using Greeter.Tests.Otlp;

namespace Greeter.Tests;

/// <summary>Traces and metrics for an OpenTelemetry Collector.</summary>
public class TelemetryTests
{
    private const string Id = "0123456789abcdef0123456789abcdef";
    private const string Uuid = "0e0d9b1c-7f2a-4c3e-9f64-3a2f1b0c9d8e";
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";

    [Fact]
    public async Task Spans_of_requests_with_their_calls_and_metrics_arrive_without_a_session_ID()
    {
        await using var collector = await Collector.StartAsync();
        string[] ids;
        await using (var app = await GreeterProcess.StartAsync([.. await Documents.OnEmulatorAsync(), .. collector.Settings]))
        {
            var known = (await app.VisitAsync()).Id!;
            var other = (await app.VisitAsync(Id)).Id!;
            await app.VisitAsync(Uuid);
            await app.VisitAsync(known);
            await SendAsync(app, $"/sessions/{known}?{Id}={Uuid}&session_id={known}");
            await SendAsync(app, $"/{known}/{Uuid.ToUpperInvariant()}?{known}");
            await SendAsync(app, "/health/live");
            await StopAsync(app);
            ids = [known, other, Id, Uuid];
        }

        collector.Services.Should().Equal("greeter");
        var requests = collector.Spans.Where(span => span.Name == "GET /").ToList();
        requests.Should().HaveCount(4);
        CallsUnder(requests[0]).Should().Equal("google.firestore.v1.Firestore/Commit");
        CallsUnder(requests[1]).Should().Equal("google.firestore.v1.Firestore/BatchGetDocuments", "google.firestore.v1.Firestore/Commit");
        collector.Text.Should().NotContain("/health/");
        collector.Metrics.Should().Contain([
            "http.server.request.duration", "kestrel.active_connections", "dotnet.gc.collections", "rpc.client.call.duration",
            "greeter.firestore.transactions"]);
        foreach (var id in ids)
        {
            collector.Text.Should().NotContainEquivalentOf(id);
        }

        IEnumerable<string> CallsUnder(Span request) => collector.Spans
            .Where(span => span.ParentSpanId == request.SpanId && span.TraceId == request.TraceId).Select(span => span.Name);
    }

    [Fact]
    public async Task Failures_arrive_without_a_session_ID_and_the_log_names_their_spans()
    {
        await using var collector = await Collector.StartAsync();
        await using var firestore = await FakeServer.StartAsync(async context =>
            await FirestoreCalls.FailAsync(context, 15, $"projects/x/databases/(default)/documents/sessions/{Id} is damaged"));
        await using var app = await GreeterProcess.StartAsync(
            [("FIRESTORE_EMULATOR_HOST", firestore.Authority), ("GOOGLE_CLOUD_PROJECT", "telemetry"), .. collector.Settings]);
        using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false, ActivityHeadersPropagator = null });
        using var request = new HttpRequestMessage(HttpMethod.Get, app.Address);
        request.Headers.Add("Cookie", $"session_id={Id}");
        request.Headers.Add("X-Cloud-Trace-Context", $"{Trace}/1;o=1");

        (await visitor.SendAsync(request)).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        await StopAsync(app);

        var span = collector.Spans.Should().ContainSingle(span => span.Name == "GET /").Subject;
        Convert.ToHexStringLower(span.TraceId.Span).Should().Be(Trace);
        collector.Text.Should().NotContain(Id);
        var error = JsonDocument.Parse(await app.WaitForLineAsync("ERROR", TimeSpan.Zero)).RootElement;
        error.GetProperty("logging.googleapis.com/spanId").GetString().Should().Be(Convert.ToHexStringLower(span.SpanId.Span));
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Views_of_the_embedded_store_arrive_without_a_session_ID()
    {
        using var folder = new TemporaryFolder();
        await using var collector = await Collector.StartAsync();
        await using var app = await GreeterProcess.StartAsync([.. Documents.InFolder(folder), .. collector.Settings]);

        var id = (await app.VisitAsync()).Id!;
        await app.VisitAsync(id);
        await StopAsync(app);

        collector.Spans.Should().HaveCount(2);
        collector.Text.Should().NotContain(id);
    }

    [Fact, Trait("Category", "Slow")]
    public async Task Collector_that_hangs_delays_neither_a_visitor_nor_the_end_of_the_app()
    {
        await using var collector = await FakeServer.StartAsync(async context => await FirestoreCalls.HangAsync(context));
        await using var app = await GreeterProcess.StartAsync(
            [.. await Documents.OnEmulatorAsync(), ("OTEL_EXPORTER_OTLP_ENDPOINT", $"{collector.Address}")]);

        (await app.VisitAsync()).Views.Should().Be(1);

        app.Terminate();
        // By itself, OpenTelemetry would wait for 15 s, and Cloud Run would end the process.
        (await app.WaitForExitAsync(TimeSpan.FromSeconds(10))).Should().Be(0);
    }

    [Fact]
    public async Task Without_an_endpoint_nothing_of_OpenTelemetry_is_loaded()
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(
            [.. await Documents.InDevelopmentAsync(folder), ("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_SERVICE_NAME", "greeter")]);
        await app.VisitAsync();

        (await File.ReadAllLinesAsync($"/proc/{app.Id}/maps")).Should().NotContain(line => line.Contains("OpenTelemetry"))
            .And.Contain(line => line.Contains("Greeter.Api.dll"));
    }

    private static async Task SendAsync(GreeterProcess app, string target)
    {
        using var visitor = new HttpClient();
        using var response = await visitor.GetAsync(new Uri(app.Address, target));
    }

    // The app sends the rest of its telemetry when it ends.
    private static async Task StopAsync(GreeterProcess app)
    {
        app.Terminate();
        (await app.WaitForExitAsync()).Should().Be(0);
    }
}
