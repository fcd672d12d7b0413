using NullValue = Google.Protobuf.WellKnownTypes.NullValue;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>Creates Firestore's messages. In names DB stands for the database.</summary>
internal static class Writes
{
    /// <summary>Returns a write to a document in this database.</summary>
    public static Write In(this Write write, string database)
    {
        string Expand(string name) => name.Replace("DB", database, StringComparison.Ordinal);
        return write.OperationCase switch
        {
            Write.OperationOneofCase.Update => new(write) { Update = new(write.Update) { Name = Expand(write.Update.Name) } },
            Write.OperationOneofCase.Delete => new(write) { Delete = Expand(write.Delete) },
            _ => write,
        };
    }

    public static Write Set(string path, params (string Name, Value Value)[] fields)
    {
        var write = new Write { Update = new Document { Name = $"DB/documents/{path}" } };
        foreach (var (name, value) in fields)
        {
            write.Update.Fields.Add(name, value);
        }
        return write;
    }

    public static Write Merge(string path, string[] mask, params (string Name, Value Value)[] fields) =>
        WithMask(Set(path, fields), mask);

    public static Write Delete(string path) => new() { Delete = $"DB/documents/{path}" };

    public static Write WithMask(Write write, string[] mask) =>
        new(write) { UpdateMask = new DocumentMask { FieldPaths = { mask } } };

    public static Write WithPrecondition(V1.Precondition precondition, Write write) =>
        new(write) { CurrentDocument = precondition };

    public static Write Exists(bool exists, Write write) => WithPrecondition(new() { Exists = exists }, write);

    public static Write At(ProtoTimestamp time, Write write) => WithPrecondition(new() { UpdateTime = time }, write);

    public static Value Null() => new() { NullValue = NullValue.NullValue };

    public static Value Integer(long value) => new() { IntegerValue = value };

    public static Value Double(double value) => new() { DoubleValue = value };

    public static Value String(string value) => new() { StringValue = value };

    public static Value Reference(string value) => new() { ReferenceValue = value };

    public static Value Bytes(params byte[] value) => new() { BytesValue = ByteString.CopyFrom(value) };

    public static Value Time(long seconds, int nanos) =>
        new() { TimestampValue = new ProtoTimestamp { Seconds = seconds, Nanos = nanos } };

    public static Value Point(double latitude, double longitude) =>
        new() { GeoPointValue = new LatLng { Latitude = latitude, Longitude = longitude } };

    public static Value Array(params Value[] values) => new() { ArrayValue = new ArrayValue { Values = { values } } };

    public static Value Map(params (string Name, Value Value)[] fields) =>
        new() { MapValue = new MapValue { Fields = { fields.ToDictionary(field => field.Name, field => field.Value) } } };

    public static Value Nest(int depth, Value leaf, bool arrays = false) =>
        depth == 0 ? leaf : Nest(depth - 1, arrays && depth % 2 == 0 ? Array(leaf) : Map(("m", leaf)), arrays);
}
