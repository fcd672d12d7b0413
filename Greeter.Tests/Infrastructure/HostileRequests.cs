using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Greeter.Tests.Infrastructure;

/// <summary>Tells how a connection ends.</summary>
internal enum Ending
{
    /// <summary>The app closes it.</summary>
    ByApp,

    /// <summary>The client closes it after the responses.</summary>
    ByVisitor,

    /// <summary>The client closes it without waiting.</summary>
    Unanswered,
}

/// <summary>The expected status code and session: an ID, <see cref="NewSession"/>, <see cref="AnySession"/> or none.</summary>
internal sealed record Expected(int Status, string? Session = null)
{
    public const string NewSession = "new";
    public const string AnySession = "any";
}

/// <summary>The bytes sent over one connection and the expected responses. If it is not decided, more responses may come, with
/// at most so many sessions.</summary>
internal sealed partial record Exchange(
    byte[] Bytes, List<Expected> Answers, Ending Ending, bool IsDecided, int UndecidedSessions)
{
    /// <summary>Returns readable bytes. Long runs of one byte are cut, and bytes that don't print are \xNN.</summary>
    public override string ToString() => string.Concat(Runs()
        .Replace(Encoding.Latin1.GetString(Bytes), "$1…")
        .Select(one => one is '\n' or '…' or (>= ' ' and <= '~') ? $"{one}" : $"\\x{(int)one:X2}"));

    [GeneratedRegex(@"(.)\1{50,}")]
    private static partial Regex Runs();
}

