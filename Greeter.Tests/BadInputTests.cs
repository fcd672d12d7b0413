namespace Greeter.Tests;

/// <summary>The responses to invalid cookies and invalid documents.</summary>
public class BadInputTests
{
    private const string Id = "0123456789abcdef0123456789abcdef";

    private static readonly string[] BadCookies =
    [
        "", "x", "a/b", ".", "..", "__x__", "%2e%2e", "%00", "%F0%9F%98%80", new('a', 8192),
        "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0", "0123456789ABCDEF0123456789ABCDEF",
        "0123456789abcdef0123456789abcdeg", "0123456789abcdef/123456789abcdef0", "0123456789abcdef0123456789abcdef%0a",
        "%20123456789abcdef0123456789abcdef", "\"0123456789abcdef0123456789abcdef", "0123456789abcdef\u00e9123456789abcdef",
        "0E0D9B1C-7F2A-4C3E-9F64-3A2F1B0C9D8E", "0e0d9b1c7-f2a-4c3e-9f64-3a2f1b0c9d8e",
        "{0e0d9b1c-7f2a-4c3e-9f64-3a2f1b0c9d8e}", "(0e0d9b1c-7f2a-4c3e-9f64-3a2f1b0c9d8e)",
    ];

    [Fact]
    public async Task Cookie_that_is_not_a_session_ID_is_ignored()
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();

        foreach (var cookie in BadCookies)
        {
            var response = await app.SendRawAsync(
                $"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: session_id={cookie}\r\n\r\n");

            response.Should().StartWith("HTTP/1.1 200", cookie)
                .And.Contain("<body>1 views for ").And.MatchRegex("session_id=[0-9a-f]{32};");
        }
        app.Calls.Methods.Should().NotContain("BatchGetDocuments", "the value never reaches Firestore");
    }

    [Theory]
    [InlineData("Cookie: other=\u00e9; session_id="), InlineData("User-Agent: \u00e9\r\nCookie: session_id=")]
    [InlineData("Referer: http://localhost/\u00e9\r\nCookie: session_id=")]
    [InlineData("X-Other: \u0080\u00ff\r\nCookie: session_id="), InlineData("Cookie: other=\u00c3\u00a9; session_id=")]
    [InlineData($"Cookie: session_id={Id}; session_id=")]
    public async Task Session_is_found_beside_bytes_above_0x7F_and_after_another_session_cookie(string headers)
    {
        await using var app = await GreeterApp.StartAsync();
        var id = (await app.VisitAsync()).Id;

        var response = await app.SendRawAsync($"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{id}\r\n\r\n");

        response.Should().StartWith("HTTP/1.1 200").And.Contain("<body>2 views for ");
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Unknown_deleted_or_expired_session_ID_is_never_reused(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        var (deleted, expired) = ((await app.VisitAsync()).Id!, (await app.VisitAsync()).Id!);
        await app.Session(deleted).DeleteAsync();
        var expireAt = Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow.AddSeconds(-1));
        await app.Session(expired).SetAsync(new { expireAt }, SetOptions.MergeAll);

        foreach (var id in new[] { Id, deleted, expired })
        {
            var before = await app.Session(id).GetSnapshotAsync();

            var visit = await app.VisitAsync(id);

            visit.Views.Should().Be(1);
            visit.Id.Should().NotBe(id);
            (await app.Session(id).GetSnapshotAsync()).UpdateTime.Should().Be(before.UpdateTime);
        }
        app.Log.Texts(LogLevel.Warning).Should().BeEmpty();
    }

    [Fact]
    public async Task Invalid_document_is_left_alone_and_logs_one_warning()
    {
        object[] documents =
        [
            new Dictionary<string, object>(), new { greeting = "Hallo Welt" }, new { views = 1 },
            new { greeting = "Hallo Welt", views = -1 }, new { greeting = "Hallo Welt", views = long.MaxValue },
            new { greeting = "Hallo Welt", views = 2.7 }, new { greeting = "Hallo Welt", views = "2" },
            new { greeting = "Hallo Welt", views = (int?)null }, new { greeting = 5, views = 2 },
            new { greeting = (string?)null, views = 2 }, new { greeting = new[] { "Ciao" }, views = 2 },
        ];
        await using var app = await GreeterApp.StartAsync();

        for (var i = 0; i < documents.Length; i++)
        {
            var id = $"{i:x32}";
            await app.Session(id).SetAsync(documents[i]);
            var before = await app.Session(id).GetSnapshotAsync();

            var visit = await app.VisitAsync(id);

            visit.Views.Should().Be(1, $"document {i} is invalid");
            visit.Id.Should().NotBe(id);
            var after = await app.Session(id).GetSnapshotAsync();
            after.UpdateTime.Should().Be(before.UpdateTime);
            after.ToDictionary().Should().BeEquivalentTo(before.ToDictionary());
            app.Log.Texts(LogLevel.Warning).Should().HaveCount(i + 1).And.OnlyContain(text => text.Contains("is not a valid session"));
        }
    }

    [Fact]
    public async Task ExpireAt_that_is_not_a_timestamp_is_ignored_and_replaced()
    {
        await using var app = await GreeterApp.StartAsync();
        var id = (await app.VisitAsync()).Id!;
        object?[] values = ["tomorrow", 0L, null];

        for (var i = 0; i < values.Length; i++)
        {
            await app.Session(id).SetAsync(new { expireAt = values[i] }, SetOptions.MergeAll);

            (await app.VisitAsync(id)).Should().BeEquivalentTo(new { Views = 2 + i, Id = id });
            (await app.Session(id).GetSnapshotAsync()).ToDictionary()!["expireAt"].Should().BeOfType<Timestamp>();
        }
        app.Log.Texts(LogLevel.Warning).Should().BeEmpty();
    }

    [Fact]
    public async Task Disconnected_client_cancels_the_work_and_logs_no_error()
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();
        var (hasArrived, wasCancelled) = (new TaskCompletionSource(), new TaskCompletionSource());
        app.Calls.Before = async (_, context) =>
        {
            hasArrived.TrySetResult();
            await FirestoreCalls.HangAsync(context);
            return wasCancelled.TrySetResult();
        };
        using var visitor = app.CreateVisitor();
        using var patience = new CancellationTokenSource();

        var visit = visitor.GetAsync("/", patience.Token);
        await hasArrived.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await patience.CancelAsync();

        await visit.Invoking(task => task).Should().ThrowAsync<OperationCanceledException>();
        await wasCancelled.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await app.DisposeAsync();
        app.Log.Texts(LogLevel.Warning).Concat(app.Log.Texts(LogLevel.Error)).Should().BeEmpty();
    }
}
