using System.Globalization;
using System.Text.RegularExpressions;
using Serilog.Events;
using Serilog.Formatting;

namespace Greeter.Api.Logging;

/// <summary>Shortens session IDs in a log line to four characters, as in <c>sessions/0123…</c>.</summary>
/// <remarks>A session ID is like a password, and Firestore's errors contain document names.</remarks>
internal sealed partial class SessionIdRedactor(ITextFormatter formatter) : ITextFormatter
{
    /// <summary>Shortens everything in a text that may be a session ID.</summary>
    public static string Redact(string text) => Ids().Replace(text, "$1…");

    /// <inheritdoc/>
    public void Format(LogEvent logEvent, TextWriter output)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        formatter.Format(logEvent, text);
        var line = text.ToString();
        // The lines at the start have no session ID. Loading regular expressions for them would take time.
        output.Write(line.Contains("sessions", StringComparison.Ordinal) ? DocumentNames().Replace(line, "$1…") : line);
    }

    [GeneratedRegex("""(sessions(?:/|%2F)[^\s"'\\/]{4})[^\s"'\\/]+""")]
    private static partial Regex DocumentNames();

    // 32 hexadecimal digits, or a UUID.
    [GeneratedRegex("([0-9a-f]{4})(?:[0-9a-f]{28}|[0-9a-f]{4}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", RegexOptions.IgnoreCase)]
    private static partial Regex Ids();
}
