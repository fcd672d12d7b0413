using System.Text;
using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

using Precondition = Greeter.Firestore.V1.Precondition;
using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>
/// The limits and rules of Firestore, with the statuses of Google's emulator; EmbeddedEqualsEmulatorTests compares both.
/// Source: https://cloud.google.com/firestore/quotas#collections_documents_and_fields
/// </summary>
internal static class DocumentRules
{
    private const int MaxNameBytes = 1500;
    private const int MaxDocumentBytes = 1 << 20;
    private const int MaxValueBytes = MaxDocumentBytes - 89;
    private const int MaxDepth = ValueConverter.MaxDepth;
    private const int MaxPairs = 100;

    /// <summary>Checks the names in a read.</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public static void Check(BatchGetDocumentsRequest request)
    {
        CheckDatabase(request.Database);
        foreach (var name in request.Documents)
        {
            CheckName(name);
            CheckIsIn(request.Database, name);
        }
    }

    /// <summary>Checks the writes of a commit, and normalizes their values as Firestore does: timestamps are rounded down to
    /// microseconds, and all kinds of NaN become one.</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public static void Check(CommitRequest request)
    {
        CheckDatabase(request.Database);
        foreach (var write in request.Writes)
        {
            Check(write);
            CheckIsIn(request.Database, write.Name());
        }
        if (request.Writes.Count > 1)
        {
            CheckConsistency(request.Writes);
        }
    }

    /// <inheritdoc cref="Check(CommitRequest)"/>
    public static void Check(Write write)
    {
        switch (write.OperationCase)
        {
            case Write.OperationOneofCase.Update:
                CheckName(write.Update.Name);
                CheckLength(write.Update.Name);
                CheckFields(write.Update.Fields, 0, 0);
                foreach (var path in write.UpdateMask?.FieldPaths ?? [])
                {
                    CheckPath(path);
                }
                break;
            case Write.OperationOneofCase.Delete when write.UpdateMask is null:
                CheckName(write.Delete);
                break;
            default:
                throw Invalid("A write needs an update, or a delete without a mask.");
        }
        if (write.CurrentDocument?.UpdateTime is { } time && (!IsInRange(time) || time.Nanos % 1000 != 0))
        {
            throw Invalid($"{time.Seconds}.{time.Nanos:d9} s is not a valid update time. Update times are in microseconds.");
        }
    }

    /// <summary>Checks the size of a document, which differs from Firestore's by a few bytes a field:
    /// https://firebase.google.com/docs/firestore/storage-size</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public static void CheckSize(Document? document)
    {
        if (document?.CalculateSize() - document?.Name.Length > MaxDocumentBytes)
        {
            throw Invalid($"Document '{document!.Name}' is larger than {MaxDocumentBytes} bytes.");
        }
    }

    /// <summary>
    /// Checks several writes to one document. Only the first one's precondition is checked against the document; each later
    /// one must follow from the write before it. This is the emulator's behavior, and not documented.
    /// </summary>
    private static void CheckConsistency(IEnumerable<Write> writes)
    {
        foreach (var group in writes.GroupBy(WriteExtensions.Name))
        {
            var first = group.First().CurrentDocument;
            foreach (var (before, write) in group.Zip(group.Skip(1)))
            {
                var follows = write.CurrentDocument?.ConditionTypeCase switch
                {
                    Precondition.ConditionTypeOneofCase.Exists => write.CurrentDocument.Exists == before.Update is not null,
                    Precondition.ConditionTypeOneofCase.UpdateTime =>
                        write.CurrentDocument.Equals(first) && (before.Update is not null || write.Update is null),
                    _ => true,
                };
                if (!follows)
                {
                    throw Invalid($"The preconditions of the writes to '{group.Key}' contradict each other.");
                }
            }
        }
    }

    private static void CheckDatabase(string database)
    {
        if (!IsResource(database, isDocument: false))
        {
            throw Invalid($"'{database}' is not a valid database name.");
        }
    }

    // Documented for BatchGetDocuments. The emulator also accepts names in another database.
    private static void CheckIsIn(string database, string name)
    {
        if (!name.StartsWith(database, StringComparison.Ordinal) || name[database.Length] != '/')
        {
            throw Invalid($"'{name}' is not in database '{database}'.");
        }
    }

    private static void CheckName(string name)
    {
        if (!IsResource(name, isDocument: true))
        {
            throw Invalid($"'{name}' is not a valid document name.");
        }
    }

