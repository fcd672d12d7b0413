using System.Collections;
using Google.Protobuf.Collections;
using Google.Protobuf.WellKnownTypes;
using Greeter.Firestore.V1;
using Value = Greeter.Firestore.V1.Value;

namespace Greeter.Firestore.Serialization;

/// <summary>.NET's values to Firestore's and back.</summary>
internal static class ValueConverter
{
    /// <exception cref="ArgumentException">The data is no dictionary, or a value is of a type that Firestore does not
    /// have.</exception>
    public static void AddTo(MapField<string, Value> fields, object data)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (data is not IEnumerable<KeyValuePair<string, object?>> map)
        {
            throw new ArgumentException(
                $"A document or map is an IDictionary<string, object>, not {data.GetType()}.", nameof(data));
        }
        foreach (var (name, value) in map)
        {
            fields.Add(name, ToValue(value));
        }
    }

    public static Dictionary<string, object?> ToDictionary(MapField<string, Value> fields, FirestoreDb database)
    {
        var map = new Dictionary<string, object?>(fields.Count);
        foreach (var (name, value) in fields)
        {
            map.Add(name, FromValue(value, database));
        }
        return map;
    }

    private static Value ToValue(object? value) => value switch
    {
        null => new Value { NullValue = NullValue.NullValue },
        bool boolean => new Value { BooleanValue = boolean },
        sbyte or byte or short or ushort or int or uint or long => new Value { IntegerValue = Convert.ToInt64(value, null) },
        ulong and <= long.MaxValue => new Value { IntegerValue = Convert.ToInt64(value, null) },
        float or double => new Value { DoubleValue = Convert.ToDouble(value, null) },
        string text => new Value { StringValue = text },
        Timestamp timestamp => new Value { TimestampValue = timestamp.ToStored() },
        DateTime dateTime => new Value { TimestampValue = Timestamp.FromDateTime(dateTime).ToStored() },
        DateTimeOffset dateTime => new Value { TimestampValue = Timestamp.FromDateTimeOffset(dateTime).ToStored() },
        Blob blob => new Value { BytesValue = blob.ByteString },
        byte[] bytes => new Value { BytesValue = Google.Protobuf.ByteString.CopyFrom(bytes) },
        GeoPoint point => new Value { GeoPointValue = new LatLng { Latitude = point.Latitude, Longitude = point.Longitude } },
        DocumentReference reference => new Value { ReferenceValue = reference.Path },
        IEnumerable<KeyValuePair<string, object?>> map => new Value { MapValue = ToMapValue(map) },
        IEnumerable array => new Value { ArrayValue = new ArrayValue { Values = { array.Cast<object?>().Select(ToValue) } } },
        _ => throw new ArgumentException($"Firestore has no value for {value.GetType()}.", nameof(value)),
    };

    private static MapValue ToMapValue(object map)
    {
        var mapValue = new MapValue();
        AddTo(mapValue.Fields, map);
        return mapValue;
    }

    private static object? FromValue(Value value, FirestoreDb database) => value.ValueTypeCase switch
    {
        Value.ValueTypeOneofCase.NullValue => null,
        Value.ValueTypeOneofCase.BooleanValue => value.BooleanValue,
        Value.ValueTypeOneofCase.IntegerValue => value.IntegerValue,
        Value.ValueTypeOneofCase.DoubleValue => value.DoubleValue,
        Value.ValueTypeOneofCase.StringValue => value.StringValue,
        Value.ValueTypeOneofCase.TimestampValue => Timestamp.FromProto(value.TimestampValue),
        Value.ValueTypeOneofCase.BytesValue => Blob.FromByteString(value.BytesValue),
        Value.ValueTypeOneofCase.GeoPointValue => new GeoPoint(value.GeoPointValue.Latitude, value.GeoPointValue.Longitude),
        Value.ValueTypeOneofCase.ReferenceValue => database.DocumentFromResourceName(value.ReferenceValue),
        Value.ValueTypeOneofCase.ArrayValue => value.ArrayValue.Values.Select(element => FromValue(element, database)).ToList(),
        Value.ValueTypeOneofCase.MapValue => ToDictionary(value.MapValue.Fields, database),
        _ => throw new NotSupportedException("Firestore sent a value of a kind that this client does not know."),
    };
}
