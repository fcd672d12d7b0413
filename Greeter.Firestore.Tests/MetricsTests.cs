using System.Diagnostics.Metrics;

namespace Greeter.Firestore.Tests;

/// <summary>The client's metrics, as a listener sees them.</summary>
[Collection(nameof(Alone))]
public sealed class MetricsTests : IAsyncLifetime
{
    private TestDatabase database = null!;
    private DocumentReference document = null!;
    private readonly MeterListener listener = new();
    private readonly ConcurrentQueue<string> measured = [];
    private Histogram<double>? durations;

    public async ValueTask InitializeAsync()
    {
        database = await TestDatabase.OpenAsync(Store.Emulator);
        document = database.Db.Document("sessions/one");
        listener.InstrumentPublished = (instrument, all) =>
        {
            if (instrument.Meter.Name == "Greeter.Firestore")
            {
                all.EnableMeasurementEvents(instrument);
                durations ??= instrument as Histogram<double>;
            }
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, $"{value}", tags));
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) =>
            Add(instrument, value is > 0 and < 60 ? $"{instrument.Unit}" : $"{value} {instrument.Unit}", tags));
        listener.Start();
    }

    public ValueTask DisposeAsync()
    {
        listener.Dispose();
        database.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task First_view_is_one_call_and_the_next_one_is_one_call_and_a_cache_hit()
    {
        await database.Db.CreateAsync(document);

        measured.Should().BeEquivalentTo(Call("Commit", "OK"), "greeter.firestore.transactions 1 outcome=committed");
        measured.Clear();

        await database.Db.CountAsync(document);

        measured.Should().BeEquivalentTo(
            Call("Commit", "OK"), "greeter.firestore.cache.hits 1", "greeter.firestore.transactions 1 outcome=committed");
    }

    [Fact]
    public async Task Conflict_is_a_stale_hit_a_failed_call_and_two_more_calls()
    {
        await database.Db.CreateAsync(document);
        await database.OpenAnother().Document("sessions/one").SetAsync(new { views = 10 });
        measured.Clear();

        await database.Db.CountAsync(document);

        measured.Should().BeEquivalentTo(
            Call("Commit", "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
            "greeter.firestore.conflicts 1",
            "greeter.firestore.cache.stale_hits 1",
            Call("BatchGetDocuments", "OK"),
            Call("Commit", "OK"),
            "greeter.firestore.transactions 1 outcome=committed");
    }

    [Fact]
    public async Task Failed_call_has_its_status_as_the_type_of_error()
    {
        document = database.Db.Document("sessions/__reserved__");

        await database.Db.Awaiting(db => db.CountAsync(document)).Should().ThrowAsync<RpcException>();

        measured.Should().BeEquivalentTo(
            "greeter.firestore.cache.misses 1",
            Call("BatchGetDocuments", "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
            "greeter.firestore.transactions 1 outcome=failed");
    }

    [Fact]
    public void Durations_have_buckets_in_seconds() =>
        durations!.Advice!.HistogramBucketBoundaries.Should().BeInAscendingOrder().And.StartWith(0.005).And.EndWith(10);

    private static string Call(string method, string status, string? errorType = null) =>
        "rpc.client.call.duration s "
        + (errorType is null ? "" : $"error.type={errorType} ")
        + $"rpc.method=google.firestore.v1.Firestore/{method} rpc.response.status_code={status} rpc.system.name=grpc";

    private void Add(Instrument instrument, string value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var texts = tags.ToArray().Select(tag => $" {tag.Key}={tag.Value}").Order(StringComparer.Ordinal);
        measured.Enqueue($"{instrument.Name} {value}{string.Concat(texts)}");
    }
}
