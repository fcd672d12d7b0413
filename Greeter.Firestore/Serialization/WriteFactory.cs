namespace Greeter.Firestore.Serialization;

/// <summary>Creates the writes of a commit.</summary>
internal static class WriteFactory
{
    /// <summary>Creates a write that fails if the document exists.</summary>
    public static Write Create(DocumentReference reference, object data)
    {
        var write = Set(reference, data, SetOptions.Overwrite);
        write.CurrentDocument = new V1.Precondition { Exists = false };
        return write;
    }

    /// <summary>Creates a write that overwrites the document, or merges the data into it.</summary>
    public static Write Set(DocumentReference reference, object data, SetOptions? options)
    {
        ArgumentNullException.ThrowIfNull(reference);
        var write = new Write { Update = new Document { Name = reference.Path } };
        ValueConverter.AddTo(write.Update.Fields, data);
        if (options == SetOptions.MergeAll)
        {
            write.UpdateMask = new DocumentMask();
            AddLeaves(write.UpdateMask.FieldPaths, null, write.Update.Fields, depth: 1);
        }
        return write;
    }

    /// <summary>Creates a write that deletes the document.</summary>
    public static Write Delete(DocumentReference reference, Precondition? precondition)
    {
        ArgumentNullException.ThrowIfNull(reference);
        return new Write { Delete = reference.Path, CurrentDocument = precondition?.Proto };
    }

    // An empty map is a leaf: merging it makes the field an empty map.
    private static void AddLeaves(RepeatedField<string> paths, string? parent, MapField<string, Value> fields, int depth)
    {
        if (depth > ValueConverter.MaxDepth)
        {
            throw new ArgumentException($"A field that is merged can't be inside more than {ValueConverter.MaxDepth - 1} maps.");
        }
        foreach (var (name, value) in fields)
        {
            var path = FieldPath.Append(parent, name);
            if (value.MapValue?.Fields.Count > 0)
            {
                AddLeaves(paths, path, value.MapValue.Fields, depth + 1);
            }
            else
            {
                paths.Add(path);
            }
        }
    }
}
