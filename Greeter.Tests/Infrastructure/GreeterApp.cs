using Greeter.Firestore;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Greeter.Tests.Infrastructure;

/// <summary>The app in this process: its Program.cs, on Kestrel, with a store of its own.</summary>
public sealed class GreeterApp : WebApplicationFactory<Program>
{
    private readonly TemporaryFolder folder = new();
    private readonly Dictionary<string, string> settings;

    private GreeterApp(Dictionary<string, string> settings)
    {
        this.settings = settings;
        UseKestrel();
    }

    /// <summary>Its address, which ends with a slash.</summary>
    public Uri Address => ClientOptions.BaseAddress;

    /// <summary>The app's own database.</summary>
    public FirestoreDb Db => Services.GetRequiredService<FirestoreDb>();

    /// <summary>What it logged of Information and above.</summary>
    public CapturingLoggerProvider Log { get; } = new();

    public static async Task<GreeterApp> StartAsync(Store store, params (string Key, string Value)[] more)
    {
        var settings = new Dictionary<string, string>
        {
            ["urls"] = "http://127.0.0.1:0",
            ["FIRESTORE_EMULATOR_HOST"] = store == Store.Emulator ? (await Emulator.SharedAsync()).Host : "",
            ["GOOGLE_CLOUD_PROJECT"] = store == Store.Emulator ? $"test-{Guid.NewGuid():N}"[..30] : "",
        };
        foreach (var (key, value) in more)
        {
            settings[key] = value;
        }
        var app = new GreeterApp(settings);
        app.StartServer();
        return app;
    }

    /// <summary>A visitor: a browser's cookie jar, or none.</summary>
    public HttpClient CreateVisitor(bool cookies = true) =>
        new(new SocketsHttpHandler { UseCookies = cookies, AllowAutoRedirect = false }) { BaseAddress = Address };

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseEnvironment("Development");
        builder.UseSetting("Firestore:EmbeddedFolder", folder.Path);
        foreach (var (key, value) in settings)
        {
            builder.UseSetting(key, value);
        }
        builder.ConfigureLogging(logging => logging.AddProvider(Log));
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Dispose();
        Log.Dispose();
    }
}
