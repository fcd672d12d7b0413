using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace Greeter.Bench;

/// <summary>What came of a number of requests. Times are in milliseconds.</summary>
internal sealed record Load(long Requests, double PerSecond, double P50, double P99, long Failures)
{
    private static readonly HttpClient Visitor = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });

    /// <summary>What came of requests that were made here, corrected as wrk's are.</summary>
    /// <param name="latencies">Of each.</param>
    /// <param name="connections">How many were made at once.</param>
    /// <param name="time">How long it took.</param>
    /// <param name="failures">How many of them failed.</param>
    public static Load From(IReadOnlyCollection<double> latencies, int connections, TimeSpan time, long failures)
    {
        var interval = time.TotalMilliseconds * connections / latencies.Count;
        var corrected = latencies.SelectMany(latency => Correct(latency, interval)).Order().ToArray();
        double Percentile(int percent) => corrected.Length == 0 ? 0 : corrected[(corrected.Length - 1) * percent / 100];
        return new Load(latencies.Count, latencies.Count / time.TotalSeconds, Percentile(50), Percentile(99), failures);
    }

    /// <summary>Requests for a time, by wrk. Its percentiles are corrected for what it could not send while it waited.</summary>
    /// <param name="url">Where to.</param>
    /// <param name="connections">How many at once, in two threads if there are several.</param>
    /// <param name="time">Whole seconds.</param>
    /// <param name="idsFile">The sessions, one id a line; null for first visits.</param>
    public static async Task<Load> WrkAsync(Uri url, int connections, TimeSpan time, string? idsFile)
    {
        var threads = connections == 1 ? 1 : 2;
        var script = Path.Combine(Repository.Root, "bench", "load.lua");
        string[] ids = idsFile is null ? [] : [idsFile];
        var output = await Child.RunAsync(
            "wrk", ["wrk", $"-t{threads}", $"-c{connections}", $"-d{time.TotalSeconds}s", "-s", script, $"{url}", "--", .. ids]);
        var line = output.FirstOrDefault(line => line.StartsWith("result ", StringComparison.Ordinal))
            ?? throw new BenchException($"wrk gave no result:\n{string.Join('\n', output)}");
        var numbers = line.Split(' ')[1..].Select(number => long.Parse(number, CultureInfo.InvariantCulture)).ToArray();
        return new Load(numbers[0], numbers[0] * 1e6 / numbers[1], numbers[2] / 1e3, numbers[3] / 1e3, numbers[4]);
    }

    /// <summary>A number of requests, no more and no less.</summary>
    /// <param name="count">How many.</param>
    /// <param name="connections">How many at once.</param>
    /// <param name="url">Where the n-th goes.</param>
    /// <param name="id">The n-th's session; null for a first visit.</param>
    /// <returns>And the session ids in the answers.</returns>
    public static async Task<(Load Load, string[] Ids)> ExactlyAsync(
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
                ids[n] = await ViewAsync(url(n), id(n)) ?? "";
                latencies[n] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
                Interlocked.Add(ref failures, ids[n].Length == 0 ? 1 : 0);
            }
        })));
        return (From(latencies, connections, clock.Elapsed, failures), ids);
    }

    // What would have been sent while one request waited would have waited too, each for one interval less.
    private static IEnumerable<double> Correct(double latency, double interval)
    {
        yield return latency;
        for (var missed = latency - interval; missed > interval; missed -= interval)
        {
            yield return missed;
        }
    }

    private static async Task<string?> ViewAsync(Uri url, string? id)
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
