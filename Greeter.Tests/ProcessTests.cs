using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>The app as a process: sessions that outlive it, and several instances.</summary>
public class ProcessTests
{
    private static readonly int Views = Repository.IsOnCI ? 2000 : 500;

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Embedded_sessions_survive_kill_9()
    {
        using var folder = new TemporaryFolder();
        string id;
        await using (var app = await GreeterProcess.StartAsync(Documents.InFolder(folder)))
        {
            (await app.WaitForLineAsync("the embedded store in", TimeSpan.FromSeconds(30))).Should().Contain(folder.Path);
            id = (await app.VisitAsync()).Id!;
            (await app.VisitAsync(id)).Views.Should().Be(2);
            await app.KillAsync();
        }

        await using var again = await GreeterProcess.StartAsync(Documents.InFolder(folder));

        (await again.VisitAsync(id)).Views.Should().Be(3);
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Second_process_on_the_same_folder_stops_with_advice()
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(Documents.InFolder(folder));

        var (exitCode, output) = await GreeterProcess.RunAsync([], [("PORT", "0"), .. Documents.InFolder(folder)]);

        exitCode.Should().Be(1);
        output.Should().Contain("being used by another process").And.Contain("Firestore__EmbeddedFolder")
            .And.Contain("FIRESTORE_EMULATOR_HOST").And.NotContain("   at ");
    }

    [Fact]
    public async Task Two_processes_on_one_emulator_share_sessions()
    {
        var project = Emulator.NewProject();
        var documents = await Documents.OnEmulatorAsync(project);
        await using var one = await GreeterProcess.StartAsync(documents);
        await using var other = await GreeterProcess.StartAsync(documents);

        var first = await one.VisitAsync();
        var later = new List<Visit>();
        foreach (var app in new[] { other, one, other })
        {
            later.Add(await app.VisitAsync(first.Id));
        }

        later.Select(visit => visit.Views).Should().Equal(2, 3, 4);
        later.Should().OnlyContain(visit => visit.Greeting == first.Greeting && visit.Id == first.Id);
        using var http = new HttpClient();
        var root = $"http://{(await Emulator.SharedAsync()).Host}/v1/projects/{project}/databases/(default)/documents";
        var document = await http.GetFromJsonAsync<JsonElement>($"{root}/sessions/{first.Id}");
        document.GetProperty("fields").EnumerateObject().Select(field => field.Name)
            .Should().BeEquivalentTo("greeting", "views", "expireAt");
    }

    [Fact(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [Trait("Category", "Slow")]
    public async Task Two_processes_on_one_emulator_count_concurrent_views_of_one_session_without_a_gap()
    {
        var documents = await Documents.OnEmulatorAsync();
        await using var one = await GreeterProcess.StartAsync(documents);
        await using var other = await GreeterProcess.StartAsync(documents);

        await ViewsShouldBeGaplessAsync([one, other]);
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [Trait("Category", "Slow")]
    public async Task One_process_on_the_embedded_store_counts_concurrent_views_of_one_session_without_a_gap()
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(Documents.InFolder(folder));

        await ViewsShouldBeGaplessAsync([app]);
    }

    private static async Task ViewsShouldBeGaplessAsync(GreeterProcess[] apps)
    {
        var id = (await apps[0].VisitAsync()).Id;
        using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false });
        var views = new ConcurrentBag<long>();

        await Parallel.ForAsync(0, Views, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
        {
            var visit = await Visit.SendAsync(visitor, apps[i % apps.Length].Address, id);
            visit.Status.Should().Be(HttpStatusCode.OK);
            views.Add(visit.Views);
        });

        views.Order().Should().Equal(Enumerable.Range(2, Views).Select(view => (long)view));
        (await apps[0].VisitAsync(id)).Views.Should().Be(Views + 2);
    }
}
