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
    private const string Datastore = "https://www.googleapis.com/auth/datastore";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly TemporaryFolder folder = new();
    private readonly RSA key = RSA.Create(2048);

    public void Dispose()
    {
        folder.Dispose();
        key.Dispose();
    }

    [Fact(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Service_account_key_authorizes_every_call_over_TLS()
    {
        var assertions = new ConcurrentQueue<string>();
        await using var tokens = await StartTokenEndpointAsync(assertions, _ => 3600);
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(firestore, ("GOOGLE_APPLICATION_CREDENTIALS", WriteKey(tokens, "key-project")));

        await ShouldCountTwoViewsAsync(app);
        using var visitor = new HttpClient();
        await Visit.SendAsync(visitor, app.Address, new string('0', 32));

        await app.WaitForLineAsync("Cloud Firestore, project key-project, database (default)", Patience);
        assertions.Should().ContainSingle();
        ShouldBeSignedByTheKey(assertions.Single()).GetProperty("scope").GetString().Should().Be(Datastore);
        firestore.Server.Requests.Select(request => request.Path).Distinct().Should().BeEquivalentTo(
            "/google.firestore.v1.Firestore/BatchGetDocuments", "/google.firestore.v1.Firestore/Commit");
        firestore.Server.Requests.Should().OnlyContain(request =>
            request.Headers["authorization"] == "Bearer token-1"
            && request.Headers["x-goog-request-params"] == "database=projects%2Fkey-project%2Fdatabases%2F%28default%29");
    }

    [Fact]
    public async Task GOOGLE_CLOUD_PROJECT_and_the_database_ID_override_the_key()
    {
        await using var tokens = await StartTokenEndpointAsync([], _ => 3600);
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(
            firestore,
            ("GOOGLE_APPLICATION_CREDENTIALS", WriteKey(tokens, "key-project")),
            ("GOOGLE_CLOUD_PROJECT", "other-project"),
            ("Firestore__DatabaseId", "greetings"));

        await ShouldCountTwoViewsAsync(app);

        await app.WaitForLineAsync("Firestore, project other-project, database greetings", Patience);
        firestore.Server.Requests.Select(request => Uri.UnescapeDataString(request.Headers["x-goog-request-params"]))
            .Should().OnlyContain(name => name == "database=projects/other-project/databases/greetings");
        RequestsShouldBeAuthorized(firestore);
    }

    [Fact]
    public async Task Expiring_token_is_renewed_once_under_load()
    {
        var tokens = 0;
        await using var metadata = await FakeServer.StartAsync(
            context => AnswerMetadataAsync(context, () => ++tokens, number => number == 1 ? 200 : 3600), HttpProtocols.Http1);
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(
            firestore, ("GCE_METADATA_HOST", metadata.Authority), ("GOOGLE_CLOUD_PROJECT", "renewal"), ("HOME", folder.Path));

        // Google's library renews the token in the background. Until then, the calls use the old one.
        var started = Stopwatch.GetTimestamp();
        while (!Authorizations().Contains("Bearer token-2") && Stopwatch.GetElapsedTime(started) < Patience)
        {
            await VisitAsync();
        }
        await VisitAsync();

        tokens.Should().Be(2);
        Authorizations().Should().BeEquivalentTo("Bearer token-1", "Bearer token-2");

        async Task VisitAsync()
        {
            var visits = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => app.VisitAsync()));
            visits.Should().OnlyContain(visit => visit.Status == HttpStatusCode.OK);
        }

        IEnumerable<string> Authorizations() =>
            firestore.Server.Requests.Select(request => request.Headers["authorization"]).Distinct();
    }

    [Fact(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task User_credentials_require_GOOGLE_CLOUD_PROJECT()
    {
        // Google's own token endpoint is out of reach, so this tests only how the app reads the file.
        var file = Path.Combine(folder.Path, "user.json");
        await File.WriteAllTextAsync(file, """
            {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c", "quota_project_id": "d"}
            """);

        var (exitCode, output) = await GreeterProcess.RunAsync([], ("PORT", "0"), ("GOOGLE_APPLICATION_CREDENTIALS", file));

        exitCode.Should().Be(1);
        output.Should().Contain("The credentials don't name a project. Set GOOGLE_CLOUD_PROJECT");
    }

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(400, """{"error": "invalid_grant", "error_description": "Bad key."}""", 500, "invalid_grant Bad key.")]
    [InlineData(400, ClockRejected, 500, "Correct its clock.")]
    [InlineData(200, "<html>Log in</html>", 500, "The server for access tokens isn't Google's.")]
    [InlineData(403, "<html>Blocked</html>", 500, "The server for access tokens isn't Google's.")]
    [InlineData(503, "overloaded", 503, "access token")]
    public async Task Failed_token_request_is_logged_with_its_reason(int status, string body, int answer, string logged)
    {
        await using var tokens = await FakeServer.StartAsync(
            async context =>
            {
                context.Response.StatusCode = status;
                await context.Response.WriteAsync(body);
            },
            HttpProtocols.Http1,
            null);
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(
            firestore, ("GOOGLE_APPLICATION_CREDENTIALS", WriteKey(tokens, "key-project")),
            // The client tries again until the timeout, unless the credentials are wrong.
            ("Request__Timeout", answer == 503 ? "00:00:01" : "00:00:30"),
            ("Shutdown__Delay", "0"));
        using var visitor = new HttpClient();

        using var response = await visitor.GetAsync(app.Address);

        ((int)response.StatusCode).Should().Be(answer);
        app.Terminate();
        await app.WaitForExitAsync();
        app.Output.Where(line => line.Contains("\"severity\":\"ERROR\"", StringComparison.Ordinal))
            .Should().ContainSingle().Which.Should().Contain(logged).And.NotContain("<html>");
        firestore.Server.Requests.Should().BeEmpty();
    }

    [Fact]
    public async Task Cloud_Run_provides_project_and_token_through_the_metadata_server()
    {
        await using var metadata = await FakeServer.StartAsync(
            context => AnswerMetadataAsync(context, () => 1, _ => 3600), HttpProtocols.Http1);
        await using var firestore = await StartFirestoreAsync();
        await using var app = await StartAsync(
            firestore, ("GCE_METADATA_HOST", metadata.Authority), ("HOME", folder.Path),
            ("K_SERVICE", "greeter"), ("K_REVISION", "greeter-00001-abc"), ("K_CONFIGURATION", "greeter"));

        await ShouldCountTwoViewsAsync(app);

        await app.WaitForLineAsync("Firestore, project metadata-project", Patience);
        metadata.Requests.Should().Contain(request => request.Path.EndsWith("/token", StringComparison.Ordinal));
        metadata.Requests.Where(request => request.Path != "/")
            .Should().OnlyContain(request => request.Headers["metadata-flavor"] == "Google");
        firestore.Server.Requests.Should().OnlyContain(request =>
            request.Headers["authorization"] == "Bearer token-1"
            && request.Headers["x-goog-request-params"].Contains("projects%2Fmetadata-project%2F", StringComparison.Ordinal));
    }

    [Fact(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Metadata_server_without_a_project_ID_stops_the_start_with_one_sentence()
    {
        await using var metadata = await FakeServer.StartAsync(
            context =>
            {
                context.Response.Headers["Metadata-Flavor"] = "Google";
                context.Response.StatusCode = context.Request.Path == "/" ? 200 : 404;
                return Task.CompletedTask;
            },
            HttpProtocols.Http1,
            null);

        var (exitCode, output) = await GreeterProcess.RunAsync(
            [], ("PORT", "0"), ("HOME", folder.Path), ("GCE_METADATA_HOST", metadata.Authority));

        exitCode.Should().Be(1);
        JsonDocument.Parse(output).RootElement.GetProperty("message").GetString().Should()
            .StartWith("Greeter can't start. The metadata server doesn't name a project. Set GOOGLE_CLOUD_PROJECT");
    }

    [Fact(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Proxy_between_the_app_and_the_metadata_server_is_named()
    {
        await using var proxy = await FakeServer.StartAsync(
            context =>
            {
                context.Response.StatusCode = StatusCodes.Status502BadGateway;
                return Task.CompletedTask;
            },
            HttpProtocols.Http1);

        var (exitCode, output) = await GreeterProcess.RunAsync(
            [], ("PORT", "0"), ("HOME", folder.Path), ("GCE_METADATA_HOST", "192.0.2.1"), ("HTTP_PROXY", $"{proxy.Address}"));

        exitCode.Should().Be(1);
        JsonDocument.Parse(output).RootElement.GetProperty("message").GetString().Should().Contain("NO_PROXY");
    }

    [Fact]
    public async Task Heroku_config_variable_with_a_key_becomes_the_credentials_file()
    {
        await using var tokens = await StartTokenEndpointAsync([], _ => 3600);
        await using var firestore = await StartFirestoreAsync();
        var file = WriteKey(tokens, "key-project");
        var content = await File.ReadAllTextAsync(file);
        File.Delete(file);
        await using var app = await GreeterProcess.StartLineAsync(
            Repository.Root,
            $". ./.profile; exec dotnet {Path.Combine(AppContext.BaseDirectory, "Greeter.Api.dll")}",
            ("HOME", folder.Path),
            ("GOOGLE_CREDENTIALS", content),
            ("GOOGLE_CLOUD_PROJECT", "heroku-project"),
            ("Firestore__Endpoint", $"localhost:{firestore.Server.Address.Port}"),
            ("SSL_CERT_FILE", Path.Combine(folder.Path, "root.pem")));

        await ShouldCountTwoViewsAsync(app);

        RequestsShouldBeAuthorized(firestore);
        var credentials = Path.Combine(folder.Path, ".google-credentials.json");
        var mode = OperatingSystem.IsWindows() ? default : File.GetUnixFileMode(credentials);
        mode.Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Credentials_are_ignored_in_Development()
    {
        await using var tokens = await StartTokenEndpointAsync([], _ => 3600);
        await using var app = await GreeterProcess.StartAsync(
            [.. Documents.InFolder(folder), ("GOOGLE_APPLICATION_CREDENTIALS", WriteKey(tokens, "key-project"))]);

        await ShouldCountTwoViewsAsync(app);

        await app.WaitForLineAsync($"the embedded store in {folder.Path}", TimeSpan.FromSeconds(30));
        tokens.Requests.Should().BeEmpty();
    }

    [Fact]
    public async Task Untrusted_certificate_returns_503_and_no_token_is_sent()
    {
        await using var tokens = await StartTokenEndpointAsync([], _ => 3600);
        await using var firestore = await StartFirestoreAsync();
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "root.pem"), "");
        await using var app = await StartAsync(
            firestore,
            ("GOOGLE_APPLICATION_CREDENTIALS", WriteKey(tokens, "key-project")),
            ("GOOGLE_CLOUD_PROJECT", "key-project"),
            ("Request__Timeout", "00:00:01"));
        using var visitor = new HttpClient();

        (await visitor.GetAsync(app.Address)).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);

        firestore.Server.Requests.Should().BeEmpty();
    }

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(null, "The client found neither FIRESTORE_EMULATOR_HOST nor credentials")]
    [InlineData("missing", "Could not find file")]
    [InlineData("{}", "can't be read")]
    [InlineData("s3cret", "can't be read")]
    [InlineData("""{"type": s3cret}""", "can't be read")]
    [InlineData("""{"type": "service_account", "client_email": "a", "private_key": "s3cret", "project_id": "p"}""", "can't be read")]
    public async Task Missing_or_invalid_credentials_stop_the_start_with_advice(string? content, string sentence)
    {
        var file = Path.Combine(folder.Path, "key.json");
        if (content is not null and not "missing")
        {
            await File.WriteAllTextAsync(file, content);
        }
        (string, string)[] named = content is null ? [] : [("GOOGLE_APPLICATION_CREDENTIALS", file)];

        var (exitCode, output) = await GreeterProcess.RunAsync(
            [], [("PORT", "0"), ("HOME", folder.Path), ("NO_GCE_CHECK", "true"), .. named]);

        exitCode.Should().Be(1);
        var line = JsonDocument.Parse(output).RootElement;
        line.GetProperty("severity").GetString().Should().Be("CRITICAL");
        line.GetProperty("message").GetString().Should().StartWith("Greeter can't start. ").And.Contain(sentence)
            .And.Contain(content is null ? "FIRESTORE_EMULATOR_HOST" : file).And.NotContain("s3cret");
        line.TryGetProperty("stack_trace", out _).Should().BeFalse();
    }

    private static async Task ShouldCountTwoViewsAsync(GreeterProcess app)
    {
        using var visitor = new HttpClient();
        (await visitor.GetStringAsync(app.Address)).Should().StartWith("<body>1 views for ");
        (await visitor.GetStringAsync(app.Address)).Should().StartWith("<body>2 views for ");
    }

    private Task<GreeterProcess> StartAsync(FirestoreProxy firestore, params (string, string)[] environment) =>
        GreeterProcess.StartAsync(
        [
            ("Firestore__Endpoint", $"localhost:{firestore.Server.Address.Port}"),
            ("SSL_CERT_FILE", Path.Combine(folder.Path, "root.pem")),
            .. environment,
        ]);

    /// <summary>Starts Firestore with TLS and a certificate that the app trusts.</summary>
    private async Task<FirestoreProxy> StartFirestoreAsync()
    {
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "root.pem"), certificate.ExportCertificatePem());
        var usable = X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null);
        return await FirestoreProxy.StartAsync(usable);
    }

    private static Task<FakeServer> StartTokenEndpointAsync(ConcurrentQueue<string> assertions, Func<int, int> secondsToLive) =>
        FakeServer.StartAsync(
            async context =>
            {
                var form = await context.Request.ReadFormAsync();
                form["grant_type"].Should().Equal("urn:ietf:params:oauth:grant-type:jwt-bearer");
                assertions.Enqueue(form["assertion"]!);
                var number = assertions.Count;
                await WriteTokenAsync(context, $"token-{number}", secondsToLive(number));
            },
            HttpProtocols.Http1,
            null);

    private static Task WriteTokenAsync(HttpContext context, string token, int secondsToLive) =>
        context.Response.WriteAsJsonAsync(new { access_token = token, expires_in = secondsToLive, token_type = "Bearer" });

    // Greeter.Firestore asks for the project's ID, and Google's client for everything.
    private static async Task AnswerMetadataAsync(HttpContext context, Func<int> number, Func<int, int> secondsToLive)
    {
        context.Response.Headers["Metadata-Flavor"] = "Google";
        var path = context.Request.Path.Value!.TrimEnd('/');
        if (path.EndsWith("/project-id", StringComparison.Ordinal))
        {
            await context.Response.WriteAsync("metadata-project");
        }
        else if (path.EndsWith("/computeMetadata/v1", StringComparison.Ordinal))
        {
            const string All = """
                {"instance": {"id": 1, "zone": "projects/1/zones/europe-west1-b"}, "project": {"projectId": "metadata-project"}}
                """;
            context.Response.ContentLength = All.Length;
            await context.Response.WriteAsync(All);
        }
        else if (path.EndsWith("/token", StringComparison.Ordinal))
        {
            var token = number();
            await WriteTokenAsync(context, $"token-{token}", secondsToLive(token));
        }
        else
        {
            context.Response.StatusCode = path.Length == 0 ? 200 : 404;
        }
    }

    private string WriteKey(FakeServer tokens, string projectId)
    {
        var file = Path.Combine(folder.Path, "key.json");
        File.WriteAllText(file, JsonSerializer.Serialize(new
        {
            type = "service_account",
            project_id = projectId,
            private_key_id = "1",
            private_key = key.ExportPkcs8PrivateKeyPem(),
            client_email = "greeter@key-project.iam.gserviceaccount.com",
            client_id = "1",
            token_uri = $"http://{tokens.Authority}/token",
        }));
        return file;
    }

    // Google's client may sign its tokens itself, instead of asking for them.
    private void RequestsShouldBeAuthorized(FirestoreProxy firestore)
    {
        foreach (var request in firestore.Server.Requests)
        {
            var token = request.Headers["authorization"].Split("Bearer ")[1];
            if (Improvement.IsPresent || token == "token-1")
            {
                token.Should().Be("token-1");
            }
            else
            {
                ShouldBeSignedByTheKey(token);
            }
        }
    }

    private JsonElement ShouldBeSignedByTheKey(string token)
    {
        var parts = token.Split('.');
        var signed = Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}");
        key.VerifyData(signed, FromBase64Url(parts[2]), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1).Should().BeTrue();
        return JsonDocument.Parse(FromBase64Url(parts[1])).RootElement;
    }

    private static byte[] FromBase64Url(string text) => System.Buffers.Text.Base64Url.DecodeFromChars(text);
}
