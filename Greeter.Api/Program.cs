using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Unicode;
using Greeter.Api;

var app = WebApplication.CreateBuilder(args).AddHosting().Build().UseHosting();
var db = app.Services.GetRequiredService<FirestoreDb>();
var sessions = db.Collection("sessions");
string[] greetings = ["Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde", "Hola mundo"];
var lifetime = app.GetSessionLifetime();
var html = HtmlEncoder.Create(UnicodeRanges.All);

// Looks up (or creates) the session with the given sessionId. Creates a session with a random id if none is provided, or if
// there is no such session any more. Increments the number of views in this session. Updates are done in a transaction to make
// sure no saved increments are overwritten.
async Task<Session> GetSessionDataAsync(Transaction transaction, string? sessionId)
{
    var session = Session.IsId(sessionId) ? ToSession(await transaction.GetSnapshotAsync(sessions.Document(sessionId))) : null;
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

// The session in a document; null if there is none, or an expired one that Firestore has yet to delete, or something else.
Session? ToSession(DocumentSnapshot doc)
{
    if (doc.ToDictionary() is not { } fields
        || (fields.GetValueOrDefault("expireAt") is Timestamp end && end.ToDateTimeOffset() <= DateTimeOffset.UtcNow))
    {
        return null;
    }
    if (fields.GetValueOrDefault("greeting") is string greeting
        && fields.GetValueOrDefault("views") is long views and >= 0 and < long.MaxValue)
    {
        return new Session(doc.Id, greeting, views);
    }
    app.Logger.LogWarning("{Document} is no session: it needs a string greeting and an integer views", doc.Reference.Path);
    return null;
}

async Task HomeAsync(HttpContext context)
{
    var session = await db.RunTransactionAsync(
        transaction => GetSessionDataAsync(transaction, context.Request.Cookies["session_id"]),
        cancellationToken: context.RequestAborted).WaitAsync(context.RequestAborted);

    context.Response.Cookies.Append("session_id", session.Id, new CookieOptions
    {
        HttpOnly = true, SameSite = SameSiteMode.Lax, Secure = context.Request.IsHttps, MaxAge = lifetime,
    });
    var body = $"<body>{session.Views} views for \"{html.Encode(session.Greeting)}\"</body>";
    await Results.Content(body, "text/html", Encoding.UTF8).ExecuteAsync(context);
}

app.MapMethods("/", ["GET", "HEAD"], HomeAsync);
app.Run();

internal sealed record Session(string Id, string Greeting, long Views)
{
    public static string NewId() => RandomNumberGenerator.GetHexString(32, lowercase: true);   // 128 bits, a UUID has 122

    // As NewId writes it, or main.py's uuid4; nothing else reaches Firestore.
    public static bool IsId([NotNullWhen(true)] string? text) =>
        Guid.TryParse(text, out var id) && (text == id.ToString("N") || text == id.ToString("D"));
}
