// Greets each visitor and counts their views in Firestore. Modeled on main.py of Google's tutorial: see NOTICE.
using System.Text.Encodings.Web;
using System.Text.Unicode;
using Greeter.Api;
using Greeter.Api.Hosting;
using Greeter.Api.Logging;
using Microsoft.AspNetCore.Http.HttpResults;

// Without the added argument, the app would watch its folder and all subfolders for changed settings.
var builder = WebApplication.CreateSlimBuilder([.. args, "--hostBuilder:reloadConfigOnChange=false"]);
using var log = builder.AddLogging();
try
{
    builder.AddHosting();
    // The default encoder would also encode letters such as the á in "Olá".
    builder.Services.AddSingleton(HtmlEncoder.Create(UnicodeRanges.All));

    var app = builder.Build();
    app.UseHosting();

    var db = app.Services.GetRequiredService<FirestoreDb>();
    var sessions = db.Collection("sessions");
    string[] greetings = ["Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde", "Hola mundo"];
    var lifetime = app.Services.GetRequiredService<Settings>().SessionLifetime;
    var htmlEncoder = app.Services.GetRequiredService<HtmlEncoder>();

    // Counts a view in the visitor's session, or in a new one. If another request changes the session before the commit, the
    // client runs this again, so that no view is lost.
    async Task<Session> GetSessionDataAsync(Transaction transaction, string? sessionId)
    {
        Session? session = null;
        var isInvalid = false;
        if (sessionId is not null)
        {
            var snapshot = await transaction.GetSnapshotAsync(sessions.Document(sessionId));
            session = Session.Read(snapshot, out isInvalid);
        }
        // An unknown ID is never reused; the visitor gets a new one. This prevents session fixation.
        session ??= new Session(Session.NewId(), greetings[Random.Shared.Next(greetings.Length)], Views: 0, isInvalid);

        session = session with { Views = session.Views + 1 };
        var document = sessions.Document(session.Id);
        var data = new Dictionary<string, object>
        {
            ["greeting"] = session.Greeting,
            ["views"] = session.Views,
            ["expireAt"] = Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow + lifetime),
        };
        if (session.Id == sessionId)
        {
            transaction.Set(document, data, SetOptions.MergeAll);   // Keeps fields that this app doesn't write.
        }
        else
        {
            transaction.Create(document, data);
        }
        return session;
    }

    async Task<ContentHttpResult> HomeAsync(HttpRequest request, HttpResponse response, CancellationToken cancellationToken)
    {
        var sessionId = Session.ValidateId(request.Cookies["session_id"]);
        var session = await db.RunTransactionAsync(
            transaction => GetSessionDataAsync(transaction, sessionId), cancellationToken: cancellationToken);
        if (session.ReplacesInvalidDocument)
        {
            app.Logger.LogWarning("The document sessions/{Id} is not a valid session. Correct or delete it.", sessionId);
        }

        response.Cookies.Append("session_id", session.Id, new CookieOptions
        {
            HttpOnly = true,
            SameSite = SameSiteMode.Lax,
            Secure = request.IsHttps,
            MaxAge = lifetime,
        });
        var body = $"<body>{session.Views} views for \"{htmlEncoder.Encode(session.Greeting)}\"</body>";
        return TypedResults.Content(body, "text/html; charset=utf-8");
    }

    app.MapMethods("/", ["GET", "HEAD"], HomeAsync);
    app.Run();
    return 0;
}
catch (Exception e) when (StartupFailure.Explain(e) is { } reason)
{
    log.Fatal("Greeter can't start. {Reason:l}", reason);
    return 1;
}
