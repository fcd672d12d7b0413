using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace Greeter.Api;

/// <summary>A visitor's session.</summary>
/// <param name="Id">The cookie's value, and the ID of the document.</param>
/// <param name="Greeting">The greeting that the visitor always gets.</param>
/// <param name="Views">The number of views so far.</param>
/// <param name="ReplacesInvalidDocument">Whether the visitor's cookie names a document that is not a valid session.</param>
internal sealed partial record Session(string Id, string Greeting, long Views, bool ReplacesInvalidDocument = false)
{
    /// <summary>Creates an ID with 128 random bits. A UUID has only 122.</summary>
    public static string NewId() => RandomNumberGenerator.GetHexString(32, lowercase: true);

    /// <summary>Returns the cookie's value if this app or <c>main.py</c> could have issued it, otherwise null.</summary>
    public static string? ValidateId(string? cookie) => cookie is not null && IdFormat.IsMatch(cookie) ? cookie : null;

    /// <summary>Returns the session in a document, or null if there is none.</summary>
    /// <param name="snapshot">The document, which may be missing.</param>
    /// <param name="isInvalid">Whether the document exists and has not expired, but is not a valid session.</param>
    public static Session? Read(DocumentSnapshot snapshot, out bool isInvalid)
    {
        isInvalid = false;
        var fields = snapshot.ToDictionary();
        if (fields is null || HasExpired(fields))
        {
            return null;
        }
        if (fields.GetValueOrDefault("greeting") is string greeting
            && fields.GetValueOrDefault("views") is long views and >= 0 and < long.MaxValue)
        {
            return new Session(snapshot.Id, greeting, views);
        }
        isInvalid = true;
        return null;
    }

    // Firestore deletes expired documents up to a day later.
    private static bool HasExpired(Dictionary<string, object?> fields) =>
        fields.GetValueOrDefault("expireAt") is Timestamp expireAt && expireAt.ToDateTimeOffset() <= DateTimeOffset.UtcNow;

    // 32 hexadecimal digits from NewId, or a UUID from main.py.
    [GeneratedRegex(@"\A([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\z")]
    private static partial Regex IdFormat { get; }
}
