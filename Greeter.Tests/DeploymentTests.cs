using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Xml.Linq;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>Rehearses deployments: the platforms' own commands on the files that they would get.</summary>
public class DeploymentTests
{
    private static readonly string AppYaml = Path.Combine(Repository.Root, "app.yaml");

    // MSBuild reads a property from the environment, too.
    private static readonly (string, string) Packages = ("OfficialPackages", Improvement.IsMissing ? "true" : "");

    [GcloudFact]
    public async Task Gcloud_accepts_app_yaml_with_the_settings_that_the_app_needs()
    {
        var app = await Gcloud.ParseAppYamlAsync(AppYaml);

        app.GetProperty("env").GetString().Should().Be("flex");
        app.GetProperty("betaSettings").GetProperty("vm_runtime").GetString().Should().Be("aspnetcore");
        var runtime = app.GetProperty("flexibleRuntimeSettings");
        runtime.GetProperty("operatingSystem").GetString().Should().Be("ubuntu24");
        runtime.GetProperty("runtimeVersion").GetString().Should().Be("10");
        var build = BuildVariables(app).ToDictionary();
        build["GOOGLE_ASP_NET_CORE_VERSION"].Should().Be("10.0.*");
        XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props"))
            .Descendants("TargetFramework").Single().Value.Should().Be("net10.0", "app.yaml names that version");
        build["GOOGLE_BUILDABLE"].Should().EndWith(".csproj").And.BeOneOf(await Gcloud.ListUploadAsync(Repository.Root));
        app.GetProperty("livenessCheck").GetProperty("path").GetString().Should().Be("/health/live");
        app.GetProperty("readinessCheck").GetProperty("path").GetString().Should().Be("/health/ready");
    }

