namespace Greeter.Tests.Infrastructure;

/// <summary>What holds for the app on every platform.</summary>
internal static class DeployedApp
{
    /// <summary>Gets the environment variable that MSBuild reads as a property, and that selects the app's packages.</summary>
    public static (string, string) PackagesProperty { get; } = ("FirestoreClient", Improvement.IsPresent ? "" : "Google");

    /// <summary>Asserts that the build is one program for any 10.0 runtime, compiled ahead of time.</summary>
    public static void ShouldBeReadyToStart(string output)
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
        ShouldHaveNativeLibrariesOfOnePlatform(output);
    }

    /// <summary>Asserts that SQLite's native library is there once. Its package has 50 MB for 30 platforms.</summary>
    public static void ShouldHaveNativeLibrariesOfOnePlatform(string output) =>
        Directory.EnumerateFiles(output, "*", SearchOption.AllDirectories)
            .Where(file => Path.GetFileName(file) is "libe_sqlite3.so" or "libe_sqlite3.dylib" or "e_sqlite3.dll")
            .Should().HaveCount(Improvement.IsPresent ? 1 : 0);

    // An assembly with ReadyToRun code has a managed native header.
    private static bool IsCompiledAheadOfTime(string assembly)
    {
        using var file = new System.Reflection.PortableExecutable.PEReader(File.OpenRead(assembly));
        return file.PEHeaders.CorHeader!.ManagedNativeHeaderDirectory.Size > 0;
    }

    /// <summary>Asserts that the app serves a visitor through a proxy that receives HTTPS.</summary>
    public static async Task ShouldServeBehindAProxyAsync(GreeterProcess app)
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
