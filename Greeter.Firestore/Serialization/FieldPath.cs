using System.Text.RegularExpressions;

namespace Greeter.Firestore.Serialization;

/// <summary>The path of a field inside a document: names separated by dots.</summary>
/// <remarks>A name that isn't <c>[A-Za-z_][A-Za-z_0-9]*</c> is in backticks, with <c>\</c> before each backtick or backslash in
/// it. Source: Document.fields in
/// https://github.com/googleapis/googleapis/blob/master/google/firestore/v1/document.proto</remarks>
internal static partial class FieldPath
{
    private const string Simple = "[A-Za-z_][A-Za-z_0-9]*";

    // The emulator also accepts other escapes, such as \n, but they aren't documented.
    private const string Segment = $@"({Simple}|`(?:[^`\\]|\\[`\\])+`)";

    /// <summary>Returns the path of a field in a map, or in the document itself if there is no parent.</summary>
    public static string Append(string? parent, string name)
    {
        var segment = SimpleName().IsMatch(name) ? name : $"`{SpecialCharacter().Replace(name, @"\$0")}`";
        return parent is null ? segment : $"{parent}.{segment}";
    }

    /// <summary>Returns the names in a path; null if it isn't valid.</summary>
    public static string[]? Parse(string path) => SimpleName().IsMatch(path) ? [path]
        : Path().Match(path) is { Success: true } match
        ? [.. match.Groups[1].Captures.Concat(match.Groups[2].Captures).Select(segment => Unescape(segment.Value))]
        : null;

    private static string Unescape(string segment) =>
        segment[0] == '`' ? EscapedCharacter().Replace(segment[1..^1], "$1") : segment;

    [GeneratedRegex($@"\A{Simple}\z")]
    private static partial Regex SimpleName();

    [GeneratedRegex($@"\A{Segment}(?:\.{Segment})*\z")]
    private static partial Regex Path();

    [GeneratedRegex(@"[`\\]")]
    private static partial Regex SpecialCharacter();

    [GeneratedRegex(@"\\([`\\])")]
    private static partial Regex EscapedCharacter();
}
