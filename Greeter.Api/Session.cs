using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace Greeter.Api;

/// <summary>A visitor's session, and how its document is read and written.</summary>
internal sealed partial class Session
{
    private const string GreetingField = "greeting";
    private const string ViewsField = "views";
    private const string ExpireAtField = "expireAt";

    private readonly bool isNew;

    private Session(string id, string greeting, long views, bool isNew) =>
        (Id, Greeting, Views, this.isNew) = (id, greeting, views, isNew);

    /// <summary>Gets the cookie's value, which is also the ID of the document.</summary>
    public string Id { get; }

    /// <summary>Gets the greeting that the visitor always gets.</summary>
    public string Greeting { get; }

    /// <summary>Gets or sets the number of views so far.</summary>
    public long Views { get; set; }

    /// <summary>Returns the cookie's value if this app or <c>main.py</c> could have issued it, otherwise null.</summary>
    public static string? ValidateId(string? cookie) => cookie is not null && IdFormat.IsMatch(cookie) ? cookie : null;

    /// <summary>Creates a session without views. Its ID has 128 random bits; a UUID has only 122.</summary>
    public static Session Create(string greeting) =>
        new(RandomNumberGenerator.GetHexString(32, lowercase: true), greeting, views: 0, isNew: true);

    /// <summary>Returns the session in a document; null if the document is missing or has expired, or is not a valid session. The
    /// log gets a warning about the latter.</summary>
    public static Session? Read(DocumentSnapshot snapshot, ILogger logger)
    {
        var fields = snapshot.ToDictionary();
        if (fields is null || HasExpired(fields))
        {
            return null;
        }
        if (fields.GetValueOrDefault(GreetingField) is string greeting
            && fields.GetValueOrDefault(ViewsField) is long views and >= 0 and < long.MaxValue)
        {
            return new Session(snapshot.Id, greeting, views, isNew: false);
        }
        logger.LogWarning("The document sessions/{Id} is not a valid session. Correct or delete it.", snapshot.Id);
        return null;
    }

    /// <summary>Creates the document of a new session, or updates its fields in an existing document, whose other fields stay.</summary>
    public void Write(Transaction transaction, DocumentReference document, TimeSpan lifetime)
    {
        var fields = new Dictionary<string, object>
        {
            [GreetingField] = Greeting,
            [ViewsField] = Views,
            [ExpireAtField] = Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow + lifetime),
        };
        if (isNew)
        {
            transaction.Create(document, fields);
        }
        else
        {
            transaction.Set(document, fields, SetOptions.MergeAll);
        }
    }

    // Firestore deletes expired documents up to a day later.
    private static bool HasExpired(Dictionary<string, object?> fields) =>
        fields.GetValueOrDefault(ExpireAtField) is Timestamp expireAt && expireAt.ToDateTimeOffset() <= DateTimeOffset.UtcNow;

    // 32 hexadecimal digits from Create, or a UUID from main.py.
    [GeneratedRegex(@"\A([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\z")]
    private static partial Regex IdFormat { get; }
}
