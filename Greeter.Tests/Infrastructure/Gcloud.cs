namespace Greeter.Tests.Infrastructure;

/// <summary>The gcloud CLI, offline and without an account. Tests that use it are skipped if it is missing, but not in CI.</summary>
internal static class Gcloud
{
    // gcloud has no command that only reads app.yaml. These are the first steps of its deploy command.
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

    /// <summary>Lists the files that gcloud app deploy would upload: sorted paths, relative to the folder.</summary>
    public static async Task<string[]> ListUploadAsync(string folder)
    {
        var files = await RunAsync(folder, "meta", "list-files-for-upload", ".");
        return [.. files.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal)];
    }

    /// <summary>Returns an app.yaml in the form that App Engine's API would get.</summary>
    /// <exception cref="InvalidOperationException">gcloud rejects the file. The message says why.</exception>
    public static async Task<JsonElement> ParseAppYamlAsync(string path)
    {
        var folder = Path.GetDirectoryName(path)!;
        var info = await RunAsync(folder, "info", "--format=value(basic.python_location,installation.sdk_root)");
        var parts = info.Trim().Split('\t');
        return JsonElement.Parse(await Command.RunAsync(folder, parts[0], ["-c", ParseScript, parts[1], path]));
    }

    private static async Task<string> RunAsync(string folder, params string[] arguments)
    {
        Tool.SkipTestIf(Repository.IsOnCI || Tool.IsOnPath("gcloud") ? null : "The gcloud CLI is missing. Install it.");
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
