using System.Globalization;
using System.Text.RegularExpressions;
using Serilog.Events;
using Serilog.Formatting;

namespace Greeter.Api;

/// <summary>Cuts what follows <c>sessions/</c> to its first four characters and …, wherever it stands in a log line: who has a
/// session's id has the session, and errors of the database name documents.</summary>
internal sealed partial class SessionIdRedactor(ITextFormatter formatter) : ITextFormatter
{
    /// <inheritdoc/>
    public void Format(LogEvent logEvent, TextWriter output)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        formatter.Format(logEvent, text);
        output.Write(Ids().Replace(text.ToString(), "$1…"));
    }

    [GeneratedRegex("""(sessions(?:/|%2F)[^\s"'\\/]{4})[^\s"'\\/]+""")]
    private static partial Regex Ids();
}
