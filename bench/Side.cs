namespace Greeter.Bench;

/// <summary>One side of a comparison: a load on one or more servers.</summary>
/// <param name="title">Its name in the results.</param>
/// <param name="phase">The sides that are measured alternately with it.</param>
/// <param name="servers">The servers.</param>
/// <param name="run">Makes the load for a time, and returns the load of each server.</param>
internal sealed class Side(string title, Phase phase, IReadOnlyList<Server> servers, Func<TimeSpan, Task<Load[]>> run)
{
    public string Title => title;

    public Phase Phase => phase;

    /// <summary>Gets the measurements, one a round.</summary>
    public List<Measurement> Measurements { get; } = [];

    /// <summary>Gets or sets the calls to Firestore per view; null if they were not counted.</summary>
    public double? CallsPerView { get; set; }

    /// <summary>Makes the load, and measures its servers meanwhile.</summary>
    public async Task<Measurement> MeasureAsync(TimeSpan time)
    {
        var before = GetProcessorTime();
        var loads = await run(time);
        var processorTime = GetProcessorTime() - before;
        var requests = loads.Sum(load => load.Requests);
        return new Measurement(
            requests,
            loads.Sum(load => load.PerSecond),
            loads.Max(load => load.P50),
            loads.Max(load => load.P99),
            loads.Max(load => load.Slowest),
            loads.Sum(load => load.Failures),
            processorTime.TotalMicroseconds / requests,
            servers.Sum(server => server.ResidentBytes) / 1e6,
            (double)loads.Min(load => load.Requests) * loads.Length / requests);
    }

    private TimeSpan GetProcessorTime() => TimeSpan.FromTicks(servers.Sum(server => server.ProcessorTime.Ticks));
}

/// <summary>What one round measured.</summary>
/// <param name="Requests">The number of requests.</param>
/// <param name="PerSecond">The requests per second, of all servers together.</param>
/// <param name="P50">The median of the response times in milliseconds, of the server where it is the longest.</param>
/// <param name="P99">The 99th percentile, likewise.</param>
/// <param name="Slowest">The longest response time in milliseconds.</param>
/// <param name="Failures">The number of requests without a 200.</param>
/// <param name="Processor">The user and system time of the servers per request in microseconds, without Firestore's emulator and
/// without wrk.</param>
/// <param name="Megabytes">The resident memory of the servers at the end of the round.</param>
/// <param name="LeastShare">The requests of the server with the fewest, divided by an equal share.</param>
internal sealed record Measurement(
    long Requests,
    double PerSecond,
    double P50,
    double P99,
    double Slowest,
    long Failures,
    double Processor,
    double Megabytes,
    double LeastShare)
{
    public override string ToString() => $"{PerSecond:#,0}/s, {Processor:0.0} µs/view, p99 {P99:0.0} ms, {Failures} failures";
}
