using System.Text.Json;

namespace Greeter.Tests.Infrastructure;

/// <summary>Google's command line, offline and with nobody logged in.</summary>
internal static class Gcloud
{
    // gcloud has no command that reads app.yaml without deploying it: this is what its deploy command does first.
    private const string ParseScript = """
        import json, os, sys
        root = sys.argv[1]
        sys.path[:0] = [os.path.join(root, "lib"), os.path.join(root, "lib", "third_party")]
        from googlecloudsdk.api_lib.app import yaml_parsing
        from googlecloudsdk.appengine.admin.tools.conversion import yaml_schema_v1
        try:
            info = yaml_parsing.ServiceYamlInfo.FromFile(sys.argv[2])
        except yaml_parsing.Error as e:
            sys.exit(str(e))
        print(json.dumps(yaml_schema_v1.SCHEMA.ConvertValue(info.parsed.ToDict())))
        """;

    /// <summary>Why it cannot be used, and what to install; null if it can.</summary>
    public static string? MissingReason { get; } =
        Tool.IsOnPath("gcloud") ? null : "Google's command line is missing: install the gcloud CLI.";

    /// <summary>The files that gcloud app deploy would send from a folder: paths from there, sorted.</summary>
    public static async Task<string[]> ListUploadAsync(string folder)
    {
        var files = await RunAsync(folder, "meta", "list-files-for-upload", ".");
        return [.. files.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal)];
    }

    /// <summary>An app.yaml as App Engine's API would get it.</summary>
    /// <exception cref="InvalidOperationException">gcloud rejects it; the message says why.</exception>
    public static async Task<JsonElement> ParseAppYamlAsync(string path)
    {
        var folder = Path.GetDirectoryName(path)!;
        var info = await RunAsync(folder, "info", "--format=value(basic.python_location,installation.sdk_root)");
        var parts = info.Trim().Split('\t');
        return JsonElement.Parse(await Command.RunAsync(folder, parts[0], ["-c", ParseScript, parts[1], path]));
    }

    private static async Task<string> RunAsync(string folder, params string[] arguments)
    {
        using var settings = new TemporaryFolder();
        return await Command.RunAsync(
            folder,
            "gcloud",
            arguments,
            ("CLOUDSDK_CONFIG", settings.Path),
            ("CLOUDSDK_CORE_DISABLE_PROMPTS", "true"),
            ("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true"),
            ("CLOUDSDK_CORE_CHECK_GCE_METADATA", "false"));
    }
}

/// <summary>A test that needs Google's command line.</summary>
public sealed class GcloudFactAttribute : FactAttribute
{
    public GcloudFactAttribute() => Skip = Gcloud.MissingReason;
}
