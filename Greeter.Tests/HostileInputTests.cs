using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>Random malformed and unusual requests. <c>GREETER_HOSTILE_REQUESTS</c> sets their number, and
/// <c>GREETER_HOSTILE_SEED</c> repeats the requests of a failed test.</summary>
[Collection(nameof(Alone)), Trait("Category", "Slow")]
public partial class HostileInputTests
{
    private const int Connections = 16;
    // Measured in the app's memory: 2 to 5 KB, free space in the heap included.
    private const long DocumentSize = 4 << 10;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    // 505 is Kestrel's and correct (RFC 9110, 15.6.6). No other 5xx is allowed.
    private static readonly int[] Statuses = [200, 308, 400, 404, 405, 408, 411, 413, 414, 431, 505];
    private static readonly int Requests = FromEnvironment("GREETER_HOSTILE_REQUESTS", 10_000);
    private static readonly int Seed = FromEnvironment("GREETER_HOSTILE_SEED", Random.Shared.Next(1_000_000));

    private readonly ConcurrentQueue<string> failures = [];
    private readonly ConcurrentDictionary<string, long> views = [];
    private long sent;
    private long unanswered;
    private int exchanges;

    [Fact(Skip = Improvement.EmbeddedStore, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Hostile_requests_break_no_session_and_leak_no_memory()
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(Documents.InFolder(folder));
        var hostile = new HostileRequests(Seed, await CreateSessionsAsync(app));

        await SendAsync(app, hostile, Requests * 2 / 5);
        var (warm, documents) = (MemoryOf(app), views.Count);
        await SendAsync(app, hostile, Requests);
        var growth = MemoryOf(app) - warm - ((views.Count - documents) * DocumentSize);

        await EachSessionShouldContinueAsync(app);
        NothingShouldHaveFailed();
        app.Output.Should().HaveCount(5, "only the start is logged").And.OnlyContain(line => line.Contains(" INF] "));
        DocumentsShouldBeTheSessionsThatWereAnswered(folder);
        growth.Should().BeLessThan(
            32 << 20, $"without the documents; it had {warm >> 20} MiB after two fifths of {sent} requests (seed {Seed})");
    }

    [Fact(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Hostile_requests_break_no_session_in_Production()
    {
        var emulator = await Emulator.SharedAsync();
        await using var app = await GreeterProcess.StartAsync(
            ("FIRESTORE_EMULATOR_HOST", emulator.Host), ("GOOGLE_CLOUD_PROJECT", "hostile"), ("Request__Timeout", "00:00:20"));
        var hostile = new HostileRequests(Seed, await CreateSessionsAsync(app));

        await SendAsync(app, hostile, Math.Min(Requests, 3000));

        await EachSessionShouldContinueAsync(app);
        NothingShouldHaveFailed();
        app.Output.Should().HaveCount(5, "only the start is logged")
            .And.OnlyContain(line => line.Contains("\"severity\":\"INFO\""));
    }

    private static int FromEnvironment(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : standard;

    private void NothingShouldHaveFailed() =>
        failures.Take(10).Should().BeEmpty($"with seed {Seed} there are {failures.Count} failures in {sent} requests");

    private static long MemoryOf(GreeterProcess app)
    {
        using var process = Process.GetProcessById(app.Id);
        return process.WorkingSet64;
    }

    private async Task<string[]> CreateSessionsAsync(GreeterProcess app)
    {
        for (var i = 0; i < 200; i++)
        {
            await VisitAsync(app, null);
        }
        return [.. views.Keys];
    }

    private async Task EachSessionShouldContinueAsync(GreeterProcess app)
    {
        foreach (var (id, count) in views.Take(200))
        {
            var visit = await VisitAsync(app, id);
            visit.Id.Should().Be(id);
            visit.Views.Should().BeInRange(count + 1, count + 1 + unanswered, $"each view counts once (seed {Seed})");
        }
    }

    private async Task<Visit> VisitAsync(GreeterProcess app, string? id)
    {
        var visit = await app.VisitAsync(id);
        CountView(visit.Id!);
        return visit;
    }

    private long CountView(string id) => views.AddOrUpdate(id, 1, (_, count) => count + 1);

    // Sends requests until the total is reached.
    private async Task SendAsync(GreeterProcess app, HostileRequests hostile, int total)
    {
        using var tooLong = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(_ => Task.Run(async () =>
        {
            while (Interlocked.Read(ref sent) < total && failures.Count < 100 && !tooLong.IsCancellationRequested)
            {
                await TryAsync(app, hostile, Interlocked.Increment(ref exchanges));
            }
        })));
        tooLong.IsCancellationRequested.Should().BeFalse($"{total} requests take less than 5 minutes; {sent} were sent");
    }

    private async Task TryAsync(GreeterProcess app, HostileRequests hostile, int number)
    {
        var exchange = hostile.Create(number);
        Interlocked.Add(ref sent, exchange.Answers.Count + (exchange.IsDecided ? 0 : 1));
        try
        {
            Check(exchange, await ExchangeAsync(app, exchange));
        }
        catch (Exception e)
        {
            failures.Enqueue($"exchange {number}: {e.GetType().Name}: {e.Message}\n{exchange}\n");
        }
    }

    private static async Task<List<Answer>> ExchangeAsync(GreeterProcess app, Exchange exchange)
    {
        using var patience = new CancellationTokenSource(Patience);
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(app.Address.Host, app.Address.Port, patience.Token);
        var text = new StringBuilder();
        try
        {
            await socket.SendAsync(exchange.Bytes, patience.Token);
            var buffer = new byte[16384];
            while (!IsOver(exchange, text) && await socket.ReceiveAsync(buffer, patience.Token) is > 0 and var count)
            {
                text.Append(Encoding.Latin1.GetString(buffer, 0, count));
            }
        }
        catch (SocketException) when (exchange.Ending == Ending.ByApp)
        {
            // The app closed the connection before it had read everything.
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"No end after {Patience}; received so far:\n{text}");
        }
        return [.. Answer.Read(text.ToString())];
    }

    private static bool IsOver(Exchange exchange, StringBuilder text) => exchange.Ending switch
    {
        Ending.ByApp => false,
        Ending.ByVisitor => Answer.Read(text.ToString()).Count() >= exchange.Answers.Count,
        _ => true,
    };

    private void Check(Exchange exchange, List<Answer> answers)
    {
        if (exchange.Ending == Ending.Unanswered)
        {
            Interlocked.Add(ref unanswered, exchange.Answers.Count(expected => expected.Session is not null));
            return;
        }
        // Count first, so that the counts are right even if a check below fails.
        var isNew = answers.ConvertAll(answer => answer.Session is not null && CountView(answer.Session) == 1);
        for (var i = 0; i < answers.Count; i++)
        {
            answers[i].ShouldBeWellFormed();
            if (i < exchange.Answers.Count)
            {
                answers[i].ShouldBe(exchange.Answers[i], isNew[i], i);
            }
        }
        var more = answers.Skip(exchange.Answers.Count).ToList();
        Ensure(
            answers.Count >= exchange.Answers.Count && (more.Count == 0 || !exchange.IsDecided),
            $"Expected {exchange.Answers.Count} responses, got {string.Join(", ", answers.Select(answer => answer.Status))}");
        var undecided = more.Count(answer => answer.Session is not null);
        Ensure(
            undecided <= exchange.UndecidedSessions,
            $"{undecided} responses have a session, but only {exchange.UndecidedSessions} lines request the page");
    }

    // Each document is a session that a visitor got. It has as many views as responses, or more if visitors left early.
    private void DocumentsShouldBeTheSessionsThatWereAnswered(TemporaryFolder folder)
    {
        const string Sessions = "projects/embedded/databases/(default)/documents/sessions/";
        var stored = ReadJournal(Path.Combine(folder.Path, "documents.jsonl"));
        stored.Keys.Should().OnlyContain(name => Regex.IsMatch(name, $"^{Regex.Escape(Sessions)}[0-9a-f]{{32}}$"));
        views.Should().OnlyContain(session => stored.GetValueOrDefault(Sessions + session.Key) >= session.Value);
        (stored.Values.Sum() - views.Values.Sum()).Should().BeInRange(0, unanswered, $"that many left (seed {Seed})");
        (stored.Count - views.Count).Should().BeInRange(0, (int)unanswered, $"that many left (seed {Seed})");
    }

    // Returns the views of each document.
    private static Dictionary<string, long> ReadJournal(string path)
    {
        var stored = new Dictionary<string, long>();
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var lines = new StreamReader(file);
        while (lines.ReadLine() is { } line)
        {
            foreach (var write in JsonElement.Parse(line).GetProperty("writes").EnumerateArray())
            {
                var document = write.GetProperty("update");
                var count = document.GetProperty("fields").GetProperty("views").GetProperty("integerValue").GetString()!;
                stored[document.GetProperty("name").GetString()!] = long.Parse(count, CultureInfo.InvariantCulture);
            }
        }
        return stored;
    }

    private static void Ensure(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException(otherwise);
        }
    }

    private sealed partial record Answer(int Status, string Headers)
    {
        private static readonly string[] Private =
        [
            "Cache-Control: no-store\r\n", "X-Content-Type-Options: nosniff\r\n", "Referrer-Policy: no-referrer\r\n",
            "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'\r\n",
        ];

        public string? Session { get; } = SetCookie().Match(Headers) is { Success: true } cookie ? cookie.Groups[1].Value : null;

        // Responses that Kestrel writes itself have none of the app's headers.
        private bool IsTheApps => Status is 200 or 308 or 404 || (Status == 405 && Has("Allow: GET, HEAD\r\n"));

        public static IEnumerable<Answer> Read(string text) => Head().Matches(text)
            .Select(head => new Answer(int.Parse(head.Groups[1].Value, CultureInfo.InvariantCulture), head.Groups[2].Value))
            .Where(answer => answer.Status != 100);

        public void ShouldBeWellFormed()
        {
            Ensure(Statuses.Contains(Status), $"{Status} is not an expected status");
            Ensure(Session is null || Status == 200, $"{Status} has a session");
            Ensure(!IsTheApps || Private.All(Has), $"{Status} has not all headers:\n{Headers}");
            Ensure(!Has("Server:"), $"It names its server:\n{Headers}");
            Ensure(Headers.Split("Set-Cookie:").Length == (Session is null ? 1 : 2), $"It sets another cookie:\n{Headers}");
        }

        public void ShouldBe(Expected expected, bool isNew, int index)
        {
            var otherwise = $"answer {index + 1} has to be {expected}, not {this}";
            Ensure(Status == expected.Status, otherwise);
            Ensure(expected.Session switch
            {
                null => Session is null,
                Expected.NewSession => isNew,
                Expected.AnySession => Session is not null,
                _ => Session == expected.Session,
            }, otherwise);
        }

        private bool Has(string header) => Headers.Contains(header, StringComparison.Ordinal);

        [GeneratedRegex("HTTP/1\\.1 ([0-9]{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")]
        private static partial Regex Head();

        [GeneratedRegex(
            "^Set-Cookie: session_id=([0-9a-f]{32}); max-age=[0-9]+; path=/;(?: secure;)? samesite=lax; httponly\r$",
            RegexOptions.Multiline)]
        private static partial Regex SetCookie();
    }
}
