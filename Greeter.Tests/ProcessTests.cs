namespace Greeter.Tests;

/// <summary>The app as a process: sessions that outlive it, and several instances.</summary>
public class ProcessTests
{
    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Two_processes_on_one_embedded_store_count_concurrent_views_of_one_session_without_a_gap()
    {
        const int Views = 320;
        using var folder = new TemporaryFolder();
        await using var one = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        await using var other = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        var first = await one.VisitAsync();
        using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false });
        var visits = new ConcurrentBag<Visit>();

        await Parallel.ForAsync(0, Views, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
            visits.Add(await Visit.SendAsync(visitor, (i % 2 == 0 ? one : other).Address, first.Id)));

        visits.Should().OnlyContain(visit => visit.Id == first.Id && visit.Greeting == first.Greeting);
        visits.Select(visit => visit.Views).Order().Should().Equal(Enumerable.Range(2, Views).Select(view => (long)view));
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Edits_in_the_sqlite3_shell_count_at_once_in_every_process()
    {
        Tool.SkipTestIf(Tool.IsOnPath("sqlite3") || Repository.IsOnCI ? null : "SQLite's shell is missing: install sqlite3.");
        using var folder = new TemporaryFolder();
        await using var one = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        await using var other = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        var id = (await one.VisitAsync()).Id!;
        Task<string> RunAsync(string sql) => Command.RunAsync(folder.Path, "sqlite3", ["documents.db", $"{sql} WHERE name LIKE '%/{id}'"]);

        foreach (var (editor, reader) in new[] { (one, other), (other, one) })
        {
            (await reader.VisitAsync(id)).Status.Should().Be(HttpStatusCode.OK);
            await RunAsync(
                "UPDATE documents SET fields = json_set(fields, '$.views.integerValue', '41', '$.greeting.stringValue', 'Moin')");
            (await editor.VisitAsync(id)).Should().Match<Visit>(visit => visit.Views == 42 && visit.Greeting == "Moin");
            (await reader.VisitAsync(id)).Views.Should().Be(43);
        }
        await RunAsync("UPDATE documents SET fields = 'garbage'");
        (await one.VisitAsync(id)).Status.Should().Be(HttpStatusCode.ServiceUnavailable);
        await one.WaitForLineAsync($"{folder.Path}/documents.db has a document", TimeSpan.FromSeconds(30));
        await RunAsync("DELETE FROM documents");
        foreach (var app in new[] { one, other })
        {
            (await app.VisitAsync(id)).Should().Match<Visit>(visit => visit.Views == 1 && visit.Id != id);
        }
    }

    [Fact]
    public async Task App_starts_without_ICU()
    {
        using var folder = new TemporaryFolder();
        // The runtime looks for this version only, which doesn't exist.
        (string, string) icu = ("DOTNET_SYSTEM_GLOBALIZATION_APPLOCALICU", "1.1");

        await using var app = await GreeterProcess.StartAsync([.. await Documents.InDevelopmentAsync(folder), icu]);

        (await app.VisitAsync()).Views.Should().Be(1);
    }
}
