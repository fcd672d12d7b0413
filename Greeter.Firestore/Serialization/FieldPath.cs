using System.Buffers;
using System.Text;

namespace Greeter.Firestore.Serialization;

/// <summary>The path of a field inside a document: names separated by dots.</summary>
/// <remarks>A name that isn't <c>[A-Za-z_][A-Za-z_0-9]*</c> is in backticks, with <c>\</c> before each backtick or backslash in
/// it. Source: Document.fields in
/// https://github.com/googleapis/googleapis/blob/master/google/firestore/v1/document.proto</remarks>
internal static class FieldPath
{
    private static readonly SearchValues<char> SimpleCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    /// <summary>Returns the path of a field in a map, or in the document itself if there is no parent.</summary>
    public static string Append(string? parent, string name)
    {
        var segment = IsSimple(name)
            ? name
            : $"`{name.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("`", "\\`", StringComparison.Ordinal)}`";
        return parent is null ? segment : $"{parent}.{segment}";
    }

    /// <summary>Returns the names in a path.</summary>
    public static string[] Parse(string path)
    {
        var names = new List<string>();
        for (var position = 0; ; position++)
        {
            var isQuoted = position < path.Length && path[position] == '`';
            names.Add(isQuoted ? ParseQuoted(path, ref position) : ParseSimple(path, ref position));
            if (position == path.Length)
            {
                return [.. names];
            }
            if (path[position] != '.')
            {
                throw Invalid(path);
            }
        }
    }

    private static bool IsSimple(string name) =>
        name.Length > 0 && !char.IsAsciiDigit(name[0]) && !name.AsSpan().ContainsAnyExcept(SimpleCharacters);

    private static string ParseSimple(string path, ref int position)
    {
        var end = path.IndexOf('.', position);
        var name = path[position..(end < 0 ? path.Length : end)];
        position += name.Length;
        return IsSimple(name) ? name : throw Invalid(path);
    }

    private static string ParseQuoted(string path, ref int position)
    {
        var name = new StringBuilder();
        for (position++; position < path.Length && path[position] != '`'; position++)
        {
            // The emulator also accepts other escapes, such as \n, but they aren't documented.
            if (path[position] == '\\' && path.AsSpan(++position) is not ['`' or '\\', ..])
            {
                throw Invalid(path);
            }
            name.Append(path[position]);
        }
        return position++ < path.Length && name.Length > 0 ? name.ToString() : throw Invalid(path);
    }

    private static FormatException Invalid(string path) => new($"'{path}' is not a valid field path.");
}
