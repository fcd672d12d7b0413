using System.Net.Http.Json;

namespace Greeter.Tests;

/// <summary>Network faults and killed instances. A response is either correct or a 503 in time, an
/// acknowledged view is never lost, no number is shown twice, and the app recovers by itself.</summary>
[Trait("Category", "Slow")]
public sealed class FaultTests(ITestOutputHelper output)
{
    private const int Groups = 3;
    private static readonly int Rounds = Repository.IsOnCI ? 3 : 1;

    private static readonly TimeSpan TimeToRecover = TimeSpan.FromSeconds(10);

    private static readonly Dictionary<string, Fault> Faults = new()
    {
        ["cut in the middle of a frame"] = new(FaultKind.Cut, Within: 2000),
        ["reset in the middle of a frame"] = new(FaultKind.Reset, Within: 2000),
        ["cut before it is open"] = new(FaultKind.Cut, Within: 50),
        ["slow"] = new() { Delay = TimeSpan.FromMilliseconds(100) },
        ["slower than the request timeout"] = new() { Delay = Crowd.RequestTimeout * 2 },
        ["half-closed by Firestore"] = new(FaultKind.HalfClose, Direction.Down, Within: 2000),
        ["half-closed by the app"] = new(FaultKind.HalfClose, Direction.Up, Within: 2000),
        ["answers swallowed for good"] = new(FaultKind.Swallow, Direction.Down, Within: 2000),
        ["requests swallowed for good"] = new(FaultKind.Swallow, Direction.Up, Within: 2000),
        ["garbage instead of an answer"] = new(FaultKind.Garbage, Direction.Down, Within: 2000),
        ["garbage instead of HTTP/2"] = new(FaultKind.Garbage, Direction.Down),
        ["garbage instead of a request"] = new(FaultKind.Garbage, Direction.Up, Within: 2000),
    };

