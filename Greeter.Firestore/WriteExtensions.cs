using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore;

/// <summary>What a write does to a document, wherever it is done.</summary>
internal static class WriteExtensions
{
    /// <summary>The document that the write is about.</summary>
    public static string Name(this Write write) => write.Update?.Name ?? write.Delete;

    /// <summary>The fields of the document after an update: those given, or with a mask those it names, each absent if it is not
    /// among the given.</summary>
    /// <param name="write">An update.</param>
    /// <param name="current">The fields before it, which stay as they are; null if there was no document.</param>
    public static MapField<string, Value> ApplyTo(this Write write, MapField<string, Value>? current)
    {
        if (write.UpdateMask is null)
        {
            return write.Update.Fields;
        }
        var fields = current?.Clone() ?? [];
        foreach (var path in write.UpdateMask.FieldPaths)
        {
            var names = FieldPath.Parse(path);
            Set(fields, names, 0, Find(write.Update.Fields, names));
        }
        return fields;
    }

    private static Value? Find(MapField<string, Value>? fields, List<string> path)
    {
        Value? value = null;
        foreach (var name in path)
        {
            value = fields?.GetValueOrDefault(name);
            fields = value?.MapValue?.Fields;
        }
        return value;
    }

    /// <summary>Sets the field, in maps that are made where there are none; or removes it if the value is null.</summary>
    private static void Set(MapField<string, Value> fields, List<string> path, int index, Value? value)
    {
        var name = path[index];
        if (index == path.Count - 1)
        {
            fields.Remove(name);
            if (value is not null)
            {
                fields.Add(name, value);
            }
            return;
        }
        var map = fields.GetValueOrDefault(name)?.MapValue;
        if (map is null && value is not null)
        {
            fields[name] = new Value { MapValue = map = new MapValue() };
        }
        if (map is not null)
        {
            Set(map.Fields, path, index + 1, value);
        }
    }
}
