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
            Copy(write.Update.Fields, fields, [.. FieldPath.Parse(path)]);
        }
        return fields;
    }

    private static void Copy(MapField<string, Value>? from, MapField<string, Value> to, ReadOnlySpan<string> path)
    {
        var value = from?.GetValueOrDefault(path[0]);
        if (path.Length == 1)
        {
            to.Remove(path[0]);
            if (value is not null)
            {
                to.Add(path[0], value);
            }
            return;
        }
        if (to.GetValueOrDefault(path[0])?.MapValue is not { } map)
        {
            if (value?.MapValue is null)
            {
                return;
            }
            to[path[0]] = new Value { MapValue = map = new MapValue() };
        }
        Copy(value?.MapValue?.Fields, map.Fields, path[1..]);
    }
}
