namespace Greeter.Testing;

/// <summary>The response to one visit.</summary>
public sealed partial record Visit(HttpStatusCode Status, long Views, string Greeting, string? Id, string Page)
{
    /// <summary>Visits the app once, with a session ID in the cookie, or with an empty cookie.</summary>
    public static async Task<Visit> SendAsync(HttpClient client, Uri app, string? id)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, app);
        request.Headers.Add("Cookie", $"session_id={id}");
        using var response = await client.SendAsync(request);
        return await ReadAsync(response);
    }

    /// <summary>Reads a response.</summary>
    public static async Task<Visit> ReadAsync(HttpResponseMessage response)
    {
        var page = await response.Content.ReadAsStringAsync();
        var body = Body().Match(page);
        var cookie = response.Headers.TryGetValues("Set-Cookie", out var cookies) ? cookies.Single() : null;
        return new Visit(
            response.StatusCode,
            body.Success ? long.Parse(body.Groups[1].Value, CultureInfo.InvariantCulture) : 0,
            body.Groups[2].Value,
            cookie?.Split(';')[0]["session_id=".Length..],
            page);
    }

    [GeneratedRegex("^<body>([0-9]+) views for \"(.*)\"</body>$", RegexOptions.Singleline)]
    private static partial Regex Body();
}
