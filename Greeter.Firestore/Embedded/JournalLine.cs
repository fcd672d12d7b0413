using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

/// <summary>
/// A commit as the journal has it: compact JSON that protobuf's own parser reads, and Firestore's REST API speaks. Protobuf's own
/// writer puts spaces everywhere and takes several times as long.
/// </summary>
internal sealed class JournalLine : IDisposable
{
    private static readonly JsonWriterOptions Options = new()
    {
        // It is no part of a web page, and is to be read by people.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    private readonly ArrayBufferWriter<byte> buffer = new();
    private readonly Utf8JsonWriter json;

    public JournalLine() => json = new Utf8JsonWriter(buffer, Options);

    /// <summary>The line in UTF-8, with its newline; there until the next one.</summary>
    public ReadOnlySpan<byte> Encode(JournalEntry entry)
    {
        buffer.ResetWrittenCount();
        json.Reset();
        WriteEntry(entry);
        json.Flush();
        buffer.Write("\n"u8);
        return buffer.WrittenSpan;
    }

    public void Dispose() => json.Dispose();

    private void WriteEntry(JournalEntry entry)
    {
        json.WriteStartObject();
        json.WriteString("commitTime", entry.CommitTime.ToDateTime());
        json.WriteStartArray("writes");
        foreach (var write in entry.Writes)
        {
            json.WriteStartObject();
            if (write.Update is { } document)
            {
                json.WriteStartObject("update");
                json.WriteString("name", document.Name);
                WriteFields(document.Fields);
                json.WriteString("createTime", document.CreateTime.ToDateTime());
                json.WriteString("updateTime", document.UpdateTime.ToDateTime());
                json.WriteEndObject();
            }
            else
            {
                json.WriteString("delete", write.Delete);
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void WriteFields(MapField<string, Value> fields)
    {
        json.WriteStartObject("fields");
        foreach (var (name, value) in fields)
        {
            json.WritePropertyName(name);
            WriteValue(value);
        }
        json.WriteEndObject();
    }

    private void WriteValue(Value value)
    {
        json.WriteStartObject();
        switch (value.ValueTypeCase)
        {
            case Value.ValueTypeOneofCase.NullValue:
                json.WriteNull("nullValue");
                break;
            case Value.ValueTypeOneofCase.BooleanValue:
                json.WriteBoolean("booleanValue", value.BooleanValue);
                break;
            case Value.ValueTypeOneofCase.IntegerValue:
                json.WriteString("integerValue", value.IntegerValue.ToString(CultureInfo.InvariantCulture));
                break;
            case Value.ValueTypeOneofCase.DoubleValue when double.IsFinite(value.DoubleValue):
                json.WriteNumber("doubleValue", value.DoubleValue);
                break;
            case Value.ValueTypeOneofCase.DoubleValue:
                json.WriteString("doubleValue", value.DoubleValue.ToString(CultureInfo.InvariantCulture));
                break;
            case Value.ValueTypeOneofCase.TimestampValue:
                json.WriteString("timestampValue", value.TimestampValue.ToDateTime());
                break;
            case Value.ValueTypeOneofCase.StringValue:
                json.WriteString("stringValue", value.StringValue);
                break;
            case Value.ValueTypeOneofCase.BytesValue:
                json.WriteBase64String("bytesValue", value.BytesValue.Span);
                break;
            case Value.ValueTypeOneofCase.ReferenceValue:
                json.WriteString("referenceValue", value.ReferenceValue);
                break;
            case Value.ValueTypeOneofCase.GeoPointValue:
                json.WriteStartObject("geoPointValue");
                json.WriteNumber("latitude", value.GeoPointValue.Latitude);
                json.WriteNumber("longitude", value.GeoPointValue.Longitude);
                json.WriteEndObject();
                break;
            case Value.ValueTypeOneofCase.ArrayValue:
                json.WriteStartObject("arrayValue");
                json.WriteStartArray("values");
                foreach (var element in value.ArrayValue.Values)
                {
                    WriteValue(element);
                }
                json.WriteEndArray();
                json.WriteEndObject();
                break;
            case Value.ValueTypeOneofCase.MapValue:
                json.WriteStartObject("mapValue");
                WriteFields(value.MapValue.Fields);
                json.WriteEndObject();
                break;
        }
        json.WriteEndObject();
    }
}