/// <summary>Creates requests that no browser sends. A number always creates the same exchange. The expected responses follow
/// from how an exchange is built, without the app or its framework.</summary>
internal sealed partial class HostileRequests(int seed, IReadOnlyList<string> sessions)
{
    private const string Close = "Connection: close\r\n";
    private const string Last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    private const string Smuggled = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    private static readonly string[] Segments =
    [
        "", "", ".", ".", "..", "..", "x", "%2e", "%2E%2e", ".%2E", "%2f", ";", "..;", "...", "%252e", "%C3%A9", "%20", "~",
        "sessions",
    ];
    // Not used in absolute targets, where URI parsers differ.
    private static readonly string[] OddSegments = [.. Segments, "\\", "%5c", "%ff", "%", "%zz"];
    private static readonly string[] Queries =
    [
        "", "", "", "?", "?a=b", "??", "?/../x", "?%00", "?a#b", "?session_id=x", "?" + new string('q', 1500),
    ];
    private static readonly string[] Methods =
    [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "BREW", "get", "Get", "gET", "head", "HEAd",
        "GETT", "GE", "!#$", new('M', 3000),
    ];
    private static readonly string[] Hosts =
    [
        "a", "a.example.com:8080", "[::1]", "127.0.0.1", "a_b", "A", "a:99999", "xn--", "xn--a-!", new('h', 3000),
    ];
    private static readonly string[] InvalidHosts = ["a..!", "!b..", new string('a', 70) + "!"];
    private static readonly string[] HarmlessHeaders =
    [
        "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil.example.com", "X-Forwarded-Prefix: /evil", "X-Forwarded-Proto: https",
        "X-Forwarded-Proto: http, https", "X-Forwarded-Proto:", "X-Forwarded-Proto: ht tp", "X-Original-Proto: http",
        "X-Original-Host: b", "X-Original-URL: /other", "X-Rewrite-URL: /other", "X-HTTP-Method-Override: POST",
        "X-Forwarded-Port: 0", "Forwarded: proto=http", "traceparent: x",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "traceparent: 00-" + new string('0', 32) + "-0-0",
        "tracestate: " + new string('=', 600), "baggage: a=b,,;=", "X-Cloud-Trace-Context: /", "X-Cloud-Trace-Context: a/b;o=1",
        "X-Cloud-Trace-Context: 0af7651916cd43dd8448eb211c80319c/99999999999999999999;o=1",
        "X-Cloud-Trace-Context: " + new string('\u0001', 32) + "/1",
        "X-Cloud-Trace-Context: 0af7651916cd43dd8448eb211c80319c/1;o=1", "X-Cloud-Trace-Context: " + new string('/', 5000),
        "Expect: x", "Expect: 100-continue", "Range: bytes=0-", "If-None-Match: *", "If-Modified-Since: x", "Upgrade: websocket",
        "Upgrade: h2c", "Accept: \u0001\u007f", "Accept-Encoding: *;q=x", "A: \u0080\u00ff", "Authorization: Basic \u0001",
        "Content-Type: \"", "TE: x", "Trailer: a", "Keep-Alive: timeout=0", "Range:", "Request-Id: |x.",
        "A: " + new string('v', 5000),
    ];
    private static readonly string[] OtherCookies =
    [
        "a=b", "=", ";", "session_id", "session_idx=1", "x=\"", "a=b=c", "$Version=1", "__Host-session_id=x", "Session_Id=x", ",",
        "a=" + new string('c', 4000),
    ];
    private static readonly string[] InvalidIds =
    [
        "", "x", "0", ".", "..", "__x__", "a/b", "%00", "%2e%2e", "%0d%0aSet-Cookie:a", "\"", "\u0001", "\u007f", "../sessions/x",
        "%F0%9F%98%80", "{0}", "%", new('i', 16000),
    ];
    // Kestrel responds with this status code and closes the connection.
    private static readonly (int Status, string[] Targets)[] RefusedTargets =
    [
        (400, ["/%00", "/\0", "/?\0", "/\u00e9", "/?\u0080", "/ /", " /", "", "?", "\\", "%2f", "foo:/"]),
        (400, ["ftp://a/", "http://", "http:///", "http://b/", "HTTP://a/", "http://a:99999/"]),
        (405, ["a:80", "*", "x"]),
        (414, ["/" + new string('a', 9000), "/?" + new string('a', 9000)]),
    ];
    private static readonly (int Status, string[] Methods)[] RefusedMethods =
        [(400, ["", "G\0T", "G\u00c3T", "GET\t", "G@T", "\"GET\"", "GET,"]), (414, [new string('M', 9000)])];
    private static readonly (int Status, string[] Versions)[] RefusedVersions =
    [
        (400, ["", "HTTP/2", "HTTP/1.1 ", "HTTP/1.10", "HTCPCP/1.0"]),
        (505, ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "http/1.1", "HTTP/11"]),
    ];
    private static readonly string[] RefusedHosts =
    [
        "", "Host: a\r\nHost: a", "Host: a\r\nHost: b", "Host: a b", "Host: a/b", "Host: a@b", "Host: [::1", "Host: a:b",
        "Host: a:", "Host: \u00e9", "Host: a,b", "Host: a%41", "Host: a\r\n b",
    ];
    private static readonly (int Status, string[] Headers)[] RefusedHeaders =
    [
        (400, ["A: b\r\n c", "A : b", " A: b", "A", ": b", "A\0: b", "A: \0", "A: a\rb", "\u00e9: b"]),
        (400, ["Cookie: session_id=\0"]),
        (400, ["Content-Length: x", "Content-Length: -1", "Content-Length:", "Content-Length: 0, 9"]),
        (400, ["Content-Length: 99999999999999999999"]),
        (400, ["Content-Length: 0\r\nContent-Length: 0", "Content-Length: 0\r\nContent-Length: 9", "Transfer-Encoding: x"]),
        (400, ["Transfer-Encoding: chunked, x", "Transfer-Encoding: identity", "Transfer-Encoding:\u000bchunked"]),
        (431, ["A: " + new string('v', 40000), "Cookie: session_id=" + new string('v', 40000)]),
        (431, [string.Join("\r\n", Enumerable.Repeat("A: b", 101))]),
    ];
    private static readonly (int Status, string Request)[] Refused =
    [
        .. RefusedTargets.SelectMany(all => all.Targets.Select(target => (all.Status, Request("GET", target)))),
        .. RefusedMethods.SelectMany(all => all.Methods.Select(method => (all.Status, Request(method, "/")))),
        .. RefusedVersions.SelectMany(all => all.Versions.Select(version => (all.Status, Request("GET", "/", version: version)))),
        .. RefusedHosts.Select(host => (400, Request("GET", "/", host))),
        .. RefusedHeaders.SelectMany(all => all.Headers.Select(one => (all.Status, Request("GET", "/", "Host: a\r\n" + one)))),
        (400, "GET /\r\nHost: a\r\n\r\n"), (400, Request("POST", "/", version: "HTTP/1.0")), (400, Request("CONNECT", "b:80")),
        (405, Request("HEAD", "*")), (405, Request("POST", "x")),
    ];
    // The bytes after the first request must not be taken for another one.
    private static readonly (string Header, string Body)[] BrokenBodies =
    [
        ("Transfer-Encoding: chunked", "z\r\n" + Smuggled), ("Transfer-Encoding: chunked", "2\r\nabc\r\n0\r\n\r\n" + Smuggled),
        ("Transfer-Encoding: chunked", "3\nabc\n0\n\n" + Smuggled),
        ("Transfer-Encoding: chunked", "ffffffffffffffff\r\n" + Smuggled), ("Transfer-Encoding: chunked", "-1\r\n" + Smuggled),
        ("Transfer-Encoding: chunked", "0x0\r\n\r\n" + Smuggled), ("Transfer-Encoding: chunked", "0\r\nA\r\n\r\n" + Smuggled),
        ("Transfer-Encoding: chunked", "3;\nabc\r\n0\r\n\r\n" + Smuggled),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n" + Smuggled),
        ("Content-Length: 500\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + Smuggled),
        ("Transfer-Encoding: x, chunked\r\nContent-Length: 0", "0\r\n\r\n" + Smuggled), ("Content-Length: 40000000", Smuggled),
    ];
    private static readonly (string Header, string Body)[] WholeBodies =
    [
        ("Content-Length: 3", "abc"), ("Content-Length: 0", ""), ("Content-Length: 0003", "abc"),
        ("Content-Length: 3\r\nExpect: 100-continue", "abc"), ("Content-Length: 40", Smuggled[..40]),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "3;x=y\r\nabc\r\n0\r\n\r\n"), ("Transfer-Encoding: CHUNKED", "003\r\nabc\r\n000\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0\r\nHost: b\r\nContent-Length: 9\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "28\r\n" + Smuggled[..40] + "\r\n0\r\n\r\n"),
        ("Content-Length: 9000", new string('b', 9000)),
    ];
    private static readonly string[] NoHttp =
    [
        "\u0016\u0003\u0001\0\u00c8\u0001\0\0\u00c4\u0003\u0003" + new string('\u00aa', 200), new('\0', 500),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2", "SSH-2.0-x", "EHLO x",
        "{\"a\":1}", "<xml/>", "\r\n\r\n\r\n", "\n", " ", "\u001b[31m", "GET", "GET ",
        "HTTP/1.1 200 OK\r\nSet-Cookie: session_id=x",
    ];

    /// <summary>Creates the exchange with this number.</summary>
    public Exchange Create(int number)
    {
        var maker = new Maker(new Random(HashCode(seed, number)), sessions);
        maker.AddSome();
        return maker.Finish();
    }

    // System.HashCode differs from process to process.
    private static int HashCode(int seed, int number) => unchecked((seed * 486187739) + (number * 16777619));

    private static string Request(string method, string target, string headers = "Host: a", string version = "HTTP/1.1") =>
        $"{method} {target} {version}\r\n{headers}{(headers.Length > 0 ? "\r\n" : "")}\r\n";

    /// <summary>Returns whether a target names the page (RFC 3986, 5.2.4). Encoded dots are dots; %2F is not a slash.</summary>
    private static bool IsPage(string target)
    {
        if (target.StartsWith("http://", StringComparison.Ordinal) || target.StartsWith("https://", StringComparison.Ordinal))
        {
            var authority = target.IndexOf("//", StringComparison.Ordinal) + 2;
            var end = target.IndexOfAny(['/', '?', '#'], authority);
            target = end < 0 ? "/" : target[end] == '/' ? target[end..].Split('#')[0] : "/";
        }
        var path = target.Split('?')[0].Replace("%2e", ".", StringComparison.OrdinalIgnoreCase);
        return path.StartsWith('/') && RemoveDots(path[1..].Split('/')) is [""];
    }

    private static List<string> RemoveDots(string[] segments)
    {
        var remaining = new List<string>();
        foreach (var segment in segments)
        {
            if (segment == ".." && remaining.Count > 0)
            {
                remaining.RemoveAt(remaining.Count - 1);
            }
            if (segment is not ("." or ".."))
            {
                remaining.Add(segment);
            }
        }
        return segments[^1] is "." or ".." ? [.. remaining, ""] : remaining;
    }

    [GeneratedRegex("^(?i:GET|HEAD) (.*)HTTP/1\\.[01]$", RegexOptions.Singleline)]
    private static partial Regex RequestLine();

    private sealed class Maker(Random random, IReadOnlyList<string> sessions)
    {
        private readonly StringBuilder bytes = new();
        private readonly List<Expected> answers = [];

        public void AddSome()
        {
            for (var i = random.Next(12); i > 0; i--)
            {
                Add("");
            }
        }

        public Exchange Finish() => random.Next(20) switch
        {
            < 8 => Finish(() => Add(Close)),
            < 12 => Finish(AddRefused),
            < 14 => FinishMutated(),
            14 => FinishUndecided(Pick(NoHttp)),
            15 => FinishUndecided(Encoding.Latin1.GetString(RandomBytes(random.Next(1, 2000)))),
            16 => Finish(AddHalf, Ending.ByVisitor),
            17 => Finish(AddHalfBody, Ending.ByVisitor),
            18 => Finish(AddBrokenBody),
            _ => Finish(AddOddity(out var ending), ending),
        };

        private Exchange Finish(Action add, Ending ending = Ending.ByApp)
        {
            add();
            return Build(ending, isDecided: true, 0);
        }

        private Exchange Build(Ending ending, bool isDecided, int undecidedSessions) =>
            new(Encoding.Latin1.GetBytes(bytes.ToString()), answers, ending, isDecided, undecidedSessions);

        private void Add(string connection)
        {
            switch (random.Next(20))
            {
                case < 9:
                    AddRequest(Pick("GET", "GET", "HEAD"), Target(), connection);
                    break;
                case < 11:
                    AddRequest(Pick(Methods), Target(), connection);
                    break;
                case < 13:
                    var (header, body) = Pick(WholeBodies);
                    AddRequest(Pick("GET", "HEAD", "POST", "PUT", "BREW"), Target(), $"{connection}{header}\r\n", body);
                    break;
                case 13:
                    AddHead("GET", Pick("/health/live", "/health/ready", "/x/../health/live"), $"Host: a\r\n{connection}");
                    answers.Add(new(200));
                    break;
                case 14:
                    AddForwarded(Pick(InvalidHosts), Pick("http", "https", "x"), connection);
                    answers.Add(new(400));
                    break;
                case 15:
                    AddForwarded(Pick(Hosts), Pick("http", "https, http", "ftp"), connection);
                    answers.Add(new(308));
                    break;
                case 16:
                    AddHead(Pick("OPTIONS *", "CONNECT a"), "HTTP/1.1\r\nHost: a\r\n" + connection);
                    answers.Add(new(405));
                    break;
                default:
                    AddRequest("GET", "/", connection);
                    break;
            }
        }

        private void AddRequest(string method, string target, string more, string body = "")
        {
            var host = target.Contains("//a", StringComparison.Ordinal) && target[0] != '/' ? "a" : Pick(Hosts);
            var headers = new StringBuilder($"Host: {host}\r\n");
            headers.Append(more is "" or Close ? Pick("", "", "Content-Length: 0\r\n") : "");
            for (var i = random.Next(3); i > 0; i--)
            {
                headers.Append(Pick(HarmlessHeaders)).Append("\r\n");
            }
            var session = AddCookie(headers);
            AddHead(method, target, headers.Append(more).ToString());
            bytes.Append(body);
            answers.Add((IsPage(target), method.ToUpperInvariant() is "GET" or "HEAD") switch
            {
                (true, true) => new(200, session),
                (true, false) => new(405),
                _ => new(404),
            });
        }

        private void AddForwarded(string host, string scheme, string connection) => AddHead(
            Pick("GET", "HEAD", "POST"), Path(OddSegments), $"Host: {host}\r\nX-Forwarded-Proto: {scheme}\r\n{connection}");

        private void AddHead(string method, string target, string headers) => AddHead(method, $"{target} HTTP/1.1\r\n{headers}");

        private void AddHead(string method, string rest) => bytes.Append(method).Append(' ').Append(rest).Append("\r\n");

        private string AddCookie(StringBuilder headers)
        {
            var known = Pick(sessions);
            // Few are new, because each new session takes memory in the embedded store.
            var (cookie, session) = random.Next(500) switch
            {
                < 400 => ($"session_id={known}", known),
                < 440 => ($"{Pick(OtherCookies)}; session_id={known}", Expected.AnySession),
                < 470 => ($"session_id={known}; session_id={Pick(InvalidIds)}; session_id={Pick(sessions)}",
                Expected.AnySession),
                < 490 => ($"session_id={known}\r\nCookie: session_id={Pick(sessions)}", Expected.AnySession),
                < 491 => ($"session_id={known.ToUpperInvariant()}x", Expected.NewSession),
                < 492 => ($"session_id={random.NextInt64():x16}{random.NextInt64():x16}", Expected.NewSession),
                < 493 => ($"session_id={new Guid(RandomBytes(16))}", Expected.NewSession),
                < 497 => ($"session_id={Pick(InvalidIds)}", Expected.NewSession),
                < 499 => (Pick(OtherCookies), Expected.NewSession),
                _ => ("", Expected.NewSession),
            };
            headers.Append(CultureInfo.InvariantCulture, $"Cookie: {cookie}\r\n");
            return session;
        }

        private string Target() => random.Next(12) switch
        {
            0 => Pick("http://a", "https://a") + Path(Segments),
            1 => Pick("http://a", "https://a", "http://a?b", "http://a/#b", "http://a#b"),
            _ => Path(OddSegments),
        };

        private string Path(string[] segments) => (random.Next(3) == 0
            ? Pick("/", "/.", "/x/..", "/%2e")
            : "/" + string.Join('/', Enumerable.Range(0, random.Next(1, 6)).Select(_ => Pick(segments)))) + Pick(Queries);

        private void AddRefused()
        {
            var (status, request) = Pick(Refused);
            bytes.Append(request).Append(Smuggled);
            answers.Add(new(status));
        }

        private void AddHalf()
        {
            var whole = $"{Pick("GET", "HEAD")} / HTTP/1.1\r\nHost: a\r\nCookie: session_id={Pick(sessions)}\r\n\r\n";
            bytes.Append(whole, 0, random.Next(whole.Length - 1));
        }

        private void AddHalfBody()
        {
            var (header, body) = Pick(("Content-Length: 9", "abc"), ("Content-Length: 9\r\nExpect: 100-continue", ""),
                ("Transfer-Encoding: chunked", "3\r\na"), ("Transfer-Encoding: chunked", "7fffffff\r\nabc"),
                ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n"));
            AddRequest(Pick("GET", "HEAD", "POST"), Target(), header + "\r\n", body);
        }

        private void AddBrokenBody()
        {
            var (header, body) = Pick(BrokenBodies);
            AddRequest(Pick("GET", "HEAD", "POST"), Target(), header + "\r\n", body);
        }

        private Action AddOddity(out Ending ending)
        {
            ending = Ending.ByApp;
            switch (random.Next(3))
            {
                case 0:
                    ending = Ending.Unanswered;
                    return () => Add("");
                case 1:
                    return () =>
                    {
                        bytes.Append("GET / HTTP/1.0\r\n\r\n").Append(Smuggled);
                        answers.Add(new(200, Expected.NewSession));
                    };
                default:
                    return () =>
                    {
                        bytes.Append("\r\nGET / HTTP/1.1\nHost: a\nConnection: close\n\n").Append(Smuggled);
                        answers.Add(new(200, Expected.NewSession));
                    };
            }
        }

        private Exchange FinishUndecided(string text)
        {
            bytes.Append(text).Append("\r\n\r\n").Append(Last);
            return Build(Ending.ByApp, isDecided: false, 0);
        }

        private Exchange FinishMutated()
        {
            var start = bytes.Length;
            AddRequest(Pick("GET", "HEAD", "POST"), Target(), "");
            answers.RemoveAt(answers.Count - 1);
            for (var i = random.Next(1, 5); i > 0 && bytes.Length > start; i--)
            {
                Mutate(random.Next(start, Math.Min(bytes.Length, start + 300)));
            }
            var sessionsAtMost = bytes.ToString(start, bytes.Length - start).Split('\n').Count(MayBePage);
            bytes.Append("\r\n\r\n").Append(Last);
            return Build(Ending.ByApp, isDecided: false, sessionsAtMost);
        }

        private void Mutate(int at)
        {
            switch (random.Next(4))
            {
                case 0:
                    bytes[at] = (char)random.Next(256);
                    break;
                case 1:
                    bytes.Insert(at, Pick("\0", " ", "\r\n", "\n", "\r", ":", "/", ".", "%", "?", "#", "\t", ";", "\u00ff",
                    "HTTP/1.1", "GET / "));
                    break;
                case 2:
                    bytes.Remove(at, Math.Min(random.Next(1, 9), bytes.Length - at));
                    break;
                default:
                    bytes.Insert(at, bytes.ToString(at, Math.Min(random.Next(1, 60), bytes.Length - at)));
                    break;
            }
        }

        // Kestrel may take such a line for a request of the page. It skips line ends before a request and spaces around an
        // absolute target (RFC 9112, 2.2 and 3). It also accepts any byte for the space after a single /, which is harmless.
        private static bool MayBePage(string line) => RequestLine().Match(line.Trim('\r')) is { Success: true } match
            && (IsPage(match.Groups[1].Value.Trim()) || match.Groups[1].Value is ['/', _]);

        private byte[] RandomBytes(int count)
        {
            var all = new byte[count];
            random.NextBytes(all);
            return all;
        }

        private T Pick<T>(params IReadOnlyList<T> all) => all[random.Next(all.Count)];
    }
}
