using System.Collections.Concurrent;
using System.Net;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>Several instances that serve one session at the same time: each response counts.</summary>
[Collection(nameof(Alone)), Trait("Category", "Slow")]
public sealed class InstancesTests(InstancesTests.FourInstances running) : IClassFixture<InstancesTests.FourInstances>
{
    [EmulatorTheory(Improvement.Contention)]
    [InlineData(2, 1)]
    [InlineData(2, 2)]
    [InlineData(2, 8)]
    [InlineData(4, 1)]
    [InlineData(4, 2)]
    [InlineData(4, 8)]
    public async Task Each_view_of_a_session_counts_once_on_any_instance(int instances, int clients)
    {
        const int Views = 400;
        var apps = running.Apps.Take(instances).ToList();
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

        counts.Order().Should().Equal(
            Enumerable.Range(2, counts.Count).Select(i => (long)i), "no number is missing or shown twice");
    }

    /// <summary>Four instances of the app on one database.</summary>
    public sealed class FourInstances : IAsyncLifetime
    {
        /// <summary>Gets the instances.</summary>
        public IReadOnlyList<GreeterApp> Apps { get; private set; } = [];

        /// <inheritdoc/>
        public async Task InitializeAsync()
        {
            if (Emulator.MissingReason is null)
            {
                var project = Emulator.NewProject();
                Apps = await Task.WhenAll(Enumerable.Range(0, 4).Select(
                    _ => GreeterApp.StartAsync(Store.Emulator, ("GOOGLE_CLOUD_PROJECT", project))));
            }
        }

        /// <inheritdoc/>
        public async Task DisposeAsync()
        {
            foreach (var app in Apps)
            {
                await app.DisposeAsync();
            }
        }
    }
}
