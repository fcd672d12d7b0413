using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>The app as a process: sessions that outlive it, several instances, and invalid settings.</summary>
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
            (await app.WaitForLineAsync("the embedded store, in", TimeSpan.FromSeconds(30))).Should().Contain(folder.Path);
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

    [Theory]
    [InlineData("PORT", "eighty", "PORT is 'eighty'")]
    [InlineData("PORT", "70000", "PORT is '70000'")]
    [InlineData("Session__Lifetime", "a month", "Session:Lifetime is 'a month'")]
    [InlineData("Session__Lifetime", "-1", "Session:Lifetime is '-1'")]
    [InlineData("Session__Lifetime", "500", "Session:Lifetime is '500'")]
    [InlineData("Request__Timeout", "0", "Request:Timeout is '0'")]
    [InlineData("Request__Budget", "00:00:05", "Request:Budget is now Request:Timeout")]
    [InlineData("Shutdown__Delay", "-00:00:01", "Shutdown:Delay is '-00:00:01'")]
    public Task Invalid_setting_stops_the_start_with_one_sentence(string name, string value, string sentence) =>
        StartShouldStopAsync(name, value, sentence);

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData("FIRESTORE_EMULATOR_HOST", "http://localhost:8080", "Set it to the emulator's host:port")]
    [InlineData("FIRESTORE_EMULATOR_HOST", "localhost", "Set it to the emulator's host:port")]
    [InlineData("Firestore__Endpoint", "https://firestore.googleapis.com", "Endpoint is 'https://firestore.googleapis.com'")]
    public Task Invalid_setting_of_the_client_stops_the_start_with_one_sentence(string name, string value, string sentence) =>
        StartShouldStopAsync(name, value, sentence);

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public Task Invalid_folder_of_the_embedded_store_stops_the_start_with_one_sentence() =>
        StartShouldStopAsync("Firestore__EmbeddedFolder", "/dev/null/x", "Firestore__EmbeddedFolder");

    [Fact]
    public async Task Address_that_is_not_a_URL_stops_the_start_with_one_sentence()
    {
        using var folder = new TemporaryFolder();

        var (exitCode, output) = await GreeterProcess.RunAsync(["--urls", "foo"], await Documents.InDevelopmentAsync(folder));

        exitCode.Should().Be(1);
        output.Split('\n').Where(line => line.Contains("Greeter can't start", StringComparison.Ordinal))
            .Should().ContainSingle().Which.Should().Contain("An address looks like http://localhost:8080.");
        output.Should().NotContain("   at ");
    }

    private static async Task StartShouldStopAsync(string name, string value, string sentence)
    {
        using var folder = new TemporaryFolder();

        var (exitCode, output) = await GreeterProcess.RunAsync(
            [], [("PORT", "0"), .. await Documents.InDevelopmentAsync(folder), (name, value)]);

        exitCode.Should().Be(1);
        output.Should().Contain(sentence).And.NotContain("   at ").And.NotContain("Unhandled");
        output.Split('\n').Should().ContainSingle();
    }

    [Fact]
    public async Task Port_in_use_stops_the_start_with_advice()
    {
        using var folder = new TemporaryFolder();
        using var listener = new TcpListener(IPAddress.Any, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);

        var (exitCode, output) = await GreeterProcess.RunAsync(
            [], [.. await Documents.InDevelopmentAsync(folder), ("PORT", port)]);

        exitCode.Should().Be(1);
        output.Should().Contain(port).And.Contain("address already in use").And.Contain("set PORT").And.NotContain("   at ");
    }

    [Theory]
    [InlineData("http://127.0.0.2:0", "0", "http://127.0.0.2:")]
    [InlineData("", "0", "http://[::]:")]
    [InlineData("", "", "http://127.0.0.3:")]
    public async Task Urls_argument_overrides_PORT_which_overrides_ASPNETCORE_URLS(string urls, string port, string expected)
    {
        using var folder = new TemporaryFolder();
        (string, string)[] environment =
            [.. await Documents.InDevelopmentAsync(folder), ("PORT", port), ("ASPNETCORE_URLS", "http://127.0.0.3:0")];

        await using var app = await GreeterProcess.StartAsync(urls.Length > 0 ? ["--urls", urls] : [], environment);

        app.Text.Should().Contain($"Now listening on: {expected}");
        (await app.VisitAsync()).Views.Should().Be(1);
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
