using System.Xml.Linq;

namespace Greeter.Tests;

/// <summary>Rehearses the deployments: gcloud's own commands, and the commands and start lines of Google's and Heroku's buildpacks.
/// </summary>
/// <remarks>The builds take half a minute each, so they run only in CI. Elsewhere, the start lines start the app that the tests
/// have built.</remarks>
[Trait("Category", "Slow")]
public sealed class DeploymentTests
{
    private const string NotLinux = "The platforms build and run on Linux.";

    private static readonly string AppYaml = Path.Combine(Repository.Root, "app.yaml");

    [Fact]
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

    [Fact]
    public async Task Gcloud_uploads_the_app_and_no_other_files()
    {
        string[] projects = ["Greeter.Api", "Greeter.Firestore", "Greeter.Firestore.Embedded"];
        string[] settings = ["Greeter.Api/appsettings.json", "Greeter.Api/appsettings.Production.json"];
        string[] needed =
        [
            "app.yaml", "global.json", "Directory.Build.props", "Directory.Packages.props", ".editorconfig", .. settings,
            "Greeter.Firestore.Embedded/documents.sql",
            .. Repository.Sources().Where(file =>
                projects.Contains(file.Split('/')[0]) && Path.GetExtension(file) is ".cs" or ".csproj" or ".proto"),
        ];
        string[] strays =
        [
            "bin/Greeter.Api.dll", "Greeter.Api/bin/Release/net10.0/Greeter.Api.runtimeconfig.json",
            "Greeter.Api/obj/project.assets.json", "Greeter.Firestore/obj/Debug/net10.0/Firestore.cs",
            "Greeter.Api/.firestore/documents.db", "Greeter.Api/documents.sql", ".git/config", ".vs/state.json",
            "my-project-1a2b3c4d5e6f.json", "Greeter.Api/key.JSON", "Greeter.Api/appsettings-key.json", "cert.PEM", "id_rsa",
            "greeter-key", "Greeter.Api/greeter-key", "Greeter.Firestore/Transport/TLS.KEY", "Greeter.Api/keys/service.p12",
            "credentials/application_default_credentials.json", ".env", "Greeter.Api/.env.production", "nuget.config",
            "Greeter.Tests/bin/Debug/net10.0/Greeter.Tests.dll", "TestResults/results.trx",
            "Greeter.Tests/More.cs", "bench/More.cs", "docs/more.cs", "docs/browser.png", "NOTICE", "CONTRIBUTING.md",
        ];
        using var folder = new TemporaryFolder();
        Repository.Copy(Repository.Sources(), folder.Path);
        foreach (var file in settings.Concat(strays))
        {
            var path = Path.Combine(folder.Path, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllTextAsync(path, "{}");
        }

        var upload = await Gcloud.ListUploadAsync(folder.Path);

        upload.Should().BeEquivalentTo(needed);
    }

    [Fact]
    public async Task App_Engine_builds_and_serves_what_gcloud_uploads()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), NotLinux);
        using var folder = new TemporaryFolder();
        var output = Repository.IsOnCI ? await PublishAsGoogleAsync(folder.Path) : AppContext.BaseDirectory;

        await using var app = await GreeterProcess.StartLineAsync(
            "/",
            $"cd '{output}' && exec dotnet Greeter.Api.dll",
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
    public async Task Heroku_builds_and_serves_the_solution()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), NotLinux);
        using var folder = new TemporaryFolder();
        var output = Repository.IsOnCI ? await PublishAsHerokuAsync(folder.Path) : AppContext.BaseDirectory;

        await using var app = await GreeterProcess.StartLineAsync(
            folder.Path,
            $"cd '{output}'; ./Greeter.Api --urls http://*:$PORT",
            ("DYNO", "web.1"),
            ("GOOGLE_CLOUD_PROJECT", "deployed"),
            ("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host));
        await DeployedApp.ShouldServeBehindAProxyAsync(app);
    }

    [Fact]
    public async Task Local_build_is_portable_downloads_no_compiler_and_has_native_libraries_of_this_platform_only()
    {
        string[] evaluate = ["msbuild", "Greeter.Api", "-getProperty:RuntimeIdentifier,RuntimeIdentifiers,PublishReadyToRun"];

        var properties = JsonElement.Parse(await Command.RunAsync(Repository.Root, "dotnet", evaluate)).GetProperty("Properties");

        properties.EnumerateObject().Select(property => property.Value.GetString()).Should().AllBe("");
        DeployedApp.ShouldHaveNativeLibrariesOfOnePlatform(AppContext.BaseDirectory);
    }

    private static async Task<string> PublishAsGoogleAsync(string folder)
    {
        var source = Path.Combine(folder, "source");
        var output = Path.Combine(folder, "bin");
        // Where this clone needs a nuget.config, the build here needs it, too.
        var config = Repository.Sources().Where(file => file.Equals("nuget.config", StringComparison.OrdinalIgnoreCase));
        Repository.Copy((await Gcloud.ListUploadAsync(Repository.Root)).Union(config), source);
        await AgeAsync(source);
        var variables = BuildVariables(await Gcloud.ParseAppYamlAsync(Path.Combine(source, "app.yaml")));
        var project = variables.Single(one => one.Key == "GOOGLE_BUILDABLE").Value;
        var packages = Path.Combine(folder, "packages");
        (string, string)[] properties = [.. variables, DeployedApp.PackagesProperty];

        // The commands of Google's buildpack: github.com/GoogleCloudPlatform/buildpacks, cmd/dotnet/publish
        await Command.RunAsync(source, "dotnet", ["restore", "--packages", packages, project], properties);
        string[] publish =
        [
            "publish", "-nologo", "--verbosity", "minimal", "--configuration", "Release", "--output", output, "--no-restore",
            "--packages", packages, project,
        ];
        await Command.RunAsync(source, "dotnet", publish, properties);

        DeployedApp.ShouldBeReadyToStart(output);
        return output;
    }

    private static async Task<string> PublishAsHerokuAsync(string folder)
    {
        var source = Path.Combine(folder, "source");
        Repository.Copy(Repository.Sources(), source);
        await AgeAsync(source);

        // The command of Heroku's buildpack: github.com/heroku/buildpacks-dotnet
        string[] publish = ["publish", "Greeter.slnx", "-c", "Release", "--runtime", "linux-x64", "-p:PublishDir=bin/publish"];
        await Command.RunAsync(source, "dotnet", publish, DeployedApp.PackagesProperty);

        var output = Path.Combine(source, "Greeter.Api/bin/publish");
        DeployedApp.ShouldBeReadyToStart(output);
        Directory.EnumerateFiles(source, "*.runtimeconfig.json", SearchOption.AllDirectories)
            .Where(file => file.Contains("/bin/publish/", StringComparison.Ordinal))
            .Should().ContainSingle("Heroku starts the one published program");
        return output;
    }

    /// <summary>Adds what a build meets as it ages: a warning in the code, and a source of advisories that doesn't answer.</summary>
    private static async Task AgeAsync(string source)
    {
        await File.WriteAllTextAsync(Path.Combine(source, "Greeter.Api/Aged.cs"), "#warning The code of an old project\n");
        // Above the sources, so that it doesn't replace theirs. Nothing listens on the port.
        await File.WriteAllTextAsync(Path.Combine(source, "../nuget.config"), """
            <configuration>
              <auditSources>
                <add key="unreachable" value="https://127.0.0.1:1/index.json" />
              </auditSources>
            </configuration>
            """);
    }

    private static (string Key, string Value)[] BuildVariables(JsonElement app) =>
        [.. app.GetProperty("buildEnvVariables").EnumerateObject().Select(one => (one.Name, one.Value.GetString()!))];
}
