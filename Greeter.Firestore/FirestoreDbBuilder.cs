using System.Globalization;

namespace Greeter.Firestore;

/// <summary>A builder for <see cref="FirestoreDb"/>.</summary>
public sealed class FirestoreDbBuilder
{
    private const string EmulatorVariable = "FIRESTORE_EMULATOR_HOST";
    private const string DefaultEndpoint = "firestore.googleapis.com";

    // Google's Python client has the same default, so both see the same documents.
    private const string DefaultEmulatorProject = "google-cloud-firestore-emulator";

    /// <summary>Gets or sets the ID of the project that contains the database.</summary>
    /// <remarks>The default is the project of the service account's key, or else that of the metadata server. For an emulator, it is
    /// <c>google-cloud-firestore-emulator</c>. Unlike this client, Google's doesn't read the key.</remarks>
    public string? ProjectId { get; set; }

    /// <summary>Gets or sets the ID of the database; the default is <c>(default)</c>.</summary>
    public string? DatabaseId { get; set; }

    /// <summary>Gets or sets the host of Cloud Firestore, with a port unless it is 443; the default is
    /// <c>firestore.googleapis.com</c>.</summary>
    /// <remarks>Unlike Google's client, this one connects directly, also if <c>HTTPS_PROXY</c> is set.</remarks>
    public string? Endpoint { get; set; }

    /// <summary>Gets or sets how <c>FIRESTORE_EMULATOR_HOST</c> is used; the default is
    /// <see cref="EmulatorDetection.None"/>.</summary>
    /// <exception cref="ArgumentException">The value isn't a member of the enumeration.</exception>
    public EmulatorDetection EmulatorDetection { get; set => field = GaxPreconditions.CheckEnumValue(value, nameof(value)); }

    /// <summary>Creates the database.</summary>
    /// <remarks>This doesn't call Firestore. For Cloud Firestore it looks for credentials, in files or on the metadata
    /// server.</remarks>
    /// <returns>The database. Its connections stay open as long as the process runs.</returns>
    /// <exception cref="InvalidOperationException">The client can't find credentials or the project's ID, or the environment
    /// doesn't fit <see cref="EmulatorDetection"/>. The message says what to do.</exception>
    public FirestoreDb Build()
    {
        var (projectId, databaseId, api) = Connect();
        return new FirestoreDb(projectId, databaseId, api);
    }

    internal (string ProjectId, string DatabaseId, IFirestoreApi Api) Connect(string? emulatorHost)
    {
        var host = FindEmulator(NullIfEmpty(emulatorHost));
        var (projectId, address, credentials) = host is null
            ? FindCloud()
            : (NullIfEmpty(ProjectId) ?? DefaultEmulatorProject, ParseEmulatorHost(host), null);
        var databaseId = NullIfEmpty(DatabaseId) ?? "(default)";
        ThrowIfInvalidId(nameof(ProjectId), projectId);
        ThrowIfInvalidId(nameof(DatabaseId), databaseId);
        var api = new GrpcFirestoreApi(
            address, credentials, TimeSpan.FromSeconds(2), new ReconnectingHandler(CreateSocketsHandler, TimeProvider.System));
        return (projectId, databaseId, api);
    }

    internal (string ProjectId, string DatabaseId, IFirestoreApi Api) Connect() =>
        Connect(Environment.GetEnvironmentVariable(EmulatorVariable));

    /// <summary>Returns the emulator's host and port; <c>null</c> for Cloud Firestore.</summary>
    internal string? FindEmulator(string? emulatorHost) => (EmulatorDetection, emulatorHost) switch
    {
        (EmulatorDetection.ProductionOnly, not null) => throw new InvalidOperationException(
            $"This app uses Cloud Firestore only. Unset {EmulatorVariable}."),
        (EmulatorDetection.EmulatorOnly, null) => throw new InvalidOperationException(
            $"This app uses an emulator only. Set {EmulatorVariable} to its host:port."),
        (EmulatorDetection.None, _) => null,
        _ => emulatorHost,
    };

    /// <summary>Returns the address of an emulator.</summary>
    /// <exception cref="InvalidOperationException">The value isn't host:port.</exception>
    internal static Uri ParseEmulatorHost(string text)
    {
        var colon = text.LastIndexOf(':');
        var host = colon > 0 ? text[..colon] : "";
        // The emulator prints an IPv6 address without brackets: ::1:8080.
        var authority = host.Contains(':', StringComparison.Ordinal) && host[0] != '[' ? $"[{host}]{text[colon..]}" : text;
        if (!TryParseAuthority("http", authority, out var address)
            || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            || colon < 1 || port == 0)
        {
            throw new InvalidOperationException(
                $"{EmulatorVariable} is invalid. Set it to the emulator's host:port, such as 127.0.0.1:8080, without http://.");
        }
        // An emulator that listens on all interfaces prints one of these. A client can't connect to them.
        var loopback = address.Host switch
        {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            _ => address.Host,
        };
        return new UriBuilder(address) { Host = loopback }.Uri;
    }

    private (string ProjectId, Uri Address, CallCredentials? Credentials) FindCloud()
    {
        var endpoint = NullIfEmpty(Endpoint) ?? DefaultEndpoint;
        if (!TryParseAuthority("https", endpoint, out var address))
        {
            throw new InvalidOperationException(
                $"{nameof(Endpoint)} is invalid. Set it to the host of Cloud Firestore, such as {DefaultEndpoint}, without https://.");
        }
        var credentials = ApplicationDefaultCredentials.Find();
        return (NullIfEmpty(ProjectId) ?? credentials.FindProjectId(), address, credentials.ToCallCredentials());
    }

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

    private static bool TryParseAuthority(string scheme, string authority, out Uri address) =>
        Uri.TryCreate($"{scheme}://{authority}", UriKind.Absolute, out address!)
            && address.UserInfo.Length == 0 && address.PathAndQuery == "/" && address.Fragment.Length == 0;

    // Both IDs are in a header of each call.
    private static void ThrowIfInvalidId(string property, string id)
    {
        if (id.Any(character => character is <= ' ' or '/' or >= (char)127))
        {
            throw new InvalidOperationException($"{property} is invalid. Set it to the ID that the console shows.");
        }
    }

    private static string? NullIfEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text.Trim();
}
