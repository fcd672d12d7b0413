using Greeter.Firestore;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Internal;

namespace Greeter.Firestore.Tests;

/// <summary>The builder chooses between Cloud Firestore and the emulator, and configures the calls.</summary>
public class FirestoreDbBuilderTests
{
    private const string Host = "127.0.0.1:8080";

    [Theory]
    [InlineData(EmulatorDetection.None, null, null)]
    [InlineData(EmulatorDetection.None, Host, null)]
    [InlineData(EmulatorDetection.ProductionOnly, null, null)]
    [InlineData(EmulatorDetection.EmulatorOnly, Host, Host)]
    [InlineData(EmulatorDetection.EmulatorOrProduction, null, null)]
    [InlineData(EmulatorDetection.EmulatorOrProduction, Host, Host)]
    public void Emulator_is_used_if_it_is_set_and_allowed(EmulatorDetection detection, string? host, string? expected) =>
        new FirestoreDbBuilder { EmulatorDetection = detection }.FindEmulator(host).Should().Be(expected);

    [Theory]
    [InlineData(EmulatorDetection.ProductionOnly, Host)]
    [InlineData(EmulatorDetection.EmulatorOnly, "")]
    [InlineData(EmulatorDetection.EmulatorOnly, null)]
    [InlineData(EmulatorDetection.EmulatorOnly, " ")]
    public void Environment_that_contradicts_the_emulator_detection_is_refused(EmulatorDetection detection, string? host)
    {
        var builder = new FirestoreDbBuilder { EmulatorDetection = detection };

        builder.Invoking(it => Connect(it, host)).Should().Throw<InvalidOperationException>()
            .WithMessage("*FIRESTORE_EMULATOR_HOST*");
    }

    [Theory]
    [InlineData("127.0.0.1:8080", "http://127.0.0.1:8080/")]
    [InlineData(" localhost:80 ", "http://localhost/")]
    [InlineData("emulator.example:65535", "http://emulator.example:65535/")]
    [InlineData("[::1]:8080", "http://[::1]:8080/")]
    [InlineData("::1:8080", "http://[::1]:8080/")]
    [InlineData("0:0:0:0:0:0:0:1:8080", "http://[::1]:8080/")]
    public async Task Emulator_host_is_parsed(string host, string address)
    {
        var call = await CallAsync(new FirestoreDbBuilder { EmulatorDetection = EmulatorDetection.EmulatorOnly }, host);

        call.RequestUri.Should().Be(new Uri($"{address}google.firestore.v1.Firestore/BatchGetDocuments"));
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData(":8080")]
    [InlineData("localhost:")]
    [InlineData("localhost:http")]
    [InlineData("localhost:-1")]
    [InlineData("localhost:+80")]
    [InlineData("localhost: 80")]
    [InlineData("localhost:65536")]
    [InlineData("localhost:8080/")]
    [InlineData("localhost/path:8080")]
    [InlineData("localhost?query:8080")]
    [InlineData("localhost#fragment:8080")]
    [InlineData("user@localhost:8080")]
    [InlineData("http://localhost:8080")]
    [InlineData("two hosts:8080")]
    [InlineData("[::1]")]
    public void Malformed_emulator_host_is_refused_with_a_hint(string host)
    {
        var builder = new FirestoreDbBuilder { EmulatorDetection = EmulatorDetection.EmulatorOrProduction };

        builder.Invoking(it => Connect(it, host)).Should().Throw<InvalidOperationException>()
            .WithMessage($"FIRESTORE_EMULATOR_HOST is '{host}'*host:port*");
    }

    [Theory]
    [InlineData("https://firestore.googleapis.com")]
    [InlineData("firestore.googleapis.com/v1")]
    [InlineData("user@firestore.googleapis.com")]
    [InlineData("two hosts")]
    [InlineData("firestore.googleapis.com:https")]
    public void Malformed_endpoint_is_refused_with_a_hint(string endpoint) =>
        new FirestoreDbBuilder { Endpoint = endpoint }.Invoking(builder => Connect(builder, null))
            .Should().Throw<InvalidOperationException>().WithMessage($"Endpoint is '{endpoint}'*firestore.googleapis.com*");

