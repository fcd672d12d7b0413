using Greeter.Firestore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Greeter.Firestore.Tests;

/// <summary><c>AddFirestoreDb</c> opens a database for an app and closes it with the app.</summary>
public sealed class ServiceCollectionExtensionsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly CapturingLoggerProvider log = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Embedded_folder_can_be_opened_again_after_the_app_has_ended()
    {
        for (var run = 0; run < 2; run++)
        {
            using var app = CreateApp("Development");
            var document = app.Services.GetRequiredService<FirestoreDb>().Document("runs/one");

            (await document.GetSnapshotAsync()).Exists.Should().Be(run > 0);

            await document.SetAsync(new Dictionary<string, object> { ["run"] = run });
        }
    }

    [Fact]
    public void Embedded_folder_cannot_be_opened_twice_at_the_same_time()
    {
        using var first = CreateApp("Development");
        using var second = CreateApp("Development");
        first.Services.GetRequiredService<FirestoreDb>();

        second.Invoking(app => app.Services.GetRequiredService<FirestoreDb>()).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public async Task Place_of_the_documents_is_logged_once()
    {
        using var app = CreateApp("Development");
        app.Services.GetRequiredService<FirestoreDb>();
        log.Texts(LogLevel.Information).Should().BeEmpty("no call has been made");

        (await CallAndReadLogAsync(app)).Should().ContainSingle()
            .Which.Should().StartWith($"Documents are in the embedded store, in {folder.Path}");
    }

    [Theory]
    [InlineData("Development", "p", "p")]
    [InlineData("Production", null, "google-cloud-firestore-emulator")]
    public async Task Emulator_takes_precedence_over_the_embedded_store(string environment, string? project, string expectedProject)
    {
        using var app = CreateApp(environment, "127.0.0.1:1", builder => builder.ProjectId = project);

        (await CallAndReadLogAsync(app)).Should().Equal(
            $"Documents are in the Firestore emulator at 127.0.0.1:1, project {expectedProject}");
    }

    [Theory]
    [InlineData(null, "two hosts")]
    [InlineData("p", "two hosts")]
    public void Cloud_Firestore_is_used_in_Development_if_an_endpoint_is_set(string? project, string endpoint)
    {
        using var app = CreateApp("Development", configure: builder => (builder.ProjectId, builder.Endpoint) = (project, endpoint));

        app.Services.Invoking(services => services.GetRequiredService<FirestoreDb>())
            .Should().Throw<InvalidOperationException>().WithMessage($"Endpoint is '{endpoint}'*");
    }

    private async Task<IEnumerable<string>> CallAndReadLogAsync(IHost app)
    {
        var document = app.Services.GetRequiredService<FirestoreDb>().Document("runs/one");
        for (var call = 0; call < 2; call++)
        {
            try
            {
                await document.DeleteAsync();
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable)
            {
                // Nothing listens there.
            }
        }
        return log.Texts(LogLevel.Information).Where(text => text.StartsWith("Documents", StringComparison.Ordinal));
    }

    private IHost CreateApp(string environment, string? emulatorHost = null, Action<FirestoreDbBuilder>? configure = null)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new() { EnvironmentName = environment });
        builder.Configuration["Firestore:EmbeddedFolder"] = folder.Path;
        builder.Configuration["FIRESTORE_EMULATOR_HOST"] = emulatorHost;
        builder.Logging.AddProvider(log);
        builder.Services.AddFirestoreDb(firestore =>
        {
            firestore.EmulatorDetection = EmulatorDetection.EmulatorOrProduction;
            configure?.Invoke(firestore);
        });
        return builder.Build();
    }
}
