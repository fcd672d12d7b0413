using System.Globalization;
using Greeter.Firestore.Transport;

namespace Greeter.Firestore;

/// <summary>A builder for <see cref="FirestoreDb"/>.</summary>
public sealed class FirestoreDbBuilder
{
    private const string EmulatorVariable = "FIRESTORE_EMULATOR_HOST";
    private const string DefaultEndpoint = "firestore.googleapis.com";
    private const string DefaultDatabase = "(default)";

    // Google's Python client has the same default, so both see the same documents.
    private const string DefaultEmulatorProject = "google-cloud-firestore-emulator";

    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(2);

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
    public EmulatorDetection EmulatorDetection
    {
        get;
        set => field = Enum.IsDefined(value)
            ? value
            : throw new ArgumentException($"{value} isn't a value of {nameof(EmulatorDetection)}.", nameof(value));
    }

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

    /// <inheritdoc cref="Build"/>
    internal (string ProjectId, string DatabaseId, IFirestoreApi Api) Connect()
    {
        var emulatorHost = FindEmulator(NullIfEmpty(Environment.GetEnvironmentVariable(EmulatorVariable)));
        var (projectId, address, credentials) = emulatorHost is null ? FindCloud() : FindEmulatorAddress(emulatorHost);
        var api = new GrpcFirestoreApi(
            address, credentials, CallTimeout, new ReconnectingHandler(CreateSocketsHandler, TimeProvider.System));
        return (projectId, NullIfEmpty(DatabaseId) ?? DefaultDatabase, api);
    }

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

    private (string ProjectId, Uri Address, CallCredentials? Credentials) FindEmulatorAddress(string host) =>
        TryParseHostPort(host, out var address)
            ? (NullIfEmpty(ProjectId) ?? DefaultEmulatorProject, address, null)
            : throw new InvalidOperationException(
                $"{EmulatorVariable} is invalid. Set it to the emulator's host:port, such as 127.0.0.1:8080, without http://.");

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

    // The emulator prints an IPv6 address without brackets: ::1:8080.
    private static bool TryParseHostPort(string text, out Uri address)
    {
        var colon = text.LastIndexOf(':');
        var host = colon > 0 ? text[..colon] : "";
        var authority = host.Contains(':', StringComparison.Ordinal) && host[0] != '[' ? $"[{host}]{text[colon..]}" : text;
        var isValid = TryParseAuthority("http", authority, out address)
            && colon > 0 && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0;
        // An emulator that listens on all interfaces prints this address. A client can't connect to it.
        if (isValid && address.Host is ("0.0.0.0" or "[::]"))
        {
            address = new UriBuilder(address) { Host = address.Host == "[::]" ? "[::1]" : "127.0.0.1" }.Uri;
        }
        return isValid;
    }

    private static bool TryParseAuthority(string scheme, string authority, out Uri address) =>
        Uri.TryCreate($"{scheme}://{authority}", UriKind.Absolute, out address!)
            && address.UserInfo.Length == 0 && address.PathAndQuery == "/" && address.Fragment.Length == 0;

    private static string? NullIfEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text.Trim();
}
