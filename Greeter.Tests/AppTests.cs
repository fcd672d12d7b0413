namespace Greeter.Tests;

/// <summary>The behavior of the page over HTTP, on the embedded store and on the emulator.</summary>
public class AppTests
{
    // The clock of a virtual machine may be corrected while a test runs.
    private static readonly TimeSpan ClockTolerance = TimeSpan.FromMinutes(10);

    private static readonly string[] Greetings = ["Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde", "Hola mundo"];

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Visitor_keeps_the_same_greeting_and_views_are_counted(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        using var visitor = app.CreateVisitor();

        var first = await visitor.GetStringAsync("/");
        var greeting = first.Split('"')[1];

        first.Should().Be($"<body>1 views for \"{greeting}\"</body>");
        greeting.Should().BeOneOf(Greetings);
        (await visitor.GetStringAsync("/")).Should().Be($"<body>2 views for \"{greeting}\"</body>");
        (await visitor.GetStringAsync("/?any=query")).Should().Be($"<body>3 views for \"{greeting}\"</body>");
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Requests_without_a_cookie_are_new_visitors_who_get_all_five_greetings(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);

        var visits = new List<Visit>();
        for (var i = 0; i < 100; i++)
        {
            visits.Add(await app.VisitAsync());
        }

        visits.Should().OnlyContain(visit => visit.Views == 1);
        visits.Select(visit => visit.Id).Should().OnlyHaveUniqueItems().And.OnlyContain(id => Regex.IsMatch(id!, "^[0-9a-f]{32}$"));
        visits.Select(visit => visit.Greeting).Distinct().Should().BeEquivalentTo(Greetings);
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Document_has_greeting_views_and_an_expireAt_that_each_view_moves(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        var first = await app.VisitAsync();
        var document = app.Session(first.Id!);

        var fields = (await document.GetSnapshotAsync()).ToDictionary()!;
        fields.Keys.Should().BeEquivalentTo("greeting", "views", "expireAt");
        fields["greeting"].Should().Be(first.Greeting);
        fields["views"].Should().Be(1L);
        ExpiryOf(fields).Should().BeCloseTo(DateTimeOffset.UtcNow.AddDays(31), ClockTolerance);

        await document.SetAsync(new { expireAt = InAnHour() }, SetOptions.MergeAll);
        await app.VisitAsync(first.Id);
        ExpiryOf((await document.GetSnapshotAsync()).ToDictionary()!)
            .Should().BeCloseTo(DateTimeOffset.UtcNow.AddDays(31), ClockTolerance);
    }

    [Fact]
    public async Task Session_lifetime_setting_applies_to_the_cookie_and_the_document()
    {
        await using var app = await GreeterApp.StartAsync(("Session:Lifetime", "02:00:00"));
        using var visitor = app.CreateVisitor();

        using var response = await visitor.GetAsync("/");

        response.Headers.GetValues("Set-Cookie").Single().Should().Contain("max-age=7200;");
        var id = (await Visit.ReadAsync(response)).Id!;
        ExpiryOf((await app.Session(id).GetSnapshotAsync()).ToDictionary()!)
            .Should().BeCloseTo(DateTimeOffset.UtcNow.AddHours(2), ClockTolerance);
    }

    [Fact]
    public async Task Response_is_HTML_with_a_cookie_and_security_headers()
    {
        await using var app = await GreeterApp.StartAsync();
        using var visitor = app.CreateVisitor();

        using var response = await visitor.GetAsync("/");

        response.Content.Headers.ContentType!.ToString().Should().Be("text/html; charset=utf-8");
        response.Content.Headers.ContentLength.Should().BePositive();
        response.Headers.GetValues("Set-Cookie").Single().Should()
            .MatchRegex("^session_id=[0-9a-f]{32}; max-age=2678400; path=/; samesite=lax; httponly$");
        ShouldHaveSecurityHeaders(response);
        response.Headers.Should().NotContain(header => header.Key == "Server" || header.Key == "Strict-Transport-Security");
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task HEAD_counts_as_a_view_and_has_no_body(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        using var visitor = app.CreateVisitor();
        var length = (await visitor.GetStringAsync("/")).Length;

        using var request = new HttpRequestMessage(HttpMethod.Head, "/");
        using var response = await visitor.SendAsync(request);

        response.StatusCode.Should().Be(HttpStatusCode.OK);
        response.Content.Headers.ContentLength.Should().Be(length);
        response.Headers.Contains("Set-Cookie").Should().BeTrue();
        (await response.Content.ReadAsByteArrayAsync()).Should().BeEmpty();
        (await Visit.ReadAsync(await visitor.GetAsync("/"))).Views.Should().Be(3);
    }

    [Theory]
    [InlineData(405, "/", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")]
    [InlineData(404, "/favicon.ico", "GET"), InlineData(404, "/index.html", "GET"), InlineData(404, "//", "GET")]
    [InlineData(404, "/sessions/x", "GET"), InlineData(404, "/_ah/warmup", "GET"), InlineData(404, "/health", "GET")]
    [InlineData(404, "/health/live/x", "GET"), InlineData(404, "/health/live", "POST")]
    public async Task Other_methods_and_paths_return_one_line_of_text_and_create_no_session(
        int status, string path, params string[] methods)
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();
        using var visitor = app.CreateVisitor();

        foreach (var method in methods)
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), $"http://{app.Address.Authority}{path}");
            using var response = await visitor.SendAsync(request);

            ((int)response.StatusCode).Should().Be(status);
            response.Content.Headers.Allow.Should().BeEquivalentTo(status == 405 ? ["GET", "HEAD"] : Array.Empty<string>());
            response.Headers.Contains("Set-Cookie").Should().BeFalse();
            response.Content.Headers.ContentType!.MediaType.Should().Be("text/plain");
            (await response.Content.ReadAsStringAsync()).Should().MatchRegex($@"^Error {status}\. [ -~]+\.\n\z");
            ShouldHaveSecurityHeaders(response);
        }
        app.Calls.Methods.Should().BeEmpty();
    }

