using Google.Protobuf;
using Greeter.Tests.Otlp;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace Greeter.Tests.Infrastructure;

/// <summary>An endpoint for OpenTelemetry's protocol that keeps what it receives.</summary>
internal sealed class Collector : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly Received received;

    private Collector(WebApplication app, Received received) => (this.app, this.received) = (app, received);

    /// <summary>Gets the variables of an app that sends its telemetry here.</summary>
    public (string, string)[] Settings => [("OTEL_EXPORTER_OTLP_ENDPOINT", app.Urls.Single())];

    /// <summary>Gets the spans so far.</summary>
    public IReadOnlyList<Span> Spans =>
        [.. received.Traces.SelectMany(trace => trace.ResourceSpans).SelectMany(resource => resource.ScopeSpans)
            .SelectMany(scope => scope.Spans)];

    /// <summary>Gets the names of the services that sent spans so far.</summary>
    public IEnumerable<string> Services => received.Traces.SelectMany(trace => trace.ResourceSpans)
        .Select(spans => spans.Resource.Attributes.Single(each => each.Key == "service.name").Value.StringValue).Distinct();

    /// <summary>Gets the names of the metrics so far.</summary>
    public IEnumerable<string> Metrics => received.Metrics.SelectMany(metrics => metrics.ResourceMetrics)
        .SelectMany(resource => resource.ScopeMetrics).SelectMany(scope => scope.Metrics).Select(metric => metric.Name).Distinct();

    /// <summary>Gets everything so far, also what the other properties leave out.</summary>
    public string Text => string.Concat(
        received.Traces.Select(trace => trace.ToByteString().ToStringUtf8())
            .Concat(received.Metrics.Select(metrics => metrics.ToByteString().ToStringUtf8())));

    public static async Task<Collector> StartAsync()
    {
        var received = new Received([], []);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        builder.Services.AddRouting().AddSingleton(received).AddGrpc();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(
            kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        var app = builder.Build();
        app.MapGrpcService<TraceEndpoint>();
        app.MapGrpcService<MetricsEndpoint>();
        await app.StartAsync();
        return new Collector(app, received);
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();

    private sealed record Received(ConcurrentQueue<ExportTraceServiceRequest> Traces, ConcurrentQueue<ExportMetricsServiceRequest> Metrics);

    private sealed class TraceEndpoint(Received received) : TraceService.TraceServiceBase
    {
        public override Task<ExportTraceServiceResponse> Export(ExportTraceServiceRequest request, ServerCallContext context)
        {
            received.Traces.Enqueue(request);
            return Task.FromResult(new ExportTraceServiceResponse());
        }
    }

    private sealed class MetricsEndpoint(Received received) : MetricsService.MetricsServiceBase
    {
        public override Task<ExportMetricsServiceResponse> Export(ExportMetricsServiceRequest request, ServerCallContext context)
        {
            received.Metrics.Enqueue(request);
            return Task.FromResult(new ExportMetricsServiceResponse());
        }
    }
}
