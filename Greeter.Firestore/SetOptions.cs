namespace Greeter.Firestore;

/// <summary>Options for setting a document: what happens to the fields that aren't in the data.</summary>
public sealed class SetOptions
{
    private SetOptions()
    {
    }

    /// <summary>Gets the default: the other fields are removed.</summary>
    public static SetOptions Overwrite { get; } = new();

    /// <summary>Gets the options that keep the other fields, also those inside maps.</summary>
    /// <remarks>An array in the data replaces a whole array. Unlike with Google's client, which ignores it, an empty map in the data
    /// replaces a whole map.</remarks>
    public static SetOptions MergeAll { get; } = new();
}
