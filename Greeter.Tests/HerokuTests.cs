using System.Xml.Linq;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>Rehearses the deployment to Heroku: the command of its buildpack.</summary>
[Trait("Category", "Slow")]
public sealed class HerokuTests
{
    [DeploymentFact]
    public async Task Heroku_builds_and_serves_the_solution()
    {
        using var folder = new TemporaryFolder();
        Repository.Copy(Repository.Sources(), folder.Path);
        LeaveOnlyTheApp(Path.Combine(folder.Path, "Greeter.slnx"));

        // The command of Heroku's buildpack: github.com/heroku/buildpacks-dotnet
        string[] publish = ["publish", "Greeter.slnx", "-c", "Release", "--runtime", "linux-x64", "-p:PublishDir=bin/publish"];
        await Command.RunAsync(folder.Path, "dotnet", publish, DeployedApp.Properties);

        DeployedApp.ShouldBeReadyToStart(Path.Combine(folder.Path, "Greeter.Api/bin/publish"));
        Directory.EnumerateFiles(folder.Path, "*.runtimeconfig.json", SearchOption.AllDirectories)
            .Where(file => file.Contains("/bin/publish/", StringComparison.Ordinal))
            .Should().ContainSingle("Heroku starts the one published program");
        await using var app = await GreeterProcess.StartLineAsync(
            folder.Path,
            "cd Greeter.Api/bin/publish; ./Greeter.Api --urls http://*:$PORT",
            ("DYNO", "web.1"),
            ("GOOGLE_CLOUD_PROJECT", "deployed"),
            ("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host));
        await DeployedApp.ShouldServeBehindAProxyAsync(app);
    }

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
}
