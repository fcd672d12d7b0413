namespace Greeter.Firestore.Serialization;

/// <summary>Slash-separated names, as Firestore's API has them.</summary>
internal static class ResourcePath
{
    /// <summary>The path below <paramref name="parent"/>.</summary>
    /// <exception cref="ArgumentException">An element is empty, or their number is not odd or even as wanted.</exception>
    public static string Append(string parent, string path, bool odd)
    {
        ArgumentNullException.ThrowIfNull(path);
        var isOdd = path.AsSpan().Count('/') % 2 == 0;
        if (path.Length == 0 || path[0] == '/' || path[^1] == '/' || path.Contains("//", StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{path}' has an empty element.", nameof(path));
        }
        return isOdd == odd
            ? $"{parent}/{path}"
            : throw new ArgumentException($"'{path}' must have an {(odd ? "odd" : "even")} number of elements.", nameof(path));
    }
}
