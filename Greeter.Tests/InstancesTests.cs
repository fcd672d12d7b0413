namespace Greeter.Tests;

/// <summary>Several instances that serve one session at the same time: each response counts.</summary>
[Collection(nameof(Alone)), Trait("Category", "Slow")]
public sealed class InstancesTests
{
    [Theory(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(2, 1), InlineData(2, 8), InlineData(4, 2)]
    public async Task Each_view_of_a_session_counts_once_on_any_instance(int instances, int clients)
    {
        const int Views = 400;
        var project = Emulator.NewProject();
        var apps = await Task.WhenAll(Enumerable.Range(0, instances).Select(
            _ => GreeterApp.StartAsync(Store.Emulator, ("GOOGLE_CLOUD_PROJECT", project))));
        var session = (await apps[0].VisitAsync()).Id;
        var counts = new ConcurrentBag<long>();

        await Task.WhenAll(Enumerable.Range(0, instances * clients).Select(client => Task.Run(async () =>
        {
            while (counts.Count < Views)
            {
                var visit = await apps[client % instances].VisitAsync(session);
                visit.Status.Should().Be(HttpStatusCode.OK);
                counts.Add(visit.Views);
            }
        })));

        counts.Should().OnlyHaveUniqueItems("no number is shown twice");
        counts.Max().Should().Be(counts.Count + 1, "no number is skipped");
        foreach (var app in apps)
        {
            await app.DisposeAsync();
        }
    }
}