    [GcloudFact]
    public async Task Gcloud_rejects_app_yaml_with_a_misspelled_key()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "app.yaml");
        var text = await File.ReadAllTextAsync(AppYaml);
        text.Should().Contain("min_num_instances");
        await File.WriteAllTextAsync(path, text.Replace("min_num_instances", "min_number_instances", StringComparison.Ordinal));

        var parse = () => Gcloud.ParseAppYamlAsync(path);

        await parse.Should().ThrowAsync<InvalidOperationException>().WithMessage("*'min_number_instances'*AutomaticScaling*");
    }

    [GcloudFact]
    public async Task Gcloud_uploads_the_app_and_no_other_files()
    {
        using var folder = new TemporaryFolder();
        Repository.Copy(Repository.Sources(), folder.Path);
        var before = await Gcloud.ListUploadAsync(folder.Path);
        string[] strays =
        [
            "bin/Greeter.Api.dll", "Greeter.Api/bin/Release/net10.0/Greeter.Api.runtimeconfig.json",
            "Greeter.Api/obj/project.assets.json", "Greeter.Firestore/obj/Debug/net10.0/Firestore.cs",
            "Greeter.Api/.firestore/sessions.jsonl", ".firestore/embedded.json", ".git/config", ".vs/state.json",
            "my-project-1a2b3c4d5e6f.json", "Greeter.Api/key.json", "credentials/application_default_credentials.json",
            "server.pem", "Greeter.Api/server.pfx", "service.p12", "tls.key", ".env", ".env.production",
            "Greeter.Tests/bin/Debug/net10.0/Greeter.Tests.dll", "TestResults/results.trx",
            "Greeter.Tests/More.cs", "bench/More.cs", "docs/more.cs", "docs/browser.png", "NOTICE", "CONTRIBUTING.md",
        ];
        foreach (var stray in strays)
        {
            var path = Path.Combine(folder.Path, stray);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllTextAsync(path, "stray");
        }

        var after = await Gcloud.ListUploadAsync(folder.Path);

        after.Should().Equal(before);
        string[] besides = ["app.yaml", "global.json", "Directory.Build.props", "Directory.Packages.props", ".editorconfig"];
        after.Should().Contain(besides);
        var sources = after.Except(besides).ToList();
        sources.Should().OnlyContain(file => file.StartsWith("Greeter.Api/") || file.StartsWith("Greeter.Firestore/"));
        sources.Select(file => Path.GetExtension(file)).Distinct().Should().BeEquivalentTo(".cs", ".csproj", ".proto");
    }

    [DeploymentFact, Trait("Category", "Slow")]
    public async Task App_Engine_builds_and_serves_what_gcloud_uploads()
    {
        using var folder = new TemporaryFolder();
        var source = Path.Combine(folder.Path, "source");
        var output = Path.Combine(folder.Path, "bin");
        Repository.Copy(await Gcloud.ListUploadAsync(Repository.Root), source);
        var variables = BuildVariables(await Gcloud.ParseAppYamlAsync(Path.Combine(source, "app.yaml")));
        var project = variables.Single(one => one.Key == "GOOGLE_BUILDABLE").Value;
        var packages = Path.Combine(folder.Path, "packages");

        // The commands of Google's buildpack: github.com/GoogleCloudPlatform/buildpacks, cmd/dotnet/publish
        await Command.RunAsync(source, "dotnet", ["restore", "--packages", packages, project], variables);
        string[] publish =
        [
            "publish", "-nologo", "--verbosity", "minimal", "--configuration", "Release", "--output", output, "--no-restore",
            "--packages", packages, project,
        ];
        await Command.RunAsync(source, "dotnet", publish, variables);

        ShouldBeReadyToStart(output);
        await using var app = await GreeterProcess.StartLineAsync(
            "/",
            $"cd {output} && exec dotnet Greeter.Api.dll",
            ("ASPNETCORE_URLS", "http://0.0.0.0:$PORT"),
            ("DOTNET_RUNNING_IN_CONTAINER", "true"),
            ("GOOGLE_CLOUD_PROJECT", "deployed"),
            ("GAE_SERVICE", "default"),
            ("GAE_VERSION", "20250101t000000"),
            ("GAE_INSTANCE", "aef-default-1"),
            ("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host));
        await ShouldServeBehindAProxyAsync(app);
    }

    [DeploymentFact, Trait("Category", "Slow")]
    public async Task Heroku_builds_and_serves_the_solution()
    {
        using var folder = new TemporaryFolder();
        Repository.Copy(Repository.Sources(), folder.Path);
        LeaveOnlyTheApp(Path.Combine(folder.Path, "Greeter.slnx"));

        // The command of Heroku's buildpack: github.com/heroku/buildpacks-dotnet
        string[] publish = ["publish", "Greeter.slnx", "-c", "Release", "--runtime", "linux-x64", "-p:PublishDir=bin/publish"];
        await Command.RunAsync(folder.Path, "dotnet", publish, ("RunAnalyzers", "false"), Packages);

        ShouldBeReadyToStart(Path.Combine(folder.Path, "Greeter.Api/bin/publish"));
        Directory.EnumerateFiles(folder.Path, "*.runtimeconfig.json", SearchOption.AllDirectories)
            .Where(file => file.Contains("/bin/publish/", StringComparison.Ordinal))
            .Should().ContainSingle("Heroku starts the one published program");
        await using var app = await GreeterProcess.StartLineAsync(
            folder.Path,
            "cd Greeter.Api/bin/publish; ./Greeter.Api --urls http://*:$PORT",
            ("DYNO", "web.1"),
            ("GOOGLE_CLOUD_PROJECT", "deployed"),
            ("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host));
        await ShouldServeBehindAProxyAsync(app);
    }

    [Fact]
    public async Task Local_build_is_portable_and_downloads_no_compiler()
    {
        var project = Path.Combine(Repository.Root, "Greeter.Api", "Greeter.Api.csproj");

        var properties = await Command.RunAsync(
            Repository.Root,
            "dotnet",
            ["msbuild", project, "-getProperty:RuntimeIdentifier,RuntimeIdentifiers,PublishReadyToRun"]);

        using var json = JsonDocument.Parse(properties);
        json.RootElement.GetProperty("Properties").EnumerateObject().Select(property => property.Value.GetString())
            .Should().HaveCount(3).And.AllBe("");
    }

    private static (string Key, string Value)[] BuildVariables(JsonElement app) =>
        [.. app.GetProperty("buildEnvVariables").EnumerateObject().Select(one => (one.Name, one.Value.GetString()!)), Packages];

    // The tests and the bench take most of the time to build, and are not published.
    private static void LeaveOnlyTheApp(string solution)
    {
        var projects = XDocument.Load(solution);
        foreach (var project in projects.Descendants("Project").ToList())
        {
            var path = project.Attribute("Path")!.Value;
            if (!path.StartsWith("Greeter.Api/", StringComparison.Ordinal)
                && !path.StartsWith("Greeter.Firestore/", StringComparison.Ordinal))
            {
                XDocument.Load(Path.Combine(Repository.Root, path)).Descendants("IsPublishable").Should().ContainSingle()
                    .Which.Value.Should().Be("false", path);
                if (!Repository.IsOnCI)
                {
                    project.Remove();
                }
            }
        }
        projects.Save(solution);
    }

    // One program for any 10.0 runtime, compiled ahead of time.
    private static void ShouldBeReadyToStart(string output)
    {
        var configuration = Directory.EnumerateFiles(output, "*.runtimeconfig.json").Should().ContainSingle().Subject;
        using var json = JsonDocument.Parse(File.ReadAllText(configuration));
        var options = json.RootElement.GetProperty("runtimeOptions");
        options.TryGetProperty("includedFrameworks", out _).Should().BeFalse("the platform brings the runtime");
        options.GetProperty("frameworks").EnumerateArray().Select(framework => framework.GetProperty("version").GetString())
            .Should().AllBe("10.0.0");
        foreach (var name in new[] { "Greeter.Api.dll", $"{typeof(FirestoreDb).Assembly.GetName().Name}.dll", "Serilog.dll" })
        {
            IsCompiledAheadOfTime(Path.Combine(output, name)).Should().BeTrue(name);
        }
    }

    // An assembly with ReadyToRun code has a managed native header.
    private static bool IsCompiledAheadOfTime(string assembly)
    {
        using var file = new System.Reflection.PortableExecutable.PEReader(File.OpenRead(assembly));
        return file.PEHeaders.CorHeader!.ManagedNativeHeaderDirectory.Size > 0;
    }

    private static async Task ShouldServeBehindAProxyAsync(GreeterProcess app)
    {
        using var handler = new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false };
        using var client = new HttpClient(handler) { BaseAddress = app.Address };

        using var first = await SendAsync(client, "https", cookie: null);
        first.StatusCode.Should().Be(HttpStatusCode.OK, app.Text);
        var page = await first.Content.ReadAsStringAsync();
        page.Should().StartWith("<body>1 views for ");
        first.Headers.GetValues("Strict-Transport-Security").Should().Equal("max-age=31536000; includeSubDomains");
        var cookie = first.Headers.GetValues("Set-Cookie").Should().ContainSingle().Subject;
        cookie.Should().StartWith("session_id=").And.ContainEquivalentOf("; secure").And.ContainEquivalentOf("; httponly");

        using var second = await SendAsync(client, "https", cookie.Split(';')[0]);
        (await second.Content.ReadAsStringAsync()).Should().Be(page.Replace("<body>1 ", "<body>2 ", StringComparison.Ordinal));

        using var plain = await SendAsync(client, "http", cookie: null);
        plain.StatusCode.Should().Be(HttpStatusCode.PermanentRedirect);
        plain.Headers.Location.Should().Be("https://greeter.example.com/");
        plain.Headers.Contains("Set-Cookie").Should().BeFalse();

        foreach (var path in new[] { "/health/live", "/health/ready" })
        {
            (await RespondsInTimeAsync(client, path)).Should().BeTrue(path);
        }
    }

    // App Engine repeats the check until app_start_timeout_sec has passed. Here that is 20 s.
    private static async Task<bool> RespondsInTimeAsync(HttpClient client, string path)
    {
        for (var i = 0; i < 100; i++, await Task.Delay(200))
        {
            using var answer = await client.GetAsync(path);
            if (answer.StatusCode == HttpStatusCode.OK)
            {
                return true;
            }
        }
        return false;
    }

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, string scheme, string? cookie)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/");
        request.Headers.Host = "greeter.example.com";
        request.Headers.Add("X-Forwarded-Proto", scheme);
        request.Headers.Add("X-Forwarded-For", "203.0.113.7");
        if (cookie is not null)
        {
            request.Headers.Add("Cookie", cookie);
        }
        return await client.SendAsync(request);
    }
}

/// <summary>Marks a test that builds and starts the app as a platform does.</summary>
public sealed class DeploymentFactAttribute : FactAttribute
{
    public DeploymentFactAttribute() => Skip = OperatingSystem.IsLinux()
        ? Gcloud.MissingReason ?? Emulator.MissingReason
        : "The platforms build and run on Linux.";
}