    [Fact(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public Task Network_fault_causes_no_wrong_or_late_response_and_loses_no_view() =>
        // An app mostly waits for timeouts, so several apps run at the same time and share the faults.
        Task.WhenAll(Faults.Chunk((Faults.Count + Groups - 1) / Groups).Select(ShouldRecoverFromAsync));

    [Fact(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task View_whose_acknowledgment_is_cut_off_counts_and_its_number_is_never_shown_again()
    {
        var (answers, stored) = await ShouldRecoverFromAsync(
            KeyValuePair.Create("answers cut off", new Fault(FaultKind.Cut, Direction.Down, Within: 1000)));

        stored.Values.Sum(session => session.Views).Should().BeGreaterThan(
            answers.Count(answer => answer.IsView), "the fault must have hit such a view");
    }

    [Fact(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Killed_instance_loses_no_view_and_the_other_continues()
    {
        var project = Emulator.NewProject();
        var emulator = await Emulator.SharedAsync();
        await using var one = await StartAsync(emulator.Host, project);
        await using var other = await StartAsync(emulator.Host, project);
        using var crowd = await Crowd.GatherAsync(one.Address, other.Address);

        await one.KillAsync();
        await crowd.UntilAllAreServedAsync(TimeToRecover);
        await crowd.StopAsync();

        crowd.Answers.Should().Contain(answer => answer.Visit == null, "the kill must have hit a visitor");
        var stored = await ReadSessionsAsync(project);
        AnswersShouldBeRight(crowd.Answers.Where(answer => answer.Visit != null));
        AnswersShouldBeInTime(crowd);
        NothingShouldBeLost(crowd.Answers, stored);
        await EverySessionShouldContinueAsync(other.Address, stored);
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Killed_app_on_the_embedded_store_loses_no_view()
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        using var crowd = await Crowd.GatherAsync(app.Address);

        await crowd.UntilAllAreAnsweredAsync(() => crowd.Answers.Count > 1000, TimeToRecover * 3);
        await app.KillAsync();
        await crowd.StopAsync();

        await using var restarted = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        foreach (var session in crowd.Answers.Where(answer => answer.IsView).GroupBy(view => view.Visit!.Id))
        {
            var (views, visit) = (session.Max(view => view.Visit!.Views), await restarted.VisitAsync(session.Key));
            var unanswered = crowd.Answers.Count(answer => answer.Visit is null && answer.Sent == session.Key);
            (visit.Id, visit.Greeting).Should().Be((session.Key, session.First().Visit!.Greeting));
            visit.Views.Should().BeInRange(views + 1, views + 1 + unanswered);
        }
    }

    private async Task<(IReadOnlyCollection<Crowd.Answer> Answers, Dictionary<string, Session> Stored)> ShouldRecoverFromAsync(
        params KeyValuePair<string, Fault>[] faults)
    {
        var (seed, project) = (Random.Shared.Next(), Emulator.NewProject());
        output.WriteLine($"Seed {seed}: {string.Join(", ", faults.Select(fault => fault.Key))}");
        using var relay = new Relay((await Emulator.SharedAsync()).Host, seed);
        await using var app = await StartAsync(relay.Host, project);
        using var crowd = await Crowd.GatherAsync(app.Address);
        foreach (var (name, fault) in Enumerable.Repeat(faults, Rounds).SelectMany(all => all))
        {
            await ShouldRecoverAsync(crowd, relay, name, fault);
        }
        await crowd.StopAsync();
        output.WriteLine($"Seed {seed}: {crowd.LateAnswers.Count()} of {crowd.Answers.Count} responses late");

        var stored = await ReadSessionsAsync(project);
        AnswersShouldBeRight(crowd.Answers);
        AnswersShouldBeInTime(crowd);
        NothingShouldBeLost(crowd.Answers, stored);
        LogShouldHaveNoOtherErrorsAndNoSessionIds(app, crowd.Answers, stored.Keys);
        await EverySessionShouldContinueAsync(app.Address, stored);
        return (crowd.Answers, stored);
    }

    private async Task ShouldRecoverAsync(Crowd crowd, Relay relay, string name, Fault fault)
    {
        var (before, hits) = (crowd.Answers.Count, relay.Hits);
        relay.Inject(fault);
        await crowd.UntilAllAreAnsweredAsync(() => relay.Hits > hits, TimeToRecover);
        var during = crowd.Answers.Skip(before).ToList();
        relay.Clear();
        var recovery = await crowd.UntilAllAreServedAsync(TimeToRecover);

        output.WriteLine($"{name}: {during.Count(answer => answer.IsView)} views and {during.Count(answer => !answer.IsView)} "
            + $"failures, {relay.Hits - hits} hits, all served again after {recovery.TotalSeconds:0.00} s");
        relay.Hits.Should().BeGreaterThan(hits, "the fault must have hit a connection");
    }

    private static void AnswersShouldBeRight(IEnumerable<Crowd.Answer> answers)
    {
        answers.Where(answer => !answer.IsView && answer.Visit?.Status != HttpStatusCode.ServiceUnavailable).Should().BeEmpty();
        var views = answers.Where(answer => answer.IsView).ToList();
        views.Where(view => view.Sent is not null && view.Visit!.Id != view.Sent).Should().BeEmpty("a session keeps its ID");
        foreach (var session in views.GroupBy(view => view.Visit!.Id))
        {
            session.Select(view => view.Visit!.Greeting).Distinct().Should().ContainSingle();
            session.Select(view => view.Visit!.Views).Should().OnlyHaveUniqueItems();
        }
        foreach (var visitor in views.GroupBy(view => (view.Visitor, view.Visit!.Id)))
        {
            visitor.Select(view => view.Visit!.Views).Should().BeInAscendingOrder();
        }
    }

    // Besides, the crowd has waited until each visitor had a response in time during each fault and after it.
    private static void AnswersShouldBeInTime(Crowd crowd) => crowd.LateAnswers
        .GroupBy(answer => answer.Visitor).Where(late => late.Count() > 1)
        .Should().BeEmpty("a stall of the machine makes one response of each visitor late");

    private static void NothingShouldBeLost(IEnumerable<Crowd.Answer> answers, Dictionary<string, Session> stored)
    {
        foreach (var session in answers.Where(answer => answer.IsView).GroupBy(view => view.Visit!.Id!))
        {
            stored.Should().ContainKey(session.Key);
            stored[session.Key].Views.Should().BeGreaterThanOrEqualTo(session.Max(view => view.Visit!.Views));
            stored[session.Key].Greeting.Should().Be(session.First().Visit!.Greeting);
        }
    }

    private static void LogShouldHaveNoOtherErrorsAndNoSessionIds(
        GreeterProcess app, IReadOnlyCollection<Crowd.Answer> answers, IEnumerable<string> ids)
    {
        app.Output.Count(line => line.Contains("\"severity\":\"ERROR\"", StringComparison.Ordinal))
            .Should().BeLessThanOrEqualTo(answers.Count(answer => !answer.IsView));
        ids.Where(id => app.Text.Contains(id, StringComparison.Ordinal))
            .Should().BeEmpty("a session ID is like a password");
    }

    private static async Task EverySessionShouldContinueAsync(Uri app, Dictionary<string, Session> stored)
    {
        using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false });
        foreach (var (id, session) in stored)
        {
            var (visit, visits) = (await Visit.SendAsync(visitor, app, id), 1);
            // On a busy machine, a view may take longer than the request timeout. It can still count.
            for (; visit.Status == HttpStatusCode.ServiceUnavailable && visits < 5; visits++)
            {
                visit = await Visit.SendAsync(visitor, app, id);
            }
            (visit.Id, visit.Greeting).Should().Be((id, session.Greeting));
            visit.Views.Should().BeInRange(session.Views + 1, session.Views + visits);
        }
    }

    private sealed record Session(string Greeting, long Views);

    // Reads the emulator directly. Throws an exception if a document is not a complete session.
    private static async Task<Dictionary<string, Session>> ReadSessionsAsync(string project)
    {
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Add("Authorization", "Bearer owner");
        var documents = $"http://{(await Emulator.SharedAsync()).Host}/v1/projects/{project}/databases/(default)/documents";
        var query = new { structuredQuery = new { from = new[] { new { collectionId = "sessions" } } } };
        using var response = await http.PostAsJsonAsync($"{documents}:runQuery", query);
        var sessions = new Dictionary<string, Session>();
        foreach (var result in (await response.Content.ReadFromJsonAsync<JsonElement>()).EnumerateArray())
        {
            var document = result.GetProperty("document");
            var fields = document.GetProperty("fields");
            fields.EnumerateObject().Select(field => field.Name).Should().BeEquivalentTo("greeting", "views", "expireAt");
            fields.GetProperty("expireAt").GetProperty("timestampValue").GetDateTime().Should().BeAfter(DateTime.UtcNow);
            sessions[document.GetProperty("name").GetString()!.Split('/')[^1]] = new Session(
                fields.GetProperty("greeting").GetProperty("stringValue").GetString()!,
                long.Parse(fields.GetProperty("views").GetProperty("integerValue").GetString()!, CultureInfo.InvariantCulture));
        }
        return sessions;
    }

    private static Task<GreeterProcess> StartAsync(string host, string project) => GreeterProcess.StartAsync(
        ("FIRESTORE_EMULATOR_HOST", host), ("GOOGLE_CLOUD_PROJECT", project), ("Request__Timeout", Crowd.RequestTimeout.ToString()));
}
