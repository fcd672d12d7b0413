using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Serialization;

/// <summary>What a write does to a document, wherever it is done.</summary>
internal static class WriteExtensions
{
    /// <summary>The document that the write is about.</summary>
    public static string Name(this Write write) => write.Update?.Name ?? write.Delete;

    /// <summary>The document after an update, without its times: the fields given, or with a mask those it names, each absent if
    /// it is not among the given.</summary>
    /// <param name="write">An update.</param>
    /// <param name="current">The document before it, which stays as it is; null if there was none.</param>
    public static Document ApplyTo(this Write write, Document? current)
    {
        var (update, mask) = (write.Update, write.UpdateMask);
        var document = new Document { Name = update.Name };
        if (mask is null)
        {
            document.Fields.Add(update.Fields);
            return document;
        }
        if (current is not null)
        {
            document.Fields.Add(current.Fields);
        }
        foreach (var path in mask.FieldPaths)
        {
            var names = FieldPath.Parse(path);
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

    /// <summary>Sets the field, in maps that are made where there are none; or removes it if the value is null. The maps on its
    /// way are copied, for they may be another document's too.</summary>
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
