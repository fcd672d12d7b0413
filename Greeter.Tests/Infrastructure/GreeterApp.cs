using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;

namespace Greeter.Tests.Infrastructure;

/// <summary>The app in this process: its Program.cs, on Kestrel, with documents of its own.</summary>
public sealed class GreeterApp : WebApplicationFactory<Program>
{
    private const string EmulatorVariable = "FIRESTORE_EMULATOR_HOST";
    private const string ProjectVariable = "GOOGLE_CLOUD_PROJECT";

    private readonly TemporaryFolder folder = new();
    private readonly Dictionary<string, string> settings;
    private readonly FirestoreCalls? calls;
    private readonly TimeProvider time;

    private GreeterApp(Dictionary<string, string> settings, FirestoreCalls? calls, TimeProvider time)
    {
        (this.settings, this.calls, this.time) = (settings, calls, time);
        UseKestrel();
    }

    /// <summary>Gets the app's address, which ends with a slash.</summary>
    public Uri Address => ClientOptions.BaseAddress;

    /// <summary>Gets the app's database.</summary>
    public FirestoreDb Db => Services.GetRequiredService<FirestoreDb>();

    /// <summary>Gets the app's calls to the emulator.</summary>
    public FirestoreCalls Calls => calls ?? throw new InvalidOperationException("The embedded store gets no calls.");

    /// <summary>Gets the app's log, from Information up.</summary>
    public CapturingLoggerProvider Log { get; } = new();

    /// <summary>Starts the app on the embedded store, or on the emulator if the client has no embedded store.</summary>
    public static Task<GreeterApp> StartAsync(params (string Key, string Value)[] more) =>
        StartAsync(Improvement.IsPresent ? Store.Embedded : Store.Emulator, more);

    /// <summary>Starts the app with these settings.</summary>
    public static Task<GreeterApp> StartAsync(Store store, params (string Key, string Value)[] more) =>
        StartAsync(store, _ => { }, TimeProvider.System, more);

    /// <summary>Starts the app on the emulator, with a function that can set what happens to the first calls, and a clock.</summary>
    public static Task<GreeterApp> StartAsync(Action<FirestoreCalls> setUpCalls, TimeProvider time) =>
        StartAsync(Store.Emulator, setUpCalls, time, []);

    private static async Task<GreeterApp> StartAsync(
        Store store, Action<FirestoreCalls> setUpCalls, TimeProvider time, (string Key, string Value)[] more)
    {
        Assert.SkipUnless(store == Store.Emulator || Improvement.IsPresent, Improvement.EmbeddedStore);
        var settings = more.ToDictionary();
        FirestoreCalls? calls = null;
        if (store == Store.Emulator)
        {
            var proxy = await FirestoreProxy.SharedAsync();
            settings[EmulatorVariable] = proxy.Server.Authority;
            settings.TryAdd(ProjectVariable, Emulator.NewProject());
            // Google's client reads it only here. It is the same for every test.
            Environment.SetEnvironmentVariable(EmulatorVariable, settings[EmulatorVariable]);
            calls = proxy.CallsOf(settings[ProjectVariable]);
            setUpCalls(calls);
        }
        var app = new GreeterApp(settings, calls, time);
        app.StartServer();
        return app;
    }

    /// <summary>Visits the app once, with this cookie or without one.</summary>
    public async Task<Visit> VisitAsync(string? cookie = null)
    {
        using var visitor = CreateVisitor(cookies: false);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/");
        if (cookie is not null)
        {
            request.Headers.TryAddWithoutValidation("Cookie", $"session_id={cookie}");
        }
        using var response = await visitor.SendAsync(request);
        return await Visit.ReadAsync(response);
    }

    /// <summary>Returns a session's document.</summary>
    public DocumentReference Session(string id) => Db.Collection("sessions").Document(id);

    /// <summary>Creates a client, with a cookie jar like a browser's unless told otherwise.</summary>
    public HttpClient CreateVisitor(bool cookies = true) =>
        new(new SocketsHttpHandler { UseCookies = cookies, AllowAutoRedirect = false }) { BaseAddress = Address };

    /// <summary>Waits until the warm-up has ended, and clears the recorded calls.</summary>
    public async Task WarmUpAsync()
    {
        using var probe = CreateVisitor();
        while ((await probe.GetAsync("/health/ready")).StatusCode != HttpStatusCode.OK)
        {
            await Task.Delay(20);
        }
        calls?.Clear();
    }

    /// <summary>Sends bytes as they are, and reads until the app closes the connection.</summary>
    public async Task<string> SendRawAsync(string request)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(Address.Host, Address.Port);
        await socket.GetStream().WriteAsync(Encoding.Latin1.GetBytes(request));
        using var reader = new StreamReader(socket.GetStream(), Encoding.UTF8);
        return await reader.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(30));
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseEnvironment("Development");
        builder.UseSetting("urls", "http://127.0.0.1:0");
        builder.UseSetting("Firestore:EmbeddedFolder", folder.Path);
        builder.UseSetting(EmulatorVariable, "");
        builder.UseSetting(ProjectVariable, "");
        foreach (var (key, value) in settings)
        {
            builder.UseSetting(key, value);
        }
        builder.ConfigureTestServices(services => services.AddSingleton(time));
        // The app's own log has no requests and no failed health checks either.
        builder.ConfigureLogging(logging => logging.AddProvider(Log)
            .AddFilter<CapturingLoggerProvider>("Microsoft.AspNetCore", LogLevel.Warning)
            .AddFilter<CapturingLoggerProvider>("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None));
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Dispose();
        Log.Dispose();
    }
}