    [Fact(Skip = Improvement.CallCounts, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task View_takes_one_call_or_two_without_a_cached_session_or_three_with_a_stale_one()
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();
        var id = (await app.VisitAsync()).Id!;
        await app.VisitAsync(id);
        app.Calls.Methods.Should().Equal("Commit", "Commit");

        const string Other = "0123456789abcdef0123456789abcdef";
        await app.Session(Other).SetAsync(new { greeting = "Hallo Welt", views = 1 });
        app.Calls.Clear();
        await app.VisitAsync(Other);
        app.Calls.Methods.Should().Equal("BatchGetDocuments", "Commit");

        await using var another = await GreeterApp.StartAsync(Store.Emulator, ("GOOGLE_CLOUD_PROJECT", app.Db.ProjectId));
        await another.WarmUpAsync();
        await another.VisitAsync(id);
        app.Calls.Clear();
        await app.VisitAsync(id);
        app.Calls.Methods.Should().Equal("Commit", "BatchGetDocuments", "Commit");
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Session_from_main_py_is_continued(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        const string Id = "0e0d9b1c-7f2a-4c3e-9f64-3a2f1b0c9d8e";
        await app.Session(Id).SetAsync(new { greeting = "Hola Mundo", views = 41 });

        var visit = await app.VisitAsync(Id);

        visit.Should().BeEquivalentTo(new { Id, Views = 42, Greeting = "Hola Mundo" });
        (await app.Session(Id).GetSnapshotAsync()).ToDictionary().Should().ContainKey("expireAt");
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Edited_document_is_served_and_its_extra_fields_are_kept(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        var id = (await app.VisitAsync()).Id!;
        var added = new Dictionary<string, object?>
        {
            ["null"] = null,
            ["bool"] = true,
            ["integer"] = long.MinValue,
            ["double"] = double.NaN,
            ["timestamp"] = Timestamp.FromDateTimeOffset(new DateTimeOffset(1999, 12, 31, 23, 59, 59, TimeSpan.Zero)),
            ["string"] = "Olá 😀",
            ["bytes"] = Blob.CopyFrom([0, 255]),
            ["reference"] = app.Db.Document("other/document"),
            ["place"] = new GeoPoint(38.7, -9.1),
            ["array"] = new List<object?> { 1L, "two", null },
            ["map"] = new Dictionary<string, object?> { ["a.b`\\"] = -0.0 },
        };
        await app.Session(id).SetAsync(added, SetOptions.MergeAll);
        await app.Session(id).SetAsync(new { greeting = "Olá <b>\"Mundo\"</b> &", views = 1000 }, SetOptions.MergeAll);

        var visit = await app.VisitAsync(id);

        visit.Page.Should().NotContain("<b>");
        WebUtility.HtmlDecode(visit.Page).Should().Be("<body>1001 views for \"Olá <b>\"Mundo\"</b> &\"</body>");
        var fields = (await app.Session(id).GetSnapshotAsync()).ToDictionary()!;
        foreach (var (name, value) in added)
        {
            fields[name].Should().BeEquivalentTo(
                value, options => options.RespectingRuntimeTypes().ComparingRecordsByValue(), name);
        }
        fields["greeting"].Should().Be("Olá <b>\"Mundo\"</b> &");
    }

    [Theory(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    [InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Concurrent_views_of_one_session_get_each_number_once(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store, ("Request:Timeout", "00:00:30"));
        var id = (await app.VisitAsync()).Id!;

        var views = new ConcurrentBag<long>();
        await Parallel.ForAsync(0, 400, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (_, _) =>
        {
            var visit = await app.VisitAsync(id);
            visit.Status.Should().Be(HttpStatusCode.OK);
            views.Add(visit.Views);
        });

        views.Order().Should().Equal(Enumerable.Range(2, 400).Select(view => (long)view));
        (await app.Session(id).GetSnapshotAsync()).ToDictionary()!["views"].Should().Be(401L);
    }

    internal static void ShouldHaveSecurityHeaders(HttpResponseMessage response)
    {
        string Header(string name) => string.Join(", ", response.Headers.GetValues(name));
        Header("Cache-Control").Should().Be("no-store");
        Header("X-Content-Type-Options").Should().Be("nosniff");
        Header("Content-Security-Policy").Should().Be("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
        Header("Referrer-Policy").Should().Be("no-referrer");
    }

    private static Timestamp InAnHour() => Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow.AddHours(1));

    private static DateTimeOffset ExpiryOf(Dictionary<string, object?> fields) =>
        ((Timestamp)fields["expireAt"]!).ToDateTimeOffset();
}
