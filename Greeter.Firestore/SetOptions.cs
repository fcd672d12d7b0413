namespace Greeter.Firestore;

/// <summary>What setting a document does to the fields that are not in the data.</summary>
public sealed class SetOptions
{
    private SetOptions()
    {
    }

    /// <summary>The document holds the data and nothing else: the default.</summary>
    public static SetOptions Overwrite { get; } = new();

    /// <summary>Fields that are not in the data stay as they are, also those inside maps.</summary>
    public static SetOptions MergeAll { get; } = new();
}
