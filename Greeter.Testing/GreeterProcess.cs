namespace Greeter.Testing;

/// <summary>The app in a process of its own, with no settings in its environment but what the test sets.</summary>
public sealed class GreeterProcess : ChildProcess
{
    // The app chooses a free port and logs it.
    private const string AnyPort = "0";

    // Profiling the code, which makes a server faster later, makes a test slower.
    private GreeterProcess(string[] command, (string Key, string Value)[] environment, string? folder = null)
        : base(command, [("DOTNET_TieredPGO", "0"), .. environment], folder)
    {
    }

    /// <summary>Gets the address at which it listens.</summary>
    public Uri Address { get; private set; } = new("http://127.0.0.1");

    /// <summary>Starts the app on a free port and waits until it listens.</summary>
    public static Task<GreeterProcess> StartAsync(params (string Key, string Value)[] environment) =>
        ListenAsync(new(CreateCommand([]), [("PORT", AnyPort), .. environment]));

    /// <summary>Starts the app with these arguments and waits until it listens.</summary>
    public static Task<GreeterProcess> StartAsync(string[] arguments, params (string Key, string Value)[] environment) =>
        ListenAsync(new(CreateCommand(arguments), environment));

    /// <summary>Starts what a platform built, in a folder, with the platform's start line. The platform's <c>$PORT</c>, also in
    /// the values, is a free port.</summary>
    public static Task<GreeterProcess> StartLineAsync(string folder, string line, params (string Key, string Value)[] environment)
    {
        var values = environment.Select(one => (one.Key, one.Value.Replace("$PORT", AnyPort, StringComparison.Ordinal)));
        return ListenAsync(new(["bash", "-c", line], [("PORT", AnyPort), .. values], folder));
    }

    /// <summary>Starts the app, without waiting for anything.</summary>
    public static GreeterProcess Start(params (string Key, string Value)[] environment) => new(CreateCommand([]), environment);

    /// <summary>Runs the app until it ends by itself, for instance because it refuses its configuration.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(
        string[] arguments, params (string Key, string Value)[] environment)
    {
        await using var app = new GreeterProcess(CreateCommand(arguments), environment);
        return (await app.WaitForExitAsync(), app.Text);
    }

    /// <summary>Visits the app once, with a session ID in the cookie, or with an empty cookie.</summary>
    public async Task<Visit> VisitAsync(string? id = null)
    {
        using var visitor = new HttpClient(new SocketsHttpHandler { UseCookies = false });
        return await Visit.SendAsync(visitor, Address, id);
    }

    private static string[] CreateCommand(string[] arguments) =>
        ["dotnet", Path.Combine(AppContext.BaseDirectory, "Greeter.Api.dll"), .. arguments];

    private static async Task<GreeterProcess> ListenAsync(GreeterProcess app)
    {
        try
        {
            app.Address = await app.WaitUntilListeningAsync();
            return app;
        }
        catch
        {
            await app.DisposeAsync();
            throw;
        }
    }
}