    /// <summary>Returns whether a name is <c>projects/{project}/databases/{database}</c>, for a document followed by
    /// <c>/documents/{collection}/{id}</c> and any number of further <c>/{collection}/{id}</c>.</summary>
    private static bool IsResource(ReadOnlySpan<char> name, bool isDocument)
    {
        var count = 0;
        foreach (var range in name.Split('/'))
        {
            var part = name[range];
            var isValid = count++ switch
            {
                0 => part is "projects",
                2 => part is "databases",
                4 => part is "documents",
                1 or 3 => part is not "",
                var i => part is not ("" or "." or "..") && (!IsReserved(part) || (i % 2 == 0 && IsNumeric(part))),
            };
            if (!isValid)
            {
                return false;
            }
        }
        return isDocument ? count >= 7 && count % 2 == 1 : count == 4;
    }

    // Only for writes: a read or a delete of a document with a longer name is allowed, and finds nothing.
    private static void CheckLength(string name)
    {
        if (name.Length <= 4 * MaxPairs)
        {
            // Too short for either limit.
            return;
        }
        var ids = name.Split('/')[5..];
        if (ids.Length > 2 * MaxPairs || Array.Exists(ids, id => Encoding.UTF8.GetByteCount(id) > MaxNameBytes))
        {
            throw Invalid($"The name '{name}' is too long.");
        }
    }

    private static void CheckFields(MapField<string, Value> fields, int depth, int pathBytes)
    {
        foreach (var (name, value) in fields)
        {
            var bytes = pathBytes + Encoding.UTF8.GetByteCount(name);
            if (name.Length == 0 || IsReserved(name) || bytes > MaxNameBytes)
            {
                throw Invalid($"'{name}' is not a valid field name.");
            }
            CheckValue(value, depth, bytes);
        }
    }

    private static void CheckValue(Value value, int depth, int pathBytes)
    {
        var isValid = value.ValueTypeCase switch
        {
            Value.ValueTypeOneofCase.None => false,
            Value.ValueTypeOneofCase.StringValue => Encoding.UTF8.GetByteCount(value.StringValue) <= MaxValueBytes,
            Value.ValueTypeOneofCase.BytesValue => value.BytesValue.Length <= MaxValueBytes,
            Value.ValueTypeOneofCase.TimestampValue => IsInRange(value.TimestampValue),
            Value.ValueTypeOneofCase.GeoPointValue =>
                Math.Abs(value.GeoPointValue.Latitude) <= 90 && Math.Abs(value.GeoPointValue.Longitude) <= 180,
            Value.ValueTypeOneofCase.MapValue => depth < MaxDepth,
            Value.ValueTypeOneofCase.ArrayValue =>
                value.ArrayValue.Values.All(element => element.ArrayValue is null && depth < MaxDepth),
            _ => true,
        };
        if (!isValid)
        {
            throw Invalid($"A {value.ValueTypeCase} is too large, out of range, nested too deeply, or an array in an array.");
        }
        switch (value.ValueTypeCase)
        {
            case Value.ValueTypeOneofCase.ReferenceValue:
                CheckName(value.ReferenceValue);
                CheckLength(value.ReferenceValue);
                break;
            case Value.ValueTypeOneofCase.TimestampValue:
                value.TimestampValue.Nanos -= value.TimestampValue.Nanos % 1000;
                break;
            case Value.ValueTypeOneofCase.DoubleValue when double.IsNaN(value.DoubleValue):
                value.DoubleValue = ValueConverter.NaN;
                break;
            case Value.ValueTypeOneofCase.MapValue:
                CheckFields(value.MapValue.Fields, depth + 1, pathBytes + 1);
                break;
            case Value.ValueTypeOneofCase.ArrayValue:
                foreach (var element in value.ArrayValue.Values)
                {
                    CheckValue(element, depth + 1, pathBytes);
                }
                break;
        }
    }

    private static void CheckPath(string path)
    {
        try
        {
            var names = FieldPath.Parse(path);
            if (Array.Exists(names, name => IsReserved(name)) || names.Length > MaxDepth
                || names.Sum(Encoding.UTF8.GetByteCount) + names.Length > MaxNameBytes)
            {
                throw Invalid($"'{path}' has a reserved field name or is too long.");
            }
        }
        catch (FormatException e)
        {
            throw Invalid(e.Message);
        }
    }

    private static bool IsInRange(Timestamp time) =>
        time.Nanos is >= 0 and < 1_000_000_000 && time.Seconds is >= -62_135_596_800 and < 253_402_300_800;

    // By the documentation "____" is reserved too. The emulator accepts it.
    private static bool IsReserved(ReadOnlySpan<char> name) => name.Length > 4 && name.StartsWith("__") && name.EndsWith("__");

    /// <summary>Returns whether an ID is a numeric ID of Datastore mode, such as <c>__id7__</c>.</summary>
    private static bool IsNumeric(ReadOnlySpan<char> id) =>
        id.StartsWith("__id") && long.TryParse(id[4..^2], out var number) && number != 0;

    private static RpcException Invalid(string detail) => new(new Status(StatusCode.InvalidArgument, detail));
}
