using Microsoft.Extensions.Options;

namespace Greeter.Tests;

/// <summary>The start of the app: where it listens, and the one log entry about a mistake that ends it.</summary>
[Trait("Category", "Slow")]
public sealed class StartTests : IDisposable
{
    private const string Key = """
        {"type": "service_account", "project_id": "my-project", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQ/IBADAN\n"}
        """;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("PORT", "eighty", "70000", "-1")]
    [InlineData("Session__Lifetime", "24:00:00", "1.24:00:00", "30:00", "00:60:00", "a month", "-1", "500")]
    [InlineData("Request__Timeout", "00:00:00.05", "00:05")]
    [InlineData("Shutdown__Delay", "-00:00:01")]
    [InlineData("ASPNETCORE_URLS", "http://localhost:abc", "http://localhost:99999", "http://localhost:0", "http://192.0.2.1:8080")]
    [InlineData("ASPNETCORE_URLS", "http://greeter.example.com:8080", "http://127.0.0.1:0/greeter", "http://127.0.0.1:0;127.0.0.1:0")]
    [InlineData("ASPNETCORE_URLS", "https://127.0.0.1:8443")]
    [InlineData("DOTNET_URLS", "http://localhost:abc")]
    [InlineData("ASPNETCORE_HTTP_PORTS", "eighty")]
    [InlineData("ASPNETCORE_HTTPS_PORTS", "8443")]
    [InlineData("Kestrel__Endpoints__Https__Url", "https://127.0.0.1:8443")]
    [InlineData("GOOGLE_CLOUD_PROJECT", "Bad_Project", "PROJECT_ID", "\"my-project\"", "my project", "projét", "greetings-")]
    [InlineData("GOOGLE_CLOUD_PROJECT", "projects/my-project")]
    [InlineData("Firestore__DatabaseId", "DATABASE_ID", "my database", "(Default)", "greetings-é")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]
    public async Task Invalid_setting_is_refused_by_its_name(string name, params string[] values)
    {
        foreach (var value in values)
        {
            var message = await RefuseAsync([], ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1"), (name, value));

            // The Kestrel section has names of the operator's choice.
            message.Should().Contain(name.Replace("__Https__Url", "", StringComparison.Ordinal)).And.NotContain(value);
        }
    }

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData("FIRESTORE_EMULATOR_HOST", "http://localhost:8080")]
    [InlineData("FIRESTORE_EMULATOR_HOST", "localhost")]
    [InlineData("Firestore__Endpoint", "https://firestore.googleapis.com")]
    public async Task Invalid_setting_of_the_client_is_refused_by_its_name(string name, string value) =>
        (await RefuseAsync([], (name, value))).Should().Contain(name).And.NotContain(value);

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData("GOOGLE_APPLICATION_CREDENTIALS"), InlineData("GOOGLE_CLOUD_PROJECT"), InlineData("FIRESTORE_EMULATOR_HOST")]
    [InlineData("Firestore__DatabaseId"), InlineData("Firestore__Endpoint"), InlineData("Firestore__EmbeddedFolder")]
    [InlineData("PORT"), InlineData("ASPNETCORE_URLS"), InlineData("ASPNETCORE_HTTP_PORTS"), InlineData("Session__Lifetime")]
    [InlineData("ASPNETCORE_ENVIRONMENT"), InlineData("ASPNETCORE_CONTENTROOT")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT"), InlineData("OTEL_EXPORTER_OTLP_PROTOCOL")]
    public async Task Key_in_the_wrong_setting_is_not_printed(string name)
    {
        (string, string)[] more = name switch
        {
            "Firestore__EmbeddedFolder" => [("ASPNETCORE_ENVIRONMENT", "Development")],
            "OTEL_EXPORTER_OTLP_PROTOCOL" => [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")],
            _ => [],
        };
        foreach (var value in new[] { Key, Key.Replace('"', ' ').Replace('{', ' ').Replace("\\n", "\n", StringComparison.Ordinal) })
        {
            var (exitCode, output) = await RunAsync([], [.. more, (name, value)]);

            exitCode.Should().Be(1);
            output.Should().Contain(name).And.NotContain("service_account").And.NotContain("PRIVATE KEY").And.NotContain("MIIEvQ");
            output.Split('\n').Should().ContainSingle();
        }
    }

    [Theory]
    [InlineData("-urls", "-urls=http://127.0.0.1:0")]
    [InlineData("-urls", "-urls", "http://127.0.0.1:0")]
    [InlineData("-p", "--PORT=0", "-p")]
    [InlineData("Argument 2", "--PORT=0", "http://127.0.0.1:0")]
    [InlineData("--urls", "--urls=http://localhost:abc")]
    [InlineData("--urls", "--urls", "http://192.0.2.1:8080")]
    public async Task Invalid_argument_is_refused_by_its_name(string name, params string[] arguments) =>
        (await RefuseAsync(arguments)).Should().Contain(name).And.NotContain("127.0.0.1:0");

    [Theory, InlineData("--urls"), InlineData("--help"), InlineData("--Session:Lifetime")]
    public async Task Last_argument_without_a_value_leaves_no_trace_of_the_apps_own(string argument)
    {
        await using var app = await GreeterProcess.StartAsync(
            [argument], [.. await Documents.InDevelopmentAsync(folder), ("PORT", "0")]);

        app.Text.Should().NotContain("hostBuilder");
        Directory.GetFiles($"/proc/{app.Id}/fd").Select(file => new FileInfo(file).LinkTarget)
            .Should().NotContain(target => target!.Contains("inotify"), "no file is watched");
    }

    [Theory]
    [InlineData("appsettings.json", """{"Session": {"Lifetime": "7.00:00:00"}""")]
    [InlineData("appsettings.json", """{"Session": {"Lifetime": s3cret}}""")]
    [InlineData("appsettings.json", """["s3cret"]""")]
    [InlineData("appsettings.Production.json", """{"s3cret": 1, "s3cret": 2}""")]
    public async Task Invalid_settings_file_is_refused_by_its_path(string name, string content)
    {
        var file = Path.Combine(folder.Path, name);
        await File.WriteAllTextAsync(file, content);

        (await RefuseAsync([$"--contentRoot={folder.Path}"])).Should().Contain(file).And.NotContain("s3cret");
    }

    [Theory, InlineData("missing"), InlineData("file")]
    public async Task Missing_content_root_is_refused_by_its_path(string name)
    {
        var root = Path.Combine(folder.Path, name);
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "file"), "");

        (await RefuseAsync([], ("ASPNETCORE_CONTENTROOT", root))).Should().Contain(root).And.Contain("ASPNETCORE_CONTENTROOT");
    }

    [Theory]
    [InlineData("Production", "Development"), InlineData("Development", "Production"), InlineData("Staging", "Production")]
    public async Task Contradicting_environments_are_refused(string one, string other) =>
        (await RefuseAsync([], ("ASPNETCORE_ENVIRONMENT", one), ("DOTNET_ENVIRONMENT", other)))
            .Should().Contain("ASPNETCORE_ENVIRONMENT and DOTNET_ENVIRONMENT");

    [Theory(Skip = Improvement.Advice, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData("GOOGLE_CLOUD_PROJECT", "my-project")]
    [InlineData("Firestore__Endpoint", "firestore.example.com")]
    public async Task Development_without_credentials_advises_to_unset_what_chose_Cloud_Firestore(string name, string value)
    {
        var message = await RefuseAsync([], ("ASPNETCORE_ENVIRONMENT", "Development"), (name, value));

        message.Should().Contain("gcloud auth application-default login")
            .And.Contain($"unset {name} to use the embedded store").And.NotContain("ASPNETCORE_ENVIRONMENT");
    }

    [Fact]
    public async Task Bug_ends_the_process_with_one_entry_that_has_the_stack_trace()
    {
        var (exitCode, output) = await RunAsync([], ("DOTNET_STARTUP_HOOKS", typeof(StartupHook).Assembly.Location));

        exitCode.Should().Be(1);
        var entry = JsonDocument.Parse(output).RootElement;
        entry.GetProperty("severity").GetString().Should().Be("CRITICAL");
        entry.GetProperty("stack_trace").GetString().Should().Contain(StartupHook.Message).And.Contain("   at ");
    }

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Folder_that_cannot_be_created_stops_the_start_with_advice() =>
        (await RefuseAsync([], ("ASPNETCORE_ENVIRONMENT", "Development"), ("Firestore__EmbeddedFolder", "/dev/null/x")))
            .Should().Contain("Firestore__EmbeddedFolder");

    [Theory(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData("GAE_SERVICE"), InlineData("K_SERVICE"), InlineData("DYNO")]
    public async Task Embedded_store_is_refused_on_a_platform(string variable) =>
        (await RefuseAsync([], ("ASPNETCORE_ENVIRONMENT", "Development"), (variable, "greeter")))
            .Should().Contain(variable).And.Contain("ASPNETCORE_ENVIRONMENT");

    [Fact]
    public async Task Port_in_use_stops_the_start_with_advice()
    {
        using var listener = new TcpListener(IPAddress.Any, 0);
        listener.Start();
        var port = $"{((IPEndPoint)listener.LocalEndpoint).Port}";

        var (exitCode, output) = await RunAsync([], [.. await Documents.InDevelopmentAsync(folder), ("PORT", port)]);

        exitCode.Should().Be(1);
        output.Should().Contain(port).And.Contain("address already in use").And.Contain("set PORT").And.NotContain("   at ");
    }

    [Fact]
    public Task Test_that_hosts_the_app_gets_the_exception() =>
        FluentActions.Awaiting(() => GreeterApp.StartAsync(("Session:Lifetime", "24:00:00")))
            .Should().ThrowAsync<OptionsValidationException>().WithMessage("*Session__Lifetime*");

    [Theory]
    [InlineData("http://127.0.0.2:0", "0", "http://127.0.0.2:")]
    [InlineData("", "0", "http://[::]:")]
    [InlineData("", "", "http://127.0.0.3:")]
    public async Task Urls_argument_overrides_PORT_which_overrides_ASPNETCORE_URLS(string urls, string port, string expected)
    {
        (string, string)[] environment =
            [.. await Documents.InDevelopmentAsync(folder), ("PORT", port), ("ASPNETCORE_URLS", "http://127.0.0.3:0")];

        await using var app = await GreeterProcess.StartAsync(urls.Length > 0 ? ["--urls", urls] : [], environment);

        app.Text.Should().Contain($"Now listening on: {expected}");
        (await app.VisitAsync()).Views.Should().Be(1);
    }

    [Theory]
    [InlineData("ASPNETCORE_URLS", ""), InlineData("ASPNETCORE_URLS", " ; ")]
    [InlineData("ASPNETCORE_HTTP_PORTS", ""), InlineData("PORT", " ")]
    public async Task Empty_address_is_port_8080_of_localhost(string name, string value)
    {
        await using var app = GreeterProcess.Start([.. await Documents.InDevelopmentAsync(folder), (name, value)]);

        // Another process may use the port.
        await app.WaitForLineAsync(":8080", TimeSpan.FromMinutes(1));
    }

    [Theory]
    [InlineData("ASPNETCORE_HTTP_PORTS", "8080")]
    [InlineData("ASPNETCORE_HTTPS_PORTS", "8443")]
    [InlineData("ASPNETCORE_URLS", "http://0.0.0.0:8080")]
    public async Task PORT_beside_the_settings_of_a_base_image_causes_no_warning(string name, string value)
    {
        await using var app = await GreeterProcess.StartAsync([.. await Documents.InDevelopmentAsync(folder), (name, value)]);

        app.Output.Should().OnlyContain(line => line.Contains(" INF] "));
    }

    /// <summary>Runs the app, in Production by default, which ends with one entry about a mistake.</summary>
    /// <returns>The message; in Development the line.</returns>
    internal static async Task<string> RefuseAsync(string[] arguments, params (string, string)[] environment)
    {
        var (exitCode, output) = await RunAsync(arguments, environment);

        exitCode.Should().Be(1);
        output.Should().NotContain("\n").And.NotContain("   at ");
        if (output.StartsWith('['))
        {
            return output.Should().Contain(" FTL] Greeter can't start. ").And.Subject;
        }
        var entry = JsonElement.Parse(output);
        entry.GetProperty("severity").GetString().Should().Be("CRITICAL");
        entry.TryGetProperty("stack_trace", out _).Should().BeFalse();
        return entry.GetProperty("message").GetString().Should().StartWith("Greeter can't start. ").And.Subject;
    }

    // On a machine without credentials.
    private static Task<(int ExitCode, string Output)> RunAsync(string[] arguments, params (string, string)[] environment) =>
        GreeterProcess.RunAsync(arguments, [("HOME", "/nonexistent"), ("NO_GCE_CHECK", "true"), .. environment]);
}
