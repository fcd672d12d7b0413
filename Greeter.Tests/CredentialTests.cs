using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Greeter.Tests;

/// <summary>Credentials and tokens for Cloud Firestore. Fake servers record the app's requests.</summary>
[Trait("Category", "Slow")]
public sealed class CredentialTests : IDisposable
{
    private const string ClockRejected = """
        {"error": "invalid_grant",
         "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."}
        """;
    private const string UserCredentials = """
        {"type": "authorized_user", "client_id": "a", "client_secret": "s3cret", "refresh_token": "s3cret", "quota_project_id": "d"}
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly TemporaryFolder folder = new();
    private readonly RSA key = RSA.Create(2048);

    private string KeyFile => Path.Combine(folder.Path, "key.json");

    private string RootFile => Path.Combine(folder.Path, "root.pem");

    public void Dispose()
    {
        folder.Dispose();
        key.Dispose();
    }

    [Theory]
    [InlineData("", "", "key-project", "(default)", Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent),
        SkipType = typeof(Improvement))]
    [InlineData("other-project", "greetings", "other-project", "greetings")]
    public async Task Service_account_key_authorizes_every_call_over_TLS(
        string projectSetting, string databaseSetting, string project, string database)
    {
        await using var tokens = await StartTokenEndpointAsync();
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(
            firestore, WriteKey(tokens), ("GOOGLE_CLOUD_PROJECT", projectSetting), ("Firestore__DatabaseId", databaseSetting));

        await ShouldCountTwoViewsAsync(app);
        await app.VisitAsync(new string('0', 32));

        await app.WaitForLineAsync($"Firestore, project {project}, database {database}", Patience);
        firestore.Server.Requests.Select(request => request.Path).Should().Contain([
            "/google.firestore.v1.Firestore/BatchGetDocuments", "/google.firestore.v1.Firestore/Commit"]);
        RequestsShouldBeAuthorized(firestore, project, database);
    }

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(400, """{"error": "invalid_grant", "error_description": "Bad key."}""", 500, "invalid_grant Bad key.")]
    [InlineData(400, ClockRejected, 500, "Correct its clock.")]
    [InlineData(200, "<html>Log in</html>", 500, "The server for access tokens isn't Google's.")]
    [InlineData(403, "<html>Blocked</html>", 500, "The server for access tokens isn't Google's.")]
    [InlineData(503, "overloaded", 503, "access token"), InlineData(200, null, 503, "took longer than the request timeout")]
    public async Task Failed_token_request_is_logged_with_its_reason(int status, string? body, int answer, string logged)
    {
        await using var tokens = await FakeServer.StartAsync(
            context =>
            {
                context.Response.StatusCode = status;
                return body is null ? FirestoreCalls.HangAsync(context) : context.Response.WriteAsync(body);
            },
            HttpProtocols.Http1);
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(
            firestore,
            WriteKey(tokens),
            // The client tries again until the timeout, unless the credentials are wrong.
            ("Request__Timeout", answer == 503 ? "00:00:01" : "00:00:30"));

        ((int)(await app.VisitAsync()).Status).Should().Be(answer);

        (await app.WaitForLineAsync("\"severity\":\"ERROR\"", Patience)).Should().Contain(logged).And.NotContain("<html>");
        firestore.Server.Requests.Should().BeEmpty();
    }

    [Fact]
    public async Task Cloud_Run_provides_project_and_token_through_the_metadata_server()
    {
        await using var metadata = await FakeServer.StartAsync(AnswerMetadataAsync, HttpProtocols.Http1);
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(
            firestore, ("GCE_METADATA_HOST", metadata.Authority), ("HOME", folder.Path),
            ("K_SERVICE", "greeter"), ("K_REVISION", "greeter-00001-abc"), ("K_CONFIGURATION", "greeter"));

        await ShouldCountTwoViewsAsync(app);

        await app.WaitForLineAsync("Firestore, project metadata-project", Patience);
        RequestsShouldBeAuthorized(firestore, "metadata-project");
    }

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(false, "The metadata server doesn't name a project. Set GOOGLE_CLOUD_PROJECT"), InlineData(true, "NO_PROXY")]
    public async Task Metadata_server_without_a_project_ID_or_behind_a_proxy_stops_the_start(bool isBehindProxy, string sentence)
    {
        await using var server = await FakeServer.StartAsync(
            context =>
            {
                context.Response.Headers["Metadata-Flavor"] = isBehindProxy ? "" : "Google";
                context.Response.StatusCode = isBehindProxy ? 502 : context.Request.Path == "/" ? 200 : 404;
                return Task.CompletedTask;
            },
            HttpProtocols.Http1);

        var message = await StartTests.RefuseAsync(
            [],
            ("NO_GCE_CHECK", ""),
            ("GCE_METADATA_HOST", isBehindProxy ? "192.0.2.1" : server.Authority),
            ("HTTP_PROXY", isBehindProxy ? $"{server.Address}" : ""));

        message.Should().Contain(sentence);
    }

    [Fact]
    public async Task Heroku_config_variable_with_a_key_becomes_the_credentials_file()
    {
        await using var tokens = await StartTokenEndpointAsync();
        await using var firestore = await StartFirestoreAsync();
        WriteKey(tokens);
        var content = await File.ReadAllTextAsync(KeyFile);
        File.Delete(KeyFile);
        await using var app = await GreeterProcess.StartLineAsync(
            Repository.Root,
            $". ./.profile; exec dotnet {Path.Combine(AppContext.BaseDirectory, "Greeter.Api.dll")}",
            [("HOME", folder.Path), ("GOOGLE_CREDENTIALS", content), ("GOOGLE_CLOUD_PROJECT", "heroku-project"), .. Settings(firestore)]);

        await ShouldCountTwoViewsAsync(app);

        RequestsShouldBeAuthorized(firestore, "heroku-project");
        var mode = OperatingSystem.IsWindows() ? default : File.GetUnixFileMode(Path.Combine(folder.Path, ".google-credentials.json"));
        mode.Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Credentials_are_ignored_in_Development()
    {
        await using var tokens = await StartTokenEndpointAsync();
        await using var app = await GreeterProcess.StartAsync([.. Documents.InFolder(folder), WriteKey(tokens)]);

        await ShouldCountTwoViewsAsync(app);

        await app.WaitForLineAsync($"the embedded store in {folder.Path}", Patience);
        tokens.Requests.Should().BeEmpty();
    }

    [Fact]
    public async Task Untrusted_certificate_returns_503_and_no_token_is_sent()
    {
        await using var tokens = await StartTokenEndpointAsync();
        await using var firestore = await StartFirestoreAsync();
        await File.WriteAllTextAsync(RootFile, "");
        await using var app = await StartAsync(
            firestore, WriteKey(tokens), ("GOOGLE_CLOUD_PROJECT", "key-project"), ("Request__Timeout", "00:00:01"));

        (await app.VisitAsync()).Status.Should().Be(HttpStatusCode.ServiceUnavailable);

        firestore.Server.Requests.Should().BeEmpty();
    }

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(null, "The client found neither FIRESTORE_EMULATOR_HOST nor credentials")]
    [InlineData("missing", "key.json. Set GOOGLE_APPLICATION_CREDENTIALS"), InlineData("{}", "key.json can't be read")]
    [InlineData("s3cret", "key.json can't be read"), InlineData("""{"type": s3cret}""", "key.json can't be read")]
    [InlineData("""{"type": "service_account", "client_email": "a", "private_key": "s3cret"}""", "key.json can't be read")]
    [InlineData(UserCredentials, "The credentials don't name a project. Set GOOGLE_CLOUD_PROJECT")]
    public async Task Missing_or_invalid_credentials_stop_the_start_with_advice(string? content, string sentence)
    {
        if (content is not null and not "missing")
        {
            await File.WriteAllTextAsync(KeyFile, content);
        }

        var message = await StartTests.RefuseAsync([], ("GOOGLE_APPLICATION_CREDENTIALS", content is null ? "" : KeyFile));

        message.Should().Contain(sentence).And.NotContain("s3cret");
    }

    private static async Task ShouldCountTwoViewsAsync(GreeterProcess app)
    {
        var first = await app.VisitAsync();
        first.Views.Should().Be(1);
        (await app.VisitAsync(first.Id)).Views.Should().Be(2);
    }

    private Task<GreeterProcess> StartAsync(FirestoreProxy firestore, params (string, string)[] environment) =>
        GreeterProcess.StartAsync([.. Settings(firestore), .. environment]);

    private (string, string)[] Settings(FirestoreProxy firestore) =>
        [("Firestore__Endpoint", $"localhost:{firestore.Server.Address.Port}"), ("SSL_CERT_FILE", RootFile)];

    /// <summary>Starts Firestore with TLS and a certificate that the app trusts.</summary>
    private async Task<FirestoreProxy> StartFirestoreAsync()
    {
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await File.WriteAllTextAsync(RootFile, certificate.ExportCertificatePem());
        var usable = X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null);
        return await FirestoreProxy.StartAsync(usable);
    }

    private static Task<FakeServer> StartTokenEndpointAsync() => FakeServer.StartAsync(
        async context =>
        {
            var form = await context.Request.ReadFormAsync();
            var claims = System.Buffers.Text.Base64Url.DecodeFromChars($"{form["assertion"]}".Split('.')[1]);
            Encoding.UTF8.GetString(claims).Should().Contain("https://www.googleapis.com/auth/datastore");
            await WriteTokenAsync(context);
        },
        HttpProtocols.Http1);

    private static Task WriteTokenAsync(HttpContext context) =>
        context.Response.WriteAsJsonAsync(new { access_token = "token-1", expires_in = 3600, token_type = "Bearer" });

    // Greeter.Firestore asks for the project's ID, and Google's client for everything.
    private static Task AnswerMetadataAsync(HttpContext context)
    {
        const string All = """
            {"instance": {"id": 1, "zone": "projects/1/zones/europe-west1-b"}, "project": {"projectId": "metadata-project"}}
            """;
        context.Response.Headers["Metadata-Flavor"] = "Google";
        switch (context.Request.Path.Value!.TrimEnd('/').Split('/')[^1])
        {
            case "project-id":
                return context.Response.WriteAsync("metadata-project");
            case "v1":
                context.Response.ContentLength = All.Length;
                return context.Response.WriteAsync(All);
            case "token":
                return WriteTokenAsync(context);
            case var name:
                context.Response.StatusCode = name.Length == 0 ? 200 : 404;
                return Task.CompletedTask;
        }
    }

    /// <summary>Writes the key file of a service account.</summary>
    /// <returns>The variable that names the file.</returns>
    private (string, string) WriteKey(FakeServer tokens)
    {
        File.WriteAllText(KeyFile, JsonSerializer.Serialize(new
        {
            type = "service_account",
            project_id = "key-project",
            private_key_id = "1",
            private_key = key.ExportPkcs8PrivateKeyPem(),
            client_email = "greeter@key-project.iam.gserviceaccount.com",
            client_id = "1",
            token_uri = $"http://{tokens.Authority}/token",
        }));
        return ("GOOGLE_APPLICATION_CREDENTIALS", KeyFile);
    }

    private static void RequestsShouldBeAuthorized(FirestoreProxy firestore, string project, string database = "(default)")
    {
        foreach (var (_, headers) in firestore.Server.Requests)
        {
            // Google's client may sign its tokens itself, instead of asking for them.
            headers["authorization"].Should().StartWith(Improvement.IsPresent ? "Bearer token-1" : "Bearer ");
            Uri.UnescapeDataString(headers["x-goog-request-params"]).Should().Be($"database=projects/{project}/databases/{database}");
        }
    }
}
