using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using Google.Protobuf.WellKnownTypes;
using Value = Greeter.Firestore.V1.Value;

namespace Greeter.Firestore.Serialization;

/// <summary>Converts .NET values to Firestore's and back.</summary>
internal static class ValueConverter
{
    /// <summary>The number of maps and arrays that a value can be inside of, and of names in a field path.</summary>
    /// <remarks>Source: https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields</remarks>
    public const int MaxDepth = 20;

    /// <summary>The only NaN that Firestore stores.</summary>
    public static readonly double NaN = BitConverter.UInt64BitsToDouble(0x7FF8000000000000);

    /// <summary>Converts data and adds it to a document's fields.</summary>
    /// <exception cref="ArgumentException">The data isn't a dictionary with string keys or of an anonymous type, contains a value of a
    /// type that Firestore doesn't have or a text with a lone surrogate, or is nested too deeply.</exception>
    public static void AddTo(MapField<string, Value> fields, object data)
    {
        ArgumentNullException.ThrowIfNull(data);
        var map = FindMap(data) ?? throw new ArgumentException(
            $"A document's data is an IDictionary<string, T> or of an anonymous type, not {data.GetType()}.", nameof(data));
        AddTo(fields, map, depth: 0);
    }

    /// <summary>Converts a document's or map's fields, with references from the full names of documents.</summary>
    /// <exception cref="NotSupportedException">A value is of a type that the client doesn't know.</exception>
    public static Dictionary<string, object?> ToDictionary(MapField<string, Value> fields, Func<string, DocumentReference> toReference)
    {
        var map = new Dictionary<string, object?>(fields.Count);
        foreach (var (name, value) in fields)
        {
            map.Add(name, FromValue(value, toReference));
        }
        return map;
    }

    private static void AddTo(MapField<string, Value> fields, IEnumerable<KeyValuePair<string, object?>> map, int depth)
    {
        foreach (var (name, value) in map)
        {
            fields.Add(UnicodeText.Check(name), ToValue(value, depth));
        }
    }

    private static Value ToValue(object? value, int depth) => value switch
    {
        null => new Value { NullValue = NullValue.NullValue },
        bool boolean => new Value { BooleanValue = boolean },
        sbyte or byte or short or ushort or int or uint or long => new Value { IntegerValue = Convert.ToInt64(value, null) },
        ulong and <= long.MaxValue => new Value { IntegerValue = Convert.ToInt64(value, null) },
        // Google's client stores the number of the enumeration's member, too.
        System.Enum => ToValue(Convert.ChangeType(value, System.Enum.GetUnderlyingType(value.GetType()), null), depth),
        // With another NaN, a cached document would differ from a fresh one.
        float.NaN or double.NaN => new Value { DoubleValue = NaN },
        float or double => new Value { DoubleValue = Convert.ToDouble(value, null) },
        string text => new Value { StringValue = UnicodeText.Check(text) },
        Timestamp timestamp => new Value { TimestampValue = timestamp.ToStored() },
        DateTime dateTime => new Value { TimestampValue = Timestamp.FromDateTime(dateTime).ToStored() },
        DateTimeOffset dateTime => new Value { TimestampValue = Timestamp.FromDateTimeOffset(dateTime).ToStored() },
        Blob blob => new Value { BytesValue = blob.ByteString },
        ByteString bytes => new Value { BytesValue = bytes },
        byte[] bytes => new Value { BytesValue = ByteString.CopyFrom(bytes) },
        GeoPoint point => new Value { GeoPointValue = new LatLng { Latitude = point.Latitude, Longitude = point.Longitude } },
        DocumentReference reference => new Value { ReferenceValue = reference.Path },
        _ when FindMap(value) is { } map => new Value { MapValue = ToMapValue(map, depth) },
        IEnumerable array and not IDictionary => new Value { ArrayValue = ToArrayValue(array, depth) },
        _ => throw new ArgumentException($"Firestore has no type for {value.GetType()}.", nameof(value)),
    };

    private static MapValue ToMapValue(IEnumerable<KeyValuePair<string, object?>> map, int depth)
    {
        CheckDepth(depth);
        var mapValue = new MapValue();
        AddTo(mapValue.Fields, map, depth + 1);
        return mapValue;
    }

    private static ArrayValue ToArrayValue(IEnumerable array, int depth)
    {
        var arrayValue = new ArrayValue();
        foreach (var element in array)
        {
            // Firestore doesn't count an empty array.
            CheckDepth(depth);
            arrayValue.Values.Add(ToValue(element, depth + 1));
        }
        return arrayValue;
    }

    // This also ends the conversion of data that contains itself.
    private static void CheckDepth(int depth)
    {
        if (depth >= MaxDepth)
        {
            throw new ArgumentException($"A document can't have more than {MaxDepth} maps and arrays inside each other.");
        }
    }

    /// <summary>Returns the fields of a dictionary with string keys or of an anonymous type; <c>null</c> for any other value.</summary>
    private static IEnumerable<KeyValuePair<string, object?>>? FindMap(object value)
    {
        if (value is IDictionary<string, object?> map)
        {
            return map;
        }
        var type = value.GetType();
        if (type.IsDefined(typeof(CompilerGeneratedAttribute)) && type.Name.Contains("AnonymousType", StringComparison.Ordinal))
        {
            return type.GetProperties().Select(property => KeyValuePair.Create(property.Name, property.GetValue(value)));
        }
        var dictionary = Array.Find(
            type.GetInterfaces(),
            type => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IDictionary<,>)
                && type.GenericTypeArguments[0] == typeof(string));
        if (dictionary is null)
        {
            return null;
        }
        var toPairs = typeof(ValueConverter).GetMethod(nameof(ToPairs), BindingFlags.NonPublic | BindingFlags.Static)!;
        return (IEnumerable<KeyValuePair<string, object?>>?)toPairs
            .MakeGenericMethod(dictionary.GenericTypeArguments[1]).Invoke(null, [value]);
    }

    private static IEnumerable<KeyValuePair<string, object?>> ToPairs<T>(IDictionary<string, T> map) =>
        map.Select(pair => KeyValuePair.Create(pair.Key, (object?)pair.Value));

    private static object? FromValue(Value value, Func<string, DocumentReference> toReference) => value.ValueTypeCase switch
    {
        Value.ValueTypeOneofCase.NullValue => null,
        Value.ValueTypeOneofCase.BooleanValue => value.BooleanValue,
        Value.ValueTypeOneofCase.IntegerValue => value.IntegerValue,
        Value.ValueTypeOneofCase.DoubleValue => value.DoubleValue,
        Value.ValueTypeOneofCase.StringValue => value.StringValue,
        Value.ValueTypeOneofCase.TimestampValue => Timestamp.FromProto(value.TimestampValue),
        Value.ValueTypeOneofCase.BytesValue => Blob.FromByteString(value.BytesValue),
        Value.ValueTypeOneofCase.GeoPointValue => new GeoPoint(value.GeoPointValue.Latitude, value.GeoPointValue.Longitude),
        Value.ValueTypeOneofCase.ReferenceValue => toReference(value.ReferenceValue),
        Value.ValueTypeOneofCase.ArrayValue => value.ArrayValue.Values.Select(element => FromValue(element, toReference)).ToList(),
        Value.ValueTypeOneofCase.MapValue => ToDictionary(value.MapValue.Fields, toReference),
        _ => throw new NotSupportedException("Firestore sent a value of a type that this client doesn't know."),
    };
}