    [Fact]
    public async Task Calls_to_the_emulator_are_authorized_as_owner()
    {
        var call = await CallAsync(new() { EmulatorDetection = EmulatorDetection.EmulatorOnly, ProjectId = "p" });

        call.Headers.GetValues("Authorization").Should().Equal("Bearer owner");
        call.Headers.GetValues("grpc-timeout").Should().Equal("2000m");
        call.Headers.GetValues("x-goog-request-params").Should().Equal("database=projects%2Fp%2Fdatabases%2F%28default%29");
    }

    [Theory]
    [InlineData(null, null, "google-cloud-firestore-emulator", "(default)")]
    [InlineData("", " ", "google-cloud-firestore-emulator", "(default)")]
    [InlineData(" p ", "d", "p", "d")]
    public void Project_and_database_have_defaults(
        string? projectId, string? databaseId, string expectedProject, string expectedDatabase)
    {
        var builder = new FirestoreDbBuilder
        {
            EmulatorDetection = EmulatorDetection.EmulatorOnly,
            ProjectId = projectId,
            DatabaseId = databaseId,
        };

        using var connection = Connect(builder, Host);

        (connection.Database.ProjectId, connection.Database.DatabaseId).Should().Be((expectedProject, expectedDatabase));
        connection.Location.Should().Be($"the Firestore emulator at {Host}, project {expectedProject}");
    }

    [Fact]
    public async Task Databases_with_different_IDs_are_separate()
    {
        var host = (await Emulator.SharedAsync()).Host;
        FirestoreConnection Open(string? id) => Connect(
            new() { EmulatorDetection = EmulatorDetection.EmulatorOnly, ProjectId = "test-databases", DatabaseId = id }, host);
        using FirestoreConnection first = Open(null), second = Open("second");
        var reference = second.Database.Document("sessions/one");
        await reference.SetAsync(new Dictionary<string, object> { ["views"] = 1L });

        (await reference.GetSnapshotAsync()).Exists.Should().BeTrue();
        (await first.Database.Document("sessions/one").GetSnapshotAsync()).Exists.Should().BeFalse();
    }

    [Fact]
    public async Task Reference_to_another_project_can_be_read()
    {
        var host = (await Emulator.SharedAsync()).Host;
        FirestoreConnection Open(string project) =>
            Connect(new() { EmulatorDetection = EmulatorDetection.EmulatorOnly, ProjectId = project }, host);
        using FirestoreConnection here = Open("test-here"), there = Open("test-there");
        var target = there.Database.Document("sessions/one");
        await target.SetAsync(new Dictionary<string, object> { ["views"] = 7L });
        var source = here.Database.Document("links/one");
        await source.SetAsync(new Dictionary<string, object> { ["link"] = target });

        var link = (DocumentReference)(await source.GetSnapshotAsync()).ToDictionary()!["link"]!;

        link.Should().Be(target);
        (await link.GetSnapshotAsync()).ToDictionary().Should().Contain("views", 7L);
    }

    [Fact]
    public void Unknown_emulator_detection_is_refused() =>
        FluentActions.Invoking(() => new FirestoreDbBuilder { EmulatorDetection = (EmulatorDetection)4 })
            .Should().Throw<ArgumentException>();

    private static FirestoreConnection Connect(FirestoreDbBuilder builder, string? host)
    {
        var configuration = new ConfigurationBuilder()
            .AddInMemoryCollection([new("FIRESTORE_EMULATOR_HOST", host)])
            .Build();
        using var services = new ServiceCollection()
            .AddSingleton<IConfiguration>(configuration)
            .AddSingleton<IHostEnvironment>(new HostingEnvironment { EnvironmentName = "Production" })
            .BuildServiceProvider();
        return builder.Connect(services);
    }

    /// <summary>Reads a document and returns the request that was sent.</summary>
    private static async Task<HttpRequestMessage> CallAsync(FirestoreDbBuilder builder, string host = Host)
    {
        using var handler = new KeepingHandler();
        builder.Handler = handler;
        using var connection = Connect(builder, host);
        await connection.Database.Document("sessions/one").GetSnapshotAsync();
        return handler.Request!;
    }

    private sealed class KeepingHandler : HttpMessageHandler
    {
        public HttpRequestMessage? Request { get; private set; }

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Request = request;
            return Task.FromResult(Wire.Success(new BatchGetDocumentsResponse { Missing = "sessions/one", ReadTime = new() }));
        }
    }
}
