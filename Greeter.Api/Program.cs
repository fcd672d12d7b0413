// Greets each visitor and counts their views in Firestore. Modeled on main.py of Google's tutorial: see NOTICE.
using System.Net;
using Greeter.Api;
using Greeter.Api.Hosting;
using Greeter.Api.Logging;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

var builder = GreeterApplication.CreateBuilder(args);
builder.AddLogging();
builder.AddHosting();
var app = builder.Build();
app.UseHosting();

var db = app.Services.GetRequiredService<FirestoreDb>();
var sessions = db.Collection("sessions");
string[] greetings = ["Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde", "Hola mundo"];
var lifetime = app.Services.GetRequiredService<IOptions<Settings>>().Value.SessionLifetime;

// Counts a view in the visitor's session, or in a new one. If another request changes the session before the commit, the client
// runs this again, so that no view is lost.
async Task<Session> GetSessionDataAsync(Transaction transaction, string? sessionId)
{
    Session? session = null;
    if (sessionId is not null)
    {
        session = Session.Read(await transaction.GetSnapshotAsync(sessions.Document(sessionId)), app.Logger);
    }
    // An unknown ID is never reused; the visitor gets a new one. This prevents session fixation.
    session ??= Session.Create(greetings[Random.Shared.Next(greetings.Length)]);

    session.Views++;
    session.Write(transaction, sessions.Document(session.Id), lifetime);
    return session;
}

async Task<ContentHttpResult> HomeAsync(HttpRequest request, HttpResponse response, CancellationToken cancellationToken)
{
    var sessionId = Session.ValidateId(request.Cookies["session_id"]);
    var session = await db.RunTransactionAsync(
        transaction => GetSessionDataAsync(transaction, sessionId), cancellationToken: cancellationToken);

    response.Cookies.Append("session_id", session.Id, new CookieOptions
    {
        HttpOnly = true,
        SameSite = SameSiteMode.Lax,
        Secure = request.IsHttps,
        MaxAge = lifetime,
    });
    return TypedResults.Content(
        $"<body>{session.Views} views for \"{WebUtility.HtmlEncode(session.Greeting)}\"</body>", "text/html; charset=utf-8");
}

app.MapMethods("/", ["GET", "HEAD"], HomeAsync);
app.Run();
