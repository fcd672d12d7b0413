namespace Greeter.Firestore.Serialization;

/// <summary>Applies writes to documents, as Firestore does.</summary>
internal static class WriteExtensions
{
    /// <summary>Returns the name of the document that is written.</summary>
    public static string Name(this Write write) => write.Update?.Name ?? write.Delete;

    /// <summary>Returns the document after the write; null after a delete.</summary>
    /// <remarks>Without a mask, an update replaces all fields. With a mask, it replaces the fields that the mask names. A field that the
    /// mask names and the update lacks is removed. The document before the write, if any, stays as it is.</remarks>
    public static Document? ApplyTo(this Write write, Document? current, ProtoTimestamp updateTime)
    {
        if (write.Update is not { } update)
        {
            return null;
        }
        var document = new Document { Name = update.Name, CreateTime = current?.CreateTime ?? updateTime, UpdateTime = updateTime };
        document.Fields.Add((write.UpdateMask is null ? update : current)?.Fields ?? []);
        foreach (var path in write.UpdateMask?.FieldPaths ?? [])
        {
            var names = FieldPath.Parse(path)!;
            Set(document.Fields, names, Find(update.Fields, names));
        }
        return document;
    }

    private static Value? Find(MapField<string, Value>? fields, ReadOnlySpan<string> path)
    {
        Value? value = null;
        foreach (var name in path)
        {
            value = fields?.GetValueOrDefault(name);
            fields = value?.MapValue?.Fields;
        }
        return value;
    }

    /// <summary>Sets a field, or removes it if the value is <c>null</c>. Maps on the path are created where they are missing, and
    /// copied where they exist, because other documents can share them.</summary>
    private static void Set(MapField<string, Value> fields, ReadOnlySpan<string> path, Value? value)
    {
        var name = path[0];
        if (path.Length > 1)
        {
            var map = fields.GetValueOrDefault(name)?.MapValue;
            if (map is null && value is null)
            {
                return;
            }
            var copy = new MapValue { Fields = { map?.Fields ?? [] } };
            Set(copy.Fields, path[1..], value);
            value = new Value { MapValue = copy };
        }
        if (value is null)
        {
            fields.Remove(name);
        }
        else
        {
            fields[name] = value;
        }
    }
}
