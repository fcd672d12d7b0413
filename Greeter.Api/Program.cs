using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Unicode;
using Greeter.Api;

var app = Hosting.CreateBuilder(args).Build().UseHosting();
var db = app.Services.GetRequiredService<FirestoreDb>();
var sessions = db.Collection("sessions");
string[] greetings =
[
    "Hello World",
    "Hallo Welt",
    "Ciao Mondo",
    "Salut le Monde",
    "Hola mundo",
];
var lifetime = app.GetSessionLifetime();
var html = HtmlEncoder.Create(UnicodeRanges.All);

// Looks up (or creates) the session with the given sessionId; a session that is missing or over is followed by one under another,
// random id. Updates are done in a transaction to make sure no saved increments are overwritten.
async Task<Session> GetSessionDataAsync(Transaction transaction, string? sessionId)
{
    var session = sessionId is null ? null : ReadSession(await transaction.GetSnapshotAsync(sessions.Document(sessionId)));
    session ??= new Session(Session.NewId(), greetings[Random.Shared.Next(greetings.Length)], Views: 0);

    session = session with { Views = session.Views + 1 };   // This counts as a view
    transaction.Set(sessions.Document(session.Id), new Dictionary<string, object>
    {
        ["greeting"] = session.Greeting,
        ["views"] = session.Views,
        ["expireAt"] = Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow + lifetime),
    }, SetOptions.MergeAll);
    return session;
}

// The session in a document; null if there is none, if it has expired, or if somebody made it something else.
Session? ReadSession(DocumentSnapshot doc)
{
    var fields = doc.ToDictionary();
    if (fields is null || (fields.GetValueOrDefault("expireAt") as Timestamp?)?.ToDateTimeOffset() <= DateTimeOffset.UtcNow)
        return null;
    if (fields.GetValueOrDefault("greeting") is string greeting
        && fields.GetValueOrDefault("views") is long views and >= 0 and < long.MaxValue)
        return new Session(doc.Id, greeting, views);
    app.Logger.LogWarning("{Document} is no session: its greeting must be a string, its views an integer", doc.Reference.Path);
    return null;
}

async Task HomeAsync(HttpContext context)
{
    var (request, cancellationToken) = (context.Request, context.RequestAborted);
    var sessionId = Session.ParseId(request.Cookies["session_id"]);
    var session = await db.RunTransactionAsync(t => GetSessionDataAsync(t, sessionId), cancellationToken: cancellationToken)
        .OrCancelledAsync(cancellationToken);

    var options = new CookieOptions { HttpOnly = true, SameSite = SameSiteMode.Lax, Secure = request.IsHttps, MaxAge = lifetime };
    context.Response.Cookies.Append("session_id", session.Id, options);
    var body = $"<body>{session.Views} views for \"{html.Encode(session.Greeting)}\"</body>";
    await Results.Content(body, "text/html; charset=utf-8").ExecuteAsync(context);
}
app.MapMethods("/", ["GET", "HEAD"], HomeAsync);
app.Run();

internal sealed record Session(string Id, string Greeting, long Views)
{
    public static string NewId() => RandomNumberGenerator.GetHexString(32, lowercase: true);   // 128 bits; a UUID has 122
    public static string? ParseId(string? cookie) =>   // As NewId writes it, or main.py; nothing else reaches Firestore
        Guid.TryParse(cookie, out var id) && (cookie == id.ToString("N") || cookie == id.ToString("D")) ? cookie : null;
}
