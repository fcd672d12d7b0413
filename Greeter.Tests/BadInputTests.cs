using System.Net;
using Greeter.Tests.Infrastructure;
using Microsoft.Extensions.Logging;

namespace Greeter.Tests;

/// <summary>The responses to invalid cookies and invalid documents.</summary>
public class BadInputTests
{
    public static TheoryData<string> BadCookies => new()
    {
        "",
        "x",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123456789ABCDEF",
        "0123456789abcdef0123456789abcdeg",
        "0E0D9B1C-7F2A-4C3E-9F64-3A2F1B0C9D8E",
        "{0e0d9b1c-7f2a-4c3e-9f64-3a2f1b0c9d8e}",
        "(0e0d9b1c-7f2a-4c3e-9f64-3a2f1b0c9d8e)",
        "0e0d9b1c7-f2a-4c3e-9f64-3a2f1b0c9d8e",
        "0123456789abcdef/123456789abcdef0",
        "a/b",
        "..",
        ".",
        "__x__",
        "%2e%2e",
        "0123456789abcdef0123456789abcdef%0a",
        "%20123456789abcdef0123456789abcdef",
        "\"0123456789abcdef0123456789abcdef",
        "%F0%9F%98%80",
        "%00",
        new string('a', 8192),
    };

    [Theory]
    [MemberData(nameof(BadCookies))]
    public async Task Cookie_that_is_not_a_session_ID_is_ignored(string cookie)
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();

        var response = await app.SendRawAsync(
            $"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: session_id={cookie}\r\n\r\n");

        response.Should().StartWith("HTTP/1.1 200").And.Contain("<body>1 views for ").And.MatchRegex("session_id=[0-9a-f]{32};");
        app.Calls.Methods.Should().NotContain("BatchGetDocuments", "the value never reaches Firestore");
    }

    [Theory]
    [InlineData("0123456789abcdef\00123456789abcdef", 400)]
    [InlineData("0123456789abcdef\r0123456789abcdef", 400)]
    [InlineData("0123456789abcdef\u00e9123456789abcdef", 400)]
    [InlineData("40000", 431)]
    public async Task Cookie_that_Kestrel_rejects_creates_no_session(string cookie, int status)
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();

        var value = status == 431 ? new string('a', 40000) : cookie;
        var response = await app.SendRawAsync(
            $"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: session_id={value}\r\n\r\n");

        response.Should().StartWith($"HTTP/1.1 {status}").And.NotContain("Set-Cookie");
        app.Calls.Methods.Should().BeEmpty();
    }

    [Fact]
    public async Task Last_of_several_session_cookies_is_used()
    {
        await using var app = await GreeterApp.StartAsync();
        var (first, second) = ((await app.VisitAsync()).Id, (await app.VisitAsync()).Id);

        var response = await app.SendRawAsync(
            $"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: session_id={first}; session_id={second}\r\n\r\n");

        response.Should().Contain("<body>2 views for ").And.Contain($"session_id={second};");
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Unknown_session_ID_is_never_reused(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        const string Id = "0123456789abcdef0123456789abcdef";

        var visit = await app.VisitAsync(Id);

        visit.Views.Should().Be(1);
        visit.Id.Should().NotBe(Id);
        (await app.Session(Id).GetSnapshotAsync()).Exists.Should().BeFalse();
        app.Log.Texts(LogLevel.Warning).Should().BeEmpty();
    }

    public static IEnumerable<object?[]> InvalidDocuments =>
    [
        ["no views", new Dictionary<string, object?> { ["greeting"] = "Hallo Welt" }],
        ["no greeting", new Dictionary<string, object?> { ["views"] = 1 }],
        ["nothing", new Dictionary<string, object?>()],
        ["negative views", new Dictionary<string, object?> { ["greeting"] = "Hallo Welt", ["views"] = -1 }],
        ["the most views", new Dictionary<string, object?> { ["greeting"] = "Hallo Welt", ["views"] = long.MaxValue }],
        ["views of double", new Dictionary<string, object?> { ["greeting"] = "Hallo Welt", ["views"] = 2.7 }],
        ["views of string", new Dictionary<string, object?> { ["greeting"] = "Hallo Welt", ["views"] = "2" }],
        ["views of null", new Dictionary<string, object?> { ["greeting"] = "Hallo Welt", ["views"] = null }],
        ["greeting of integer", new Dictionary<string, object?> { ["greeting"] = 5, ["views"] = 2 }],
        ["greeting of null", new Dictionary<string, object?> { ["greeting"] = null, ["views"] = 2 }],
        ["greeting of array", new Dictionary<string, object?> { ["greeting"] = new List<object> { "Ciao" }, ["views"] = 2 }],
    ];

    [Theory]
    [MemberData(nameof(InvalidDocuments))]
    public async Task Invalid_document_is_left_alone_and_logs_one_warning(string what, Dictionary<string, object?> fields)
    {
        await using var app = await GreeterApp.StartAsync();
        const string Id = "0123456789abcdef0123456789abcdef";
        await app.Session(Id).SetAsync(fields);
        var before = await app.Session(Id).GetSnapshotAsync();

        var visit = await app.VisitAsync(Id);

        visit.Views.Should().Be(1, what);
        visit.Id.Should().NotBe(Id);
        var after = await app.Session(Id).GetSnapshotAsync();
        after.UpdateTime.Should().Be(before.UpdateTime);
        after.ToDictionary().Should().BeEquivalentTo(before.ToDictionary());
        app.Log.Texts(LogLevel.Warning).Should().ContainSingle().Which.Should().Contain("is not a valid session");
    }

    [Fact]
    public async Task Invalid_document_logs_one_warning_even_if_the_transaction_runs_again()
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator, ("Request:Timeout", "00:00:30"));
        await app.WarmUpAsync();
        const string Id = "0123456789abcdef0123456789abcdef";
        await app.Session(Id).SetAsync(new Dictionary<string, object> { ["greeting"] = "Hallo Welt" });
        app.Calls.Clear();
        var conflicts = 2;
        app.Calls.Before = (method, context) => method == "Commit" && conflicts-- > 0
            ? FirestoreCalls.FailAsync(context, 10, "Too much contention on these documents.")
            : Task.FromResult(false);

        var visit = await app.VisitAsync(Id);

        visit.Views.Should().Be(1);
        app.Calls.Methods.Count(method => method == "Commit").Should().Be(3);
        app.Log.Texts(LogLevel.Warning).Should().ContainSingle();
    }

    [Theory]
    [InlineData("tomorrow")]
    [InlineData(0L)]
    [InlineData(null)]
    public async Task ExpireAt_that_is_not_a_timestamp_is_ignored_and_replaced(object? expireAt)
    {
        await using var app = await GreeterApp.StartAsync();
        var id = (await app.VisitAsync()).Id!;
        await app.Session(id).SetAsync(new Dictionary<string, object?> { ["expireAt"] = expireAt }, SetOptions.MergeAll);

        var visit = await app.VisitAsync(id);

        visit.Should().BeEquivalentTo(new { Views = 2, Id = id });
        (await app.Session(id).GetSnapshotAsync()).ToDictionary()!["expireAt"].Should().BeOfType<Timestamp>();
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
