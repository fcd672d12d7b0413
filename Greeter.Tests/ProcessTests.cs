using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>The app as a process: sessions that outlive it, and several instances.</summary>
public class ProcessTests
{
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
