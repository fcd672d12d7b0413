namespace Greeter.Firestore.Serialization;

/// <summary>The names of collections and documents: IDs separated by slashes.</summary>
/// <remarks>Source: https://firebase.google.com/docs/firestore/data-model#references</remarks>
internal static class ResourcePath
{
    /// <summary>Appends IDs to a path: an odd number of them, or an even one.</summary>
    /// <exception cref="ArgumentException">An ID is empty or has a lone surrogate, or the number of IDs is wrong.</exception>
    public static string Append(string parent, string path, bool odd)
    {
        ArgumentNullException.ThrowIfNull(path);
        UnicodeText.Check(path);
        if (path.Length == 0 || path[0] == '/' || path[^1] == '/' || path.Contains("//", StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{path}' has an empty ID.", nameof(path));
        }
        return path.AsSpan().Count('/') % 2 == (odd ? 0 : 1)
            ? $"{parent}/{path}"
            : throw new ArgumentException($"'{path}' must have an {(odd ? "odd" : "even")} number of IDs.", nameof(path));
    }

    /// <summary>Returns the last ID of a path.</summary>
    public static string GetId(string path) => path[(path.LastIndexOf('/') + 1)..];

    /// <summary>Returns a path without its last ID.</summary>
    public static string GetParent(string path) => path[..path.LastIndexOf('/')];
}
