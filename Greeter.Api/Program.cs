// Greets each visitor and counts their views in Firestore. Modeled on main.py of Google's tutorial: see NOTICE.
using System.Text.Encodings.Web;
using System.Text.Unicode;
using Greeter.Api;
using Greeter.Api.Hosting;
using Greeter.Api.Logging;
using Microsoft.AspNetCore.Http.HttpResults;

var builder = WebApplication.CreateSlimBuilder(args);
using var log = builder.AddLogging();
try
{
    builder.AddHosting();
    builder.Services.AddSingleton(HtmlEncoder.Create(UnicodeRanges.All));   // The default one would encode the á of "Olá".
    var app = builder.Build();
    app.UseHosting();

    var db = app.Services.GetRequiredService<FirestoreDb>();
    var sessions = db.Collection("sessions");
    var lifetime = app.Services.GetRequiredService<Settings>().SessionLifetime;
    var html = app.Services.GetRequiredService<HtmlEncoder>();
    string[] greetings = ["Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde", "Hola mundo"];

    // Continues the session, or starts one with a new ID. The client runs this again if the document changes in between.
    async Task<Session> GetSessionDataAsync(Transaction transaction, string? sessionId)
    {
        Session? session = null;
        var isInvalid = false;
        if (sessionId is not null)
        {
            var fields = (await transaction.GetSnapshotAsync(sessions.Document(sessionId))).ToDictionary();
            if (fields is not null && !Session.IsExpired(fields))
            {
                session = Session.Read(sessionId, fields);
                isInvalid = session is null;
            }
        }
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
            transaction.Set(document, data, SetOptions.MergeAll);   // Merging keeps fields that others added.
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
            app.Logger.LogWarning("sessions/{SessionId} is not a valid session. Correct it, or delete it.", sessionId);
        }

        response.Cookies.Append("session_id", session.Id, new CookieOptions
        {
            HttpOnly = true,
            SameSite = SameSiteMode.Lax,
            Secure = request.IsHttps,
            MaxAge = lifetime,
        });
        return TypedResults.Content(
            $"<body>{session.Views} views for \"{html.Encode(session.Greeting)}\"</body>", "text/html; charset=utf-8");
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
