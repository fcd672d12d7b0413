using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;

namespace Greeter.Tests.Infrastructure;

/// <summary>Visitors who reload until they are stopped and keep what they were told: some alone with their session, some who
/// share one, and some who never bring a cookie. Each time they come to any of the app's instances.</summary>
internal sealed class Crowd : IDisposable
{
    private const int Loners = 6;
    private const int Sharers = 4;
    private const int Newcomers = 2;

    // An app that hangs is a test that fails.
    private readonly HttpClient client =
        new(new SocketsHttpHandler { UseCookies = false }) { Timeout = TimeSpan.FromSeconds(20) };
    private readonly CancellationTokenSource stopping = new();
    private readonly ConcurrentQueue<Answer> answers = [];
    private readonly Uri[] instances;
    private readonly List<Task> visitors = [];

    private Crowd(Uri[] instances) => this.instances = instances;

    /// <summary>What one visit got.</summary>
    /// <param name="Visitor">Who came.</param>
    /// <param name="Sent">The session that they brought.</param>
    /// <param name="Duration">How long it took.</param>
    /// <param name="Visit">The answer; null if the instance was gone before it had answered.</param>
    public sealed record Answer(int Visitor, string? Sent, TimeSpan Duration, Visit? Visit)
    {
        public bool IsView => Visit?.Status == HttpStatusCode.OK;
    }

    /// <summary>All answers so far, each visitor's in their order.</summary>
    public IReadOnlyCollection<Answer> Answers => answers;

    /// <summary>Gives everybody their session, lets them come as often as they can, and waits until all have come.</summary>
    public static async Task<Crowd> GatherAsync(params Uri[] instances)
    {
        var crowd = new Crowd(instances);
        var shared = await crowd.NewSessionAsync(0);
        for (var visitor = 0; visitor < Loners + Sharers + Newcomers; visitor++)
        {
            var (who, isNewcomer) = (visitor, visitor >= Loners + Sharers);
            var id = visitor < Loners ? await crowd.NewSessionAsync(who) : isNewcomer ? null : shared;
            crowd.visitors.Add(Task.Run(() => crowd.ReloadAsync(who, id)));
        }
        await crowd.UntilAllAreServedAsync(TimeSpan.FromSeconds(20));
        return crowd;
    }

    /// <summary>Waits until everybody has had a view that they asked for from now on.</summary>
    /// <returns>How long that took.</returns>
    public async Task<TimeSpan> UntilAllAreServedAsync(TimeSpan patience)
    {
        var started = Stopwatch.GetTimestamp();
        // The first answer from now on may be to a visit from before.
        var skipped = answers.Count + visitors.Count;
        while (answers.Skip(skipped).Where(answer => answer.IsView).DistinctBy(answer => answer.Visitor).Count() < visitors.Count)
        {
            if (visitors.Find(visitor => visitor.IsCompleted) is { } failed)
            {
                await failed;
            }
            if (Stopwatch.GetElapsedTime(started) > patience)
            {
                throw new TimeoutException($"The app did not recover in {patience.TotalSeconds} s.");
            }
            await Task.Delay(20);
        }
        return Stopwatch.GetElapsedTime(started);
    }

    public async Task StopAsync()
    {
        await stopping.CancelAsync();
        await Task.WhenAll(visitors);
    }

    /// <summary>One more visit.</summary>
    public async Task<Answer> VisitAsync(int visitor, string? id)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, instances[Random.Shared.Next(instances.Length)]);
        request.Headers.Add("Cookie", $"session_id={id}");
        var started = Stopwatch.GetTimestamp();
        Visit? visit = null;
        try
        {
            using var response = await client.SendAsync(request);
            visit = await Visit.ReadAsync(response);
        }
        catch (Exception e) when (e is HttpRequestException or System.Net.Sockets.SocketException)
        {
            // The instance was killed.
        }
        var answer = new Answer(visitor, id, Stopwatch.GetElapsedTime(started), visit);
        answers.Enqueue(answer);
        return answer;
    }

    public void Dispose()
    {
        stopping.Cancel();
        stopping.Dispose();
        client.Dispose();
    }

    // A store that has just been started may be too slow for the first ones.
    private async Task<string> NewSessionAsync(int visitor)
    {
        for (var tries = 0; tries < 20; tries++)
        {
            if (await VisitAsync(visitor, null) is { IsView: true } answer)
            {
                return answer.Visit!.Id!;
            }
        }
        throw new TimeoutException("Nobody gets a session.");
    }

    private async Task ReloadAsync(int visitor, string? id)
    {
        while (!stopping.IsCancellationRequested)
        {
            var answer = await VisitAsync(visitor, id);
            if (!answer.IsView || id is null)
            {
                await Task.Delay(20);
            }
        }
    }
}
