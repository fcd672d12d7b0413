using System.Globalization;
using System.Net.Http.Headers;
using Greeter.Firestore.Embedded;
using Greeter.Firestore.Transport;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Greeter.Firestore;

/// <summary>Makes a <see cref="FirestoreDb"/>.</summary>
public sealed class FirestoreDbBuilder
{
    private const string EmulatorVariable = "FIRESTORE_EMULATOR_HOST";
    private const string DefaultEndpoint = "firestore.googleapis.com";

    /// <summary>As Google's Python client has it, so that both see the same documents.</summary>
    private const string DefaultEmulatorProject = "google-cloud-firestore-emulator";

    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(2);

    /// <summary>The project that contains the database. For Cloud Firestore it defaults to the one in the credentials or the
    /// metadata server's, for an emulator to <c>google-cloud-firestore-emulator</c>.</summary>
    public string? ProjectId { get; set; }

    /// <summary>The database, <c>(default)</c> unless set.</summary>
    public string? DatabaseId { get; set; }

    /// <summary>The host of Cloud Firestore, with a port if it is not 443; <c>firestore.googleapis.com</c> unless set.</summary>
    public string? Endpoint { get; set; }

    /// <summary>Whether <c>FIRESTORE_EMULATOR_HOST</c> counts; it does not unless set.</summary>
    public EmulatorDetection EmulatorDetection { get; set; }

    /// <summary>Where the documents of the database are, for a person to read.</summary>
    internal string Location { get; private set; } = "";

    /// <summary>Puts something between the client and its network or embedded store.</summary>
    internal Func<HttpMessageHandler, HttpMessageHandler> Wrap { get; set; } = handler => handler;

    /// <summary>Makes the database. Nothing is called yet but, for Cloud Firestore, what it takes to find credentials.</summary>
    /// <exception cref="InvalidOperationException">There are no credentials or no project id, or
    /// <see cref="EmulatorDetection"/> does not fit the environment. The message says what to do.</exception>
    public FirestoreDb Build() => Build(Environment.GetEnvironmentVariable(EmulatorVariable));

    /// <summary>
    /// As <see cref="Build()"/>, with the host's configuration instead of the environment; and in Development, where neither an
    /// emulator nor a project is named, with documents in this process.
    /// </summary>
    internal FirestoreDb Build(IServiceProvider services)
    {
        var configuration = services.GetRequiredService<IConfiguration>();
        var environment = services.GetRequiredService<IHostEnvironment>();
        var emulatorHost = configuration[EmulatorVariable];
        var isConfigured = NullIfEmpty(emulatorHost) is not null || NullIfEmpty(ProjectId) is not null || NullIfEmpty(Endpoint) is not null;
        return environment.IsDevelopment() && !isConfigured && EmulatorDetection == EmulatorDetection.EmulatorOrProduction
            ? BuildEmbedded(configuration, environment, services.GetService<TimeProvider>() ?? TimeProvider.System)
            : Build(emulatorHost);
    }

    private FirestoreDb Build(string? emulatorHost) =>
        FindEmulator(NullIfEmpty(emulatorHost)) is { } host ? BuildEmulator(host) : BuildCloud();

    /// <summary>The emulator to use, host:port; null for Cloud Firestore.</summary>
    internal string? FindEmulator(string? emulatorHost) => (EmulatorDetection, emulatorHost) switch
    {
        (EmulatorDetection.ProductionOnly, not null) => throw new InvalidOperationException(
            $"{EmulatorVariable} is set to '{emulatorHost}', but this app is to use Cloud Firestore only: unset it."),
        (EmulatorDetection.EmulatorOnly, null) => throw new InvalidOperationException(
            $"This app is to use an emulator only: set {EmulatorVariable} to its host:port."),
        (EmulatorDetection.None, _) => null,
        _ => emulatorHost,
    };

    private FirestoreDb BuildEmulator(string host)
    {
        if (!TryParseHostPort(host, out var address))
        {
            throw new InvalidOperationException(
                $"{EmulatorVariable} is '{host}': set it to the emulator's host:port, for instance 127.0.0.1:8080, "
                + "without http://.");
        }
        var projectId = NullIfEmpty(ProjectId) ?? DefaultEmulatorProject;
        Location = $"the Firestore emulator at {address.Authority}, project {projectId}";
        return Create(projectId, new ReconnectingHandler(CreateSocketsHandler), address, AuthorizeEmulator);
    }

    private FirestoreDb BuildCloud()
    {
        var credentials = ApplicationDefaultCredentials.Find();
        var projectId = NullIfEmpty(ProjectId) ?? credentials.FindProjectId();
        Location = $"Cloud Firestore, project {projectId}, database {NullIfEmpty(DatabaseId) ?? "(default)"}";
        return Create(projectId, new ReconnectingHandler(CreateSocketsHandler), new Uri($"https://{NullIfEmpty(Endpoint) ?? DefaultEndpoint}"), credentials.AuthorizeAsync);
    }

    private FirestoreDb BuildEmbedded(IConfiguration configuration, IHostEnvironment environment, TimeProvider time)
    {
        var folder = Path.Combine(environment.ContentRootPath, NullIfEmpty(configuration["Firestore:EmbeddedFolder"]) ?? ".firestore");
        var embedded = EmbeddedFirestore.Open(folder, time);
        Location = $"this process, in {embedded.JournalPath}";
        return Create("embedded", embedded, new Uri("http://embedded"), authorize: null);
    }

    private FirestoreDb Create(string projectId, HttpMessageHandler handler, Uri address, Authorizer? authorize) => new(
        projectId,
        NullIfEmpty(DatabaseId) ?? "(default)",
        new FirestoreClient(new GrpcChannel(Wrap(handler), address, authorize, CallTimeout)));

    private static SocketsHttpHandler CreateSocketsHandler() => new()
    {
        EnableMultipleHttp2Connections = true,
        AllowAutoRedirect = false,
        ConnectTimeout = TimeSpan.FromSeconds(1.5),
        PooledConnectionLifetime = TimeSpan.FromMinutes(10),
        PooledConnectionIdleTimeout = TimeSpan.FromMinutes(10),
        KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        KeepAlivePingDelay = TimeSpan.FromSeconds(30),
        KeepAlivePingTimeout = TimeSpan.FromSeconds(5),
        UseProxy = false,
        UseCookies = false,
        ActivityHeadersPropagator = null,
    };

    internal static ValueTask AuthorizeEmulator(Uri address, HttpRequestHeaders headers, CancellationToken cancellationToken)
    {
        // The emulator takes this for somebody who may do everything, whatever its security rules.
        headers.TryAddWithoutValidation("Authorization", "Bearer owner");
        return ValueTask.CompletedTask;
    }

    /// <summary>Also takes <c>::1:8080</c>, as the emulator itself prints an IPv6 address.</summary>
    private static bool TryParseHostPort(string text, out Uri address)
    {
        var colon = text.LastIndexOf(':');
        var host = colon > 0 ? text[..colon] : "";
        var authority = host.Contains(':', StringComparison.Ordinal) && host[0] != '[' ? $"[{host}]{text[colon..]}" : text;
        return Uri.TryCreate($"http://{authority}", UriKind.Absolute, out address!)
            && colon > 0 && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out _)
            && address.UserInfo.Length == 0 && address.PathAndQuery == "/" && address.Fragment.Length == 0;
    }

    private static string? NullIfEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text.Trim();
}
