namespace Greeter.Tests.Infrastructure;

/// <summary>Visitors who reload until they are stopped, each time from any of the app's instances, with a longer pause after a
/// failure. Some have a session of their own, some share one, and some never send a cookie.</summary>
internal sealed class Crowd : IDisposable
{
    private const int Loners = 6;
    private const int Sharers = 4;
    private const int Newcomers = 2;

    // An app that hangs fails the test.
    private readonly HttpClient client =
        new(new SocketsHttpHandler { UseCookies = false }) { Timeout = TimeSpan.FromSeconds(20) };
    private readonly CancellationTokenSource stopping = new();
    private readonly ConcurrentQueue<Answer> answers = [];
    private readonly Uri[] instances;
    private readonly List<Task> visitors = [];
    private long gathered;

    private Crowd(Uri[] instances) => this.instances = instances;

    /// <summary>Gets the request timeout that the instances must have.</summary>
    public static TimeSpan RequestTimeout { get; } = TimeSpan.FromSeconds(1);

    /// <summary>The result of one visit.</summary>
    /// <param name="Visitor">The number of the visitor.</param>
    /// <param name="Sent">The session ID in the cookie, or null.</param>
    /// <param name="Started">The timestamp before the request.</param>
    /// <param name="Duration">The time until the response.</param>
    /// <param name="Visit">The response, or null if the instance ended before it responded.</param>
    public sealed record Answer(int Visitor, string? Sent, long Started, TimeSpan Duration, Visit? Visit)
    {
        public bool IsView => Visit?.Status == HttpStatusCode.OK;

        public bool IsInTime => Duration < RequestTimeout + TimeSpan.FromSeconds(1);
    }

    /// <summary>Gets the results so far, in order for each visitor.</summary>
    public IReadOnlyCollection<Answer> Answers => answers;

    /// <summary>Gets the late results since all visitors have been served once.</summary>
    public IEnumerable<Answer> LateAnswers => answers.Where(answer => answer.Started > gathered && !answer.IsInTime);

    /// <summary>Creates the sessions, starts all visitors, and waits until each has been served.</summary>
    public static async Task<Crowd> GatherAsync(params Uri[] instances)
    {
        var crowd = new Crowd(instances);
        var shared = await crowd.NewSessionAsync(0);
        for (var visitor = 0; visitor < Loners + Sharers + Newcomers; visitor++)
        {
            var (number, isNewcomer) = (visitor, visitor >= Loners + Sharers);
            var id = visitor < Loners ? await crowd.NewSessionAsync(number) : isNewcomer ? null : shared;
            crowd.visitors.Add(Task.Run(() => crowd.ReloadAsync(number, id)));
        }
        await crowd.UntilAllAreServedAsync(TimeSpan.FromSeconds(20));
        crowd.gathered = Stopwatch.GetTimestamp();
        return crowd;
    }

    /// <summary>Waits until every visitor has been served in time by a request from now on.</summary>
    /// <returns>The time that it took.</returns>
    public Task<TimeSpan> UntilAllAreServedAsync(TimeSpan patience) =>
        UntilAllHaveAsync(answer => answer.IsView, () => true, patience);

    /// <summary>Waits until every visitor has had any response in time to a request from now on, and a condition holds.</summary>
    public Task UntilAllAreAnsweredAsync(Func<bool> condition, TimeSpan patience) =>
        UntilAllHaveAsync(_ => true, condition, patience);

    private async Task<TimeSpan> UntilAllHaveAsync(Func<Answer, bool> counts, Func<bool> condition, TimeSpan patience)
    {
        var started = Stopwatch.GetTimestamp();
        // A late response isn't a failure, because the machine may be busy. But then the visitor's next one must be in time.
        while (!condition() || visitors.Count > answers
            .Where(answer => answer.Started > started && answer.IsInTime && counts(answer)).DistinctBy(answer => answer.Visitor).Count())
        {
            if (visitors.Find(visitor => visitor.IsCompleted) is { } failed)
            {
                await failed;
            }
            if (Stopwatch.GetElapsedTime(started) > patience)
            {
                throw new TimeoutException($"Not every visitor had the expected response in time within {patience.TotalSeconds} s.");
            }
            await Task.Delay(20);
        }
        return Stopwatch.GetElapsedTime(started);
    }

    /// <summary>Stops the visitors after their last responses.</summary>
    public async Task StopAsync()
    {
        await stopping.CancelAsync();
        await Task.WhenAll(visitors);
    }

    public void Dispose()
    {
        stopping.Cancel();
        stopping.Dispose();
        client.Dispose();
    }

    private async Task<Answer> VisitAsync(int visitor, string? id)
    {
        var instance = instances[Random.Shared.Next(instances.Length)];
        var started = Stopwatch.GetTimestamp();
        Visit? visit = null;
        try
        {
            visit = await Visit.SendAsync(client, instance, id);
        }
        catch (Exception e) when (e is HttpRequestException or System.Net.Sockets.SocketException)
        {
            // The instance was killed.
        }
        var answer = new Answer(visitor, id, started, Stopwatch.GetElapsedTime(started), visit);
        answers.Enqueue(answer);
        return answer;
    }

    // An emulator that has just started may be too slow for the first requests.
    private async Task<string> NewSessionAsync(int visitor)
    {
        for (var tries = 0; tries < 20; tries++)
        {
            if (await VisitAsync(visitor, null) is { IsView: true } answer)
            {
                return answer.Visit!.Id!;
            }
        }
        throw new TimeoutException("The app creates no session.");
    }

    private async Task ReloadAsync(int visitor, string? id)
    {
        while (!stopping.IsCancellationRequested)
        {
            var answer = await VisitAsync(visitor, id);
            await Task.Delay(answer.IsView ? 10 : 50);
        }
    }
}
