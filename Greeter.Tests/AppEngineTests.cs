using System.Text.Json;
using System.Xml.Linq;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>Rehearses the deployment to App Engine: gcloud's own commands, and those of Google's buildpack on the uploaded files.
/// </summary>
[Trait("Category", "Slow")]
public sealed class AppEngineTests
{
    private static readonly string AppYaml = Path.Combine(Repository.Root, "app.yaml");

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

    [DeploymentFact]
    public async Task App_Engine_builds_and_serves_what_gcloud_uploads()
    {
        using var folder = new TemporaryFolder();
        var source = Path.Combine(folder.Path, "source");
        var output = Path.Combine(folder.Path, "bin");
        Repository.Copy(await Gcloud.ListUploadAsync(Repository.Root), source);
        var variables = BuildVariables(await Gcloud.ParseAppYamlAsync(Path.Combine(source, "app.yaml")));
        var project = variables.Single(one => one.Key == "GOOGLE_BUILDABLE").Value;
        var packages = Path.Combine(folder.Path, "packages");
        (string, string)[] properties = [.. variables, .. DeployedApp.Properties];

        // The commands of Google's buildpack: github.com/GoogleCloudPlatform/buildpacks, cmd/dotnet/publish
        await Command.RunAsync(source, "dotnet", ["restore", "--packages", packages, project], properties);
        string[] publish =
        [
            "publish", "-nologo", "--verbosity", "minimal", "--configuration", "Release", "--output", output, "--no-restore",
            "--packages", packages, project,
        ];
        await Command.RunAsync(source, "dotnet", publish, properties);

        DeployedApp.ShouldBeReadyToStart(output);
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
        await DeployedApp.ShouldServeBehindAProxyAsync(app);
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
        [.. app.GetProperty("buildEnvVariables").EnumerateObject().Select(one => (one.Name, one.Value.GetString()!))];
}
