using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Serialization;

/// <summary>Applies writes to documents, as Firestore does.</summary>
internal static class WriteExtensions
{
    /// <summary>Returns the name of the document that is written.</summary>
    public static string Name(this Write write) => write.Update?.Name ?? write.Delete;

    /// <summary>Returns a document as it is after an update, without its times.</summary>
    /// <remarks>Without a mask, the update's fields replace all others. With a mask, only the fields that it names change; those
    /// that the update doesn't have are removed.</remarks>
    /// <param name="write">The update.</param>
    /// <param name="current">The document before the update, which isn't changed; <c>null</c> if it didn't exist.</param>
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
