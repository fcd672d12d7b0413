using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text.Json;

namespace Greeter.Firestore.Transport;

/// <summary>The client's metrics: the meter <c>Greeter.Firestore</c>. Without a listener they cost nothing.</summary>
/// <remarks>The duration of calls has the name and the attributes of OpenTelemetry:
/// https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/#metric-rpcclientcallduration</remarks>
internal static class ClientMetrics
{
    private static readonly Meter Meter = new("Greeter.Firestore");

    // OpenTelemetry's default boundaries are meant for milliseconds. These are the ones that its convention recommends.
    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
    };

    private static readonly Histogram<double> CallDuration = Meter.CreateHistogram(
        "rpc.client.call.duration", "s", "The duration of calls to Firestore.", tags: null, Seconds);

    public static readonly Counter<long> Transactions =
        Meter.CreateCounter<long>("greeter.firestore.transactions", "{transaction}", "Transactions that have ended, by outcome.");
    public static readonly Counter<long> Conflicts =
        Meter.CreateCounter<long>("greeter.firestore.conflicts", "{conflict}", "Commits that failed because a document had changed.");
    public static readonly Counter<long> CacheHits =
        Meter.CreateCounter<long>("greeter.firestore.cache.hits", "{transaction}", "Transactions whose cached reads were current.");
    public static readonly Counter<long> CacheMisses =
        Meter.CreateCounter<long>("greeter.firestore.cache.misses", "{read}", "Reads in a first attempt that weren't from the cache.");
    public static readonly Counter<long> CacheStaleHits =
        Meter.CreateCounter<long>("greeter.firestore.cache.stale_hits", "{transaction}", "Transactions whose cached reads were stale.");

    /// <summary>Records the status of a call to Firestore, and its duration since a timestamp of <see cref="Stopwatch"/>.</summary>
    public static void RecordCall(string method, long started, StatusCode status)
    {
        if (!CallDuration.Enabled)
        {
            return;
        }
        var tags = new TagList
        {
            { "rpc.system.name", "grpc" },
            { "rpc.method", $"google.firestore.v1.Firestore/{method}" },
            { "rpc.response.status_code", ToName(status) },
        };
        if (status != StatusCode.OK)
        {
            tags.Add("error.type", ToName(status));
        }
        CallDuration.Record(Stopwatch.GetElapsedTime(started).TotalSeconds, tags);
    }

    // As gRPC writes it: DEADLINE_EXCEEDED.
    private static string ToName(StatusCode status) => status == StatusCode.OK
        ? "OK"
        : JsonNamingPolicy.SnakeCaseUpper.ConvertName(status.ToString());
}
