using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>Rehearses the deployment to Heroku: the command and the start line of its buildpack.</summary>
[Trait("Category", "Slow")]
public sealed class HerokuTests
{
    // The build takes half a minute, and differs from App Engine's in its command. So on a laptop, only its settings are read.
    [DeploymentFact]
    public async Task Heroku_builds_and_serves_the_solution()
    {
        using var folder = new TemporaryFolder();
        var output = Repository.IsOnCI ? await PublishAsync(folder.Path) : AppContext.BaseDirectory;

        await using var app = await GreeterProcess.StartLineAsync(
            folder.Path,
            $"cd {output}; ./Greeter.Api --urls http://*:$PORT",
            ("DYNO", "web.1"),
            ("GOOGLE_CLOUD_PROJECT", "deployed"),
            ("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host));
        await DeployedApp.ShouldServeBehindAProxyAsync(app);
    }

    [Fact]
    public async Task Heroku_compiles_the_app_ahead_of_time()
    {
        string[] evaluate = ["msbuild", "Greeter.Api", "-p:RuntimeIdentifier=linux-x64", "-getProperty:PublishReadyToRun"];

        var property = await Command.RunAsync(Repository.Root, "dotnet", evaluate);

        property.Trim().Should().Be("true");
    }

    private static async Task<string> PublishAsync(string folder)
    {
        Repository.Copy(Repository.Sources(), folder);

        // The command of Heroku's buildpack: github.com/heroku/buildpacks-dotnet
        string[] publish = ["publish", "Greeter.slnx", "-c", "Release", "--runtime", "linux-x64", "-p:PublishDir=bin/publish"];
        await Command.RunAsync(folder, "dotnet", publish, DeployedApp.Properties);

        DeployedApp.ShouldBeReadyToStart(Path.Combine(folder, "Greeter.Api/bin/publish"));
        Directory.EnumerateFiles(folder, "*.runtimeconfig.json", SearchOption.AllDirectories)
            .Where(file => file.Contains("/bin/publish/", StringComparison.Ordinal))
            .Should().ContainSingle("Heroku starts the one published program");
        return "Greeter.Api/bin/publish";
    }
}
