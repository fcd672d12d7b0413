namespace Greeter.Tests;

/// <summary>The behavior behind a proxy that ends TLS.</summary>
public class ProxyTests
{
    [Fact]
    public async Task Responses_over_HTTPS_have_a_Secure_cookie_and_HSTS()
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();

        (string, string)[] requests = [("GET", "/"), ("HEAD", "/"), ("POST", "/"), ("GET", "/x"), ("GET", "/health/live")];
        foreach (var (method, path) in requests)
        {
            using var response = await SendAsync(app, method, path, "https");

            response.Headers.GetValues("Strict-Transport-Security").Should().Equal("max-age=31536000; includeSubDomains");
            AppTests.ShouldHaveSecurityHeaders(response);
            if (response.StatusCode == HttpStatusCode.OK && path == "/")
            {
                response.Headers.GetValues("Set-Cookie").Single().Should().Contain("; secure;");
            }
        }
        app.Calls.Fail(13, "down");
        using var failure = await SendAsync(app, "GET", "/", "https");
        failure.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        failure.Headers.GetValues("Strict-Transport-Security").Should().Equal("max-age=31536000; includeSubDomains");
    }

    [Theory]
    [InlineData("/", "https://greeter.example.com/")]
    [InlineData("/?a=b%20c", "https://greeter.example.com/?a=b%20c")]
    [InlineData("/x/y", "https://greeter.example.com/x/y")]
    public async Task HTTP_at_the_proxy_is_redirected_to_HTTPS(string path, string location)
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();

        using var response = await SendAsync(app, "GET", path, "http");

        response.StatusCode.Should().Be(HttpStatusCode.PermanentRedirect);
        response.Headers.Location!.OriginalString.Should().Be(location);
        response.Headers.Contains("Set-Cookie").Should().BeFalse();
        response.Headers.Contains("Strict-Transport-Security").Should().BeFalse("RFC 6797 forbids it over HTTP");
        AppTests.ShouldHaveSecurityHeaders(response);
        app.Calls.Methods.Should().BeEmpty();
    }

    [Fact]
    public async Task Internationalized_domain_name_is_served_and_redirected_like_any_other()
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(await Documents.InDevelopmentAsync(folder));
        using var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        using var visitor = new HttpClient(handler) { BaseAddress = app.Address };
        // The labels are Latin, Arabic with a digit at the end, and no valid Punycode.
        foreach (var host in new[] { "xn--bcher-kva.example.com", "xn--1-znc0alp.example.com", "xn--.example.com" })
        {
            using var page = await SendAsync(visitor, "GET", "/", "https", host);
            using var redirect = await SendAsync(visitor, "GET", "/", "http", host);

            page.StatusCode.Should().Be(HttpStatusCode.OK, host);
            page.Headers.Contains("Strict-Transport-Security").Should().BeTrue();
            redirect.StatusCode.Should().Be(HttpStatusCode.PermanentRedirect, host);
            redirect.Headers.Location!.OriginalString.Should().BeEquivalentTo($"https://{host}/");
        }
    }

    [Fact]
    public async Task HSTS_is_not_sent_for_this_machine()
    {
        string[] local =
        [
            "localhost", "LOCALHOST:8080", "localhost.", "greeter.localhost", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ];
        await using var app = await GreeterApp.StartAsync();
        using var visitor = app.CreateVisitor();

        foreach (var host in local.Concat(["localhost.example.com", "greeterlocalhost", "10.0.0.1"]))
        {
            using var response = await SendAsync(visitor, "GET", "/", "https", host);

            response.StatusCode.Should().Be(HttpStatusCode.OK);
            response.Headers.Contains("Strict-Transport-Security").Should().Be(!local.Contains(host), host);
        }
    }

    [Theory]
    [InlineData("GET / HTTP/1.0\r\n", "http", 400)]
    [InlineData("GET / HTTP/1.0\r\nHost:\r\n", "http", 400)]
    [InlineData("GET / HTTP/1.1\r\nHost:\r\n", "http", 400)]
    [InlineData("GET /x HTTP/1.0\r\n", "https, http", 400)]
    [InlineData("GET / HTTP/1.0\r\n", "https", 200)]
    [InlineData("GET /health/live HTTP/1.0\r\n", "http", 200)]
    public async Task Request_without_a_host_is_not_redirected(string head, string scheme, int status)
    {
        await using var app = await GreeterApp.StartAsync();

        var response = await app.SendRawAsync($"{head}X-Forwarded-Proto: {scheme}\r\nConnection: close\r\n\r\n");

        response.Should().StartWith($"HTTP/1.1 {status}").And.NotContain("Location:");
    }

    [Theory]
    [InlineData("ForwardedHeaders_Enabled", "http", HttpStatusCode.PermanentRedirect)]
    [InlineData("ForwardedHeaders_Enabled", "https", HttpStatusCode.OK)]
    [InlineData("ForwardedHeaders_Enabled", "https, http", HttpStatusCode.PermanentRedirect)]
    [InlineData("ForwardedHeaders_Enabled", "http, https", HttpStatusCode.OK)]
    [InlineData("None", "https, http", HttpStatusCode.PermanentRedirect)]
    [InlineData("None", "http, https", HttpStatusCode.OK)]
    [InlineData("None", "http", HttpStatusCode.OK, "/health/live")]
    [InlineData("None", "http", HttpStatusCode.OK, "/health/ready")]
    public async Task Last_scheme_counts_whatever_ASPNETCORE_FORWARDEDHEADERS_ENABLED_is_but_not_for_health_checks(
        string setting, string scheme, HttpStatusCode status, string path = "/")
    {
        await using var app = await GreeterApp.StartAsync((setting, "true"));
        await app.WarmUpAsync();

        using var response = await SendAsync(app, "GET", path, scheme);

        response.StatusCode.Should().Be(status);
    }

    [Fact]
    public async Task Only_X_Forwarded_Proto_is_honored()
    {
        await using var app = await GreeterApp.StartAsync();
        using var visitor = app.CreateVisitor();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/");
        request.Headers.Add("X-Forwarded-Host", "evil.example.com");
        request.Headers.Add("X-Forwarded-Prefix", "/evil");
        request.Headers.Add("X-Forwarded-For", "1.2.3.4");

        using var response = await visitor.SendAsync(request);

        response.StatusCode.Should().Be(HttpStatusCode.OK);
        response.Headers.GetValues("Set-Cookie").Single().Should().NotContain("secure").And.Contain("path=/;");
    }

    private static async Task<HttpResponseMessage> SendAsync(GreeterApp app, string method, string path, string scheme)
    {
        using var visitor = app.CreateVisitor();
        return await SendAsync(visitor, method, path, scheme, "greeter.example.com");
    }

    private static async Task<HttpResponseMessage> SendAsync(
        HttpClient visitor, string method, string path, string scheme, string host)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Headers = { Host = host } };
        request.Headers.Add("X-Forwarded-Proto", scheme);
        return await visitor.SendAsync(request);
    }
}
