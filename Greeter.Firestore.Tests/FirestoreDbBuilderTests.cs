using Microsoft.Extensions.DependencyInjection;

namespace Greeter.Firestore.Tests;

/// <summary>The builder chooses between Cloud Firestore and the emulator, and configures the calls.</summary>
public class FirestoreDbBuilderTests
{
    private const string Host = "127.0.0.1:8080";

    [Theory]
    [InlineData(EmulatorDetection.None, null, null), InlineData(EmulatorDetection.None, Host, null)]
    [InlineData(EmulatorDetection.ProductionOnly, null, null), InlineData(EmulatorDetection.EmulatorOnly, Host, Host)]
    [InlineData(EmulatorDetection.EmulatorOrProduction, null, null)]
    [InlineData(EmulatorDetection.EmulatorOrProduction, Host, Host)]
    public void Emulator_is_used_if_it_is_set_and_allowed(EmulatorDetection detection, string? host, string? expected) =>
        new FirestoreDbBuilder { EmulatorDetection = detection }.FindEmulator(host).Should().Be(expected);

    [Theory]
    [InlineData(EmulatorDetection.ProductionOnly, Host), InlineData(EmulatorDetection.EmulatorOnly, "")]
    [InlineData(EmulatorDetection.EmulatorOnly, null), InlineData(EmulatorDetection.EmulatorOnly, " ")]
    public void Environment_that_contradicts_the_emulator_detection_is_refused(EmulatorDetection detection, string? host)
    {
        var builder = new FirestoreDbBuilder { EmulatorDetection = detection };

        builder.Invoking(it => it.Connect(host)).Should().Throw<InvalidOperationException>()
            .WithMessage("*FIRESTORE_EMULATOR_HOST*");
    }

    [Theory]
    [InlineData("127.0.0.1:8080", "http://127.0.0.1:8080/"), InlineData("localhost:80", "http://localhost/")]
    [InlineData("emulator.example:65535", "http://emulator.example:65535/"), InlineData("[::1]:8080", "http://[::1]:8080/")]
    [InlineData("::1:8080", "http://[::1]:8080/"), InlineData("0:0:0:0:0:0:0:1:8080", "http://[::1]:8080/")]
    public void Emulator_host_is_parsed(string host, string address) =>
        FirestoreDbBuilder.ParseEmulatorHost(host).Should().Be(new Uri(address));

    public static TheoryData<string> MalformedHosts =>
    [
        "localhost", ":8080", "localhost:", "localhost:http", "localhost:-1", "localhost:+80", "localhost: 80", "localhost:65536",
        "localhost:8080/", "localhost/path:8080", "localhost?query:8080", "localhost#fragment:8080", "user@localhost:8080",
        "http://localhost:8080", "two hosts:8080", "[::1]",
    ];

    [Theory, MemberData(nameof(MalformedHosts))]
    public void Malformed_emulator_host_is_refused_with_a_hint(string host)
    {
        var builder = new FirestoreDbBuilder { EmulatorDetection = EmulatorDetection.EmulatorOrProduction };

        builder.Invoking(it => it.Connect(host)).Should().Throw<InvalidOperationException>()
            .WithMessage("FIRESTORE_EMULATOR_HOST is invalid*host:port*");
    }

    [Theory]
    [InlineData("https://firestore.googleapis.com")]
    [InlineData("firestore.googleapis.com/v1"), InlineData("user@firestore.googleapis.com")]
    [InlineData("two hosts"), InlineData("firestore.googleapis.com:https")]
    public void Malformed_endpoint_is_refused_with_a_hint(string endpoint) =>
        new FirestoreDbBuilder { Endpoint = endpoint }.Invoking(builder => builder.Connect(null))
            .Should().Throw<InvalidOperationException>().WithMessage("Endpoint is invalid*firestore.googleapis.com*");

    [Theory]
    [InlineData(null, null, "google-cloud-firestore-emulator", "(default)")]
    [InlineData("", " ", "google-cloud-firestore-emulator", "(default)"), InlineData(" p ", "d", "p", "d")]
    public void Project_and_database_have_defaults(
        string? projectId, string? databaseId, string expectedProject, string expectedDatabase)
    {
        var target = Create(projectId, databaseId).Connect(Host);

        target.Api.Dispose();
        (target.ProjectId, target.DatabaseId).Should().Be((expectedProject, expectedDatabase));
    }

    [Theory, InlineData("projekt-ä", null), InlineData("two words", null), InlineData("p", "a/b"), InlineData("p", "データ")]
    public void ID_that_cannot_exist_is_refused(string projectId, string? databaseId)
    {
        Create(projectId, databaseId).Invoking(it => it.Connect(Host)).Should().Throw<InvalidOperationException>()
            .WithMessage(databaseId is null ? "ProjectId*" : "DatabaseId*");
    }

    [Fact]
    public async Task Databases_are_separate_and_a_reference_to_another_one_can_be_read()
    {
        using var api = await TestDatabase.ConnectToEmulatorAsync();
        FirestoreDb here = new("test-databases", "(default)", api), there = new("test-databases", "second", api);
        var (source, target) = (here.Document("links/one"), there.Document("sessions/one"));
        await target.SetAsync(new { views = 7 });
        await source.SetAsync(new { link = target });

        var link = (DocumentReference)(await source.GetSnapshotAsync()).ToDictionary()!["link"]!;

        link.Should().Be(target);
        (await link.ViewsAsync()).Should().Be(7);
        (await here.Document("sessions/one").GetSnapshotAsync()).Exists.Should().BeFalse();
    }

    [Fact]
    public void Unknown_emulator_detection_is_refused() =>
        FluentActions.Invoking(() => new FirestoreDbBuilder { EmulatorDetection = (EmulatorDetection)4 })
            .Should().Throw<ArgumentException>();

    [Fact]
    public async Task Connections_are_closed_with_the_services()
    {
        var services = new ServiceCollection().AddFirestoreDb(_ => ("p", "(default)", new GrpcFirestoreApi(
            new Uri($"http://{Host}"), null, TimeSpan.FromSeconds(2), new SocketsHttpHandler()))).BuildServiceProvider();
        var db = services.GetRequiredService<FirestoreDb>();

        await services.DisposeAsync();

        await db.Document("sessions/one").Awaiting(document => document.GetSnapshotAsync())
            .Should().ThrowAsync<ObjectDisposedException>().WaitAsync(TimeSpan.FromSeconds(10));
    }

    private static FirestoreDbBuilder Create(string? projectId, string? databaseId) =>
        new() { EmulatorDetection = EmulatorDetection.EmulatorOnly, ProjectId = projectId, DatabaseId = databaseId };
}
