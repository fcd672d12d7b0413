using System.Collections.Concurrent;
using System.Net;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>The app on the embedded store, killed under load, or with an edited file.</summary>
[Trait("Category", "Slow")]
public class EmbeddedStoreProcessTests
{
    private const int Visitors = 16;

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task No_acknowledged_view_is_lost_when_the_app_is_killed()
    {
        using var folder = new TemporaryFolder();
        var acknowledged = new ConcurrentDictionary<int, (string Id, long Views)>();
        for (var round = 1; round <= 3; round++)
        {
            await using var app = await GreeterProcess.StartAsync(Documents.InFolder(folder));
            using var client = CreateClient(app);
            var hasEnoughViews = new TaskCompletionSource();
            var visitors = Enumerable.Range(0, Visitors).Select(async visitor =>
            {
                try
                {
                    while (true)
                    {
                        if (await ViewAsync(client, acknowledged, visitor) > 100 * round)
                        {
                            hasEnoughViews.TrySetResult();
                        }
                    }
                }
                catch (HttpRequestException)
                {
                    // The app was killed.
                }
            }).ToList();
            await hasEnoughViews.Task.WaitAsync(TimeSpan.FromSeconds(60));

            await app.KillAsync();

            await Task.WhenAll(visitors);
        }
        await using var last = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        using var lastClient = CreateClient(last);
        for (var visitor = 0; visitor < Visitors; visitor++)
        {
            await ViewAsync(lastClient, acknowledged, visitor);
        }
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Failure_after_the_file_was_edited_logs_advice_about_the_file()
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        await app.VisitAsync();
        foreach (var file in Directory.GetFiles(folder.Path).Where(file => Path.GetFileName(file) != "lock"))
        {
            await File.WriteAllTextAsync(file, "edited");
        }

        (await app.VisitAsync()).Status.Should().Be(HttpStatusCode.ServiceUnavailable);

        (await app.WaitForLineAsync(" ERR] ", TimeSpan.FromSeconds(30))).Should().Contain(folder.Path).And.Contain("restore or delete")
            .And.NotContain("quota");
    }

    private static HttpClient CreateClient(GreeterProcess app) =>
        new(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = app.Address };

    /// <summary>Views the page and checks the number: the next one, or the one after it if the last response was lost.</summary>
    private static async Task<long> ViewAsync(
        HttpClient client, ConcurrentDictionary<int, (string Id, long Views)> acknowledged, int visitor)
    {
        var (id, before) = acknowledged.GetValueOrDefault(visitor);
        var visit = await Visit.SendAsync(client, client.BaseAddress!, id);
        visit.Views.Should().BeInRange(before + 1, before + 2);
        acknowledged[visitor] = (visit.Id!, visit.Views);
        return visit.Views;
    }
}
