namespace Greeter.Tests;

/// <summary>Malformed and unusual requests, byte by byte.</summary>
public class HostileInputTests
{
    private const string Host = "Host: a\r\n";
    private const string Another = $"GET / HTTP/1.1\r\n{Host}Connection: close\r\n\r\n";
    private const string Last = $"{Host}Connection: close\r\n\r\n";

    [Theory]
    [InlineData(404, $"GET /..%2f../health/live HTTP/1.1\r\n{Last}")]
    [InlineData(200, $"GET http://a/x/..?/../x HTTP/1.1\r\n{Last}")]
    [InlineData(405, $"OPTIONS * HTTP/1.1\r\n{Last}")]
    [InlineData(200, $"geT / HTTP/1.1\r\n{Last}")]
    [InlineData(505, $"GET / HTTP/2.0\r\n{Last}")]
    [InlineData(308, "GET / HTTP/1.1\r\nX-Forwarded-Proto: http\r\nHost: xn--\r\nConnection: close\r\n\r\n")]
    [InlineData(200, $"GET / HTTP/1.1\r\nX-Forwarded-Proto: ht tp\r\nX-Original-Proto: http\r\nX-Original-URL: /x\r\n{Last}")]
    [InlineData(200, $"GET / HTTP/1.1\r\ntraceparent: 00-00000000000000000000000000000000-0-0\r\ntracestate: ==\r\n{Last}")]
    [InlineData(200, $"GET / HTTP/1.1\r\nX-Cloud-Trace-Context: ////////////////////////////////;o=1\r\n{Last}")]
    [InlineData(200, $"GET / HTTP/1.1\r\nCookie: ;=;\"; session_id; session_id=\"\u0001\r\nCookie: session_id=%0d%0aA:b\r\n{Last}")]
    [InlineData(400, $"GET / HTTP/1.1\r\nCookie: session_id=0123456789abcdef\00123456789abcdef\r\n{Last}")]
    [InlineData(200, $"GET / HTTP/1.1\r\n{Host}Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{Another}")]
    [InlineData(405, $"POST / HTTP/1.1\r\n{Host}Transfer-Encoding: chunked\r\n\r\nz\r\n{Another}")]
    [InlineData(200, $"GET / HTTP/1.0\r\n\r\n{Another}")]
    public async Task Hostile_request_gets_one_response_and_harms_nobody(int status, string request)
    {
        await using var app = await GreeterApp.StartAsync();

        var response = await app.SendRawAsync(request);

        response.Should().StartWith($"HTTP/1.1 {status} ");
        Regex.Count(response, "HTTP/1.1 [0-9]{3} ").Should().Be(1, "the bytes after the request are not another one");
        Regex.Count(response, "Set-Cookie: session_id=[0-9a-f]{32};").Should().Be(status == 200 ? 1 : 0);
        (await app.VisitAsync()).Views.Should().Be(1);
        app.Log.Texts(LogLevel.Error).Should().BeEmpty();
    }
}
