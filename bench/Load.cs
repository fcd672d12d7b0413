using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace Greeter.Bench;

/// <summary>The responses to a number of requests. Times are in milliseconds.</summary>
/// <param name="Requests">The number of requests.</param>
/// <param name="PerSecond">The requests per second.</param>
/// <param name="P50">The median of the response times.</param>
/// <param name="P99">The 99th percentile of the response times.</param>
/// <param name="Failures">The number of requests without a 200.</param>
/// <param name="Slowest">The longest response time.</param>
internal sealed record Load(long Requests, double PerSecond, double P50, double P99, long Failures, double Slowest)
{
    // Longer than the app's request timeout.
    private const string WrkTimeout = "10s";

    private static readonly HttpClient Visitor = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });

    /// <summary>Returns the load of requests that this process made, with percentiles corrected as wrk does it.</summary>
    /// <param name="latencies">The response time of each request.</param>
    /// <param name="connections">The number of requests at once.</param>
    /// <param name="time">The duration.</param>
    /// <param name="failures">The number of failures.</param>
    public static Load From(IReadOnlyCollection<double> latencies, int connections, TimeSpan time, long failures)
    {
        var interval = time.TotalMilliseconds * connections / latencies.Count;
        var corrected = latencies.SelectMany(latency => Correct(latency, interval)).Order().ToArray();
        double Percentile(int percent) => corrected.Length == 0 ? 0 : corrected[(corrected.Length - 1) * percent / 100];
        return new Load(
            latencies.Count, latencies.Count / time.TotalSeconds, Percentile(50), Percentile(99), failures, Percentile(100));
    }

    /// <summary>Makes as many requests as it can with wrk, which corrects its percentiles for the requests that it could not
    /// send while it waited for a response.</summary>
    /// <param name="url">The server.</param>
    /// <param name="connections">The number of requests at once.</param>
    /// <param name="threads">The number of wrk's threads.</param>
    /// <param name="time">The duration, in whole seconds.</param>
    /// <param name="idsFile">A file with one session ID a line, of which each request draws one; null for first visits.</param>
    public static async Task<Load> WrkAsync(Uri url, int connections, int threads, TimeSpan time, string? idsFile)
    {
        string[] load = [$"-t{threads}", $"-c{connections}", $"-d{time.TotalSeconds}s", "--timeout", WrkTimeout];
        string[] script = ["-s", Path.Combine(Repository.Root, "bench", "load.lua")];
        string[] ids = idsFile is null ? [] : ["--", idsFile, $"{Random.Shared.Next()}"];
        var output = await Command.RunAsync("", "wrk", [.. load, .. script, $"{url}", .. ids]);
        var line = output.Split('\n').FirstOrDefault(line => line.StartsWith("result ", StringComparison.Ordinal))
            ?? throw new InvalidOperationException($"wrk gave no result:\n{output}");
        var numbers = line.Split(' ')[1..].Select(number => long.Parse(number, CultureInfo.InvariantCulture)).ToArray();
        return new Load(
            numbers[0], numbers[0] * 1e6 / numbers[1], numbers[2] / 1e3, numbers[3] / 1e3, numbers[4], numbers[5] / 1e3);
    }

    /// <summary>Makes a number of visits.</summary>
    /// <param name="count">How many.</param>
    /// <param name="connections">How many at once.</param>
    /// <param name="url">The server of the n-th visit.</param>
    /// <param name="id">The session of the n-th visit; null for a first visit.</param>
    /// <returns>The load, and the session ID of each response; empty for a failure.</returns>
    public static async Task<(Load Load, string[] Ids)> VisitAsync(
        int count, int connections, Func<int, Uri> url, Func<int, string?> id)
    {
        var latencies = new double[count];
        var ids = new string[count];
        var (next, failures) = (-1, 0);
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(async () =>
        {
            while (Interlocked.Increment(ref next) is var n && n < count)
            {
                var began = Stopwatch.GetTimestamp();
                ids[n] = await VisitAsync(url(n), id(n)) ?? "";
                latencies[n] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
                Interlocked.Add(ref failures, ids[n].Length == 0 ? 1 : 0);
            }
        })));
        return (From(latencies, connections, clock.Elapsed, failures), ids);
    }

    /// <summary>Makes a number of first visits.</summary>
    /// <returns>The session IDs.</returns>
    /// <exception cref="InvalidOperationException">A visit failed.</exception>
    public static async Task<string[]> CreateSessionsAsync(int count, Uri url)
    {
        var (load, ids) = await VisitAsync(count, Scenario.DefaultConnections, _ => url, _ => null);
        return load.Failures == 0
            ? ids
            : throw new InvalidOperationException($"{load.Failures} of {count} first visits to {url} got no 200 with a session.");
    }

    // Requests that would have been sent while one waited would have waited too, each one interval less.
    private static IEnumerable<double> Correct(double latency, double interval)
    {
        yield return latency;
        for (var missed = latency - interval; missed > interval; missed -= interval)
        {
            yield return missed;
        }
    }

    private static async Task<string?> VisitAsync(Uri url, string? id)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, url);
        if (id is not null)
        {
            request.Headers.Add("Cookie", $"session_id={id}");
        }
        try
        {
            using var response = await Visitor.SendAsync(request);
            return response.StatusCode == HttpStatusCode.OK && response.Headers.TryGetValues("Set-Cookie", out var cookies)
                ? cookies.First(cookie => cookie.StartsWith("session_id=", StringComparison.Ordinal)).Split('=', ';')[1]
                : null;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }
}
