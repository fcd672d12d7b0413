using System.Text;
using Google.Protobuf.Collections;

namespace Greeter.Firestore.Embedded;

using Condition = Greeter.Firestore.V1.Precondition.ConditionTypeOneofCase;
using ValueType = Greeter.Firestore.V1.Value.ValueTypeOneofCase;

/// <summary>The limits and rules of Firestore. Each check fails with INVALID_ARGUMENT, as on Google's emulator; EmbeddedEqualsEmulatorTests
/// compares both. Source: https://cloud.google.com/firestore/quotas#collections_documents_and_fields</summary>
internal static class DocumentRules
{
    private const int MaxNameBytes = 1500;
    private const int MaxDocumentBytes = 1 << 20;
    private const int MaxValueBytes = MaxDocumentBytes - 89;
    private const int MaxDepth = ValueConverter.MaxDepth;

    /// <summary>Checks a read.</summary>
    public static void Check(BatchGetDocumentsRequest request) => CheckNames(request.Database, request.Documents);

    /// <summary>Checks a commit, and normalizes its values as Firestore does: timestamps are rounded down to microseconds, and there is one
    /// NaN and one zero in points.</summary>
    public static void Check(CommitRequest request)
    {
        CheckNames(request.Database, request.Writes.Select(WriteExtensions.Name));
        foreach (var group in request.Writes.GroupBy(WriteExtensions.Name))
        {
            Check(group.Key, group);
        }
    }

    /// <summary>Checks fields, and normalizes their values.</summary>
    public static void Check(MapField<string, Value> fields)
    {
        foreach (var (name, value) in fields)
        {
            Require(TryNormalize(name, value, 0, 0), name, "is not a valid field: reserved, without a value, out of range, or too large");
        }
    }

    /// <summary>Checks the size of a document, which differs from Firestore's by a few bytes a field:
    /// https://firebase.google.com/docs/firestore/storage-size</summary>
    public static void CheckSize(Document? document) => Require(
        document is null || document.CalculateSize() - document.Name.Length <= MaxDocumentBytes, document?.Name, "is too large");

    // Documented for BatchGetDocuments: the documents must be in the database. The emulator also accepts others.
    private static void CheckNames(string database, IEnumerable<string> names)
    {
        Require(IsResource(database, isDocument: false), database, "is not a valid database name");
        foreach (var name in names)
        {
            Require(IsResource(name, isDocument: true), name, "is not a valid document name");
            Require(name.StartsWith(database, StringComparison.Ordinal) && name[database.Length] == '/', name, "is in another database");
        }
    }

    private static void Check(string name, IEnumerable<Write> writes)
    {
        Write? first = null, before = null;
        foreach (var write in writes)
        {
            Require(write.Update is not null || write.UpdateMask is null, name, "can't be deleted with a mask");
            Require(write.Update is null || IsShort(name), name, "is too long");
            Check(write.Update?.Fields ?? []);
            Require((write.UpdateMask?.FieldPaths ?? []).All(IsPath), name, "has a mask that is not valid");
            var time = write.CurrentDocument?.UpdateTime;
            Require(time is null || (IsInRange(time) && time.Nanos % 1000 == 0), name, "can't have the required update time");
            // The first precondition is about the document, a later one about the write before it. The emulator does so; it's undocumented.
            var follows = before is null || write.CurrentDocument?.ConditionTypeCase switch
            {
                Condition.Exists => write.CurrentDocument.Exists == before.Update is not null,
                Condition.UpdateTime =>
                    write.CurrentDocument.Equals(first!.CurrentDocument) && (before.Update is not null || write.Update is null),
                _ => true,
            };
            Require(follows, name, "has writes with contradictory preconditions");
            (first, before) = (first ?? write, write);
        }
    }

    /// <summary>Returns whether a name is <c>projects/{project}/databases/{database}</c>, for a document followed by
    /// <c>/documents/{collection}/{id}</c> and any number of further <c>/{collection}/{id}</c>.</summary>
    private static bool IsResource(string name, bool isDocument) =>
        name.Split('/') is ["projects", not "", "databases", not "", .. var rest] && (isDocument
            ? rest is ["documents", _, _, ..] && rest.Length % 2 == 1 && rest.Skip(1).Index().All(id => IsId(id.Item, id.Index % 2 == 1))
            : rest is []);

    private static bool IsId(string id, bool isOfDocument) =>
        id is not ("" or "." or "..") && (!IsReserved(id) || (isOfDocument && IsNumeric(id)));

    // Only for writes: a read or a delete of a document with a longer name is allowed, and finds nothing.
    private static bool IsShort(string name) => name.Split('/')[5..] is { Length: <= 2 * 100 } ids
        && Array.TrueForAll(ids, id => Encoding.UTF8.GetByteCount(id) <= MaxNameBytes);

    /// <summary>Returns whether a field is valid, and normalizes its value.</summary>
    private static bool TryNormalize(string name, Value value, int depth, int pathBytes)
    {
        pathBytes += Encoding.UTF8.GetByteCount(name);
        return name.Length > 0 && !IsReserved(name) && pathBytes <= MaxNameBytes && TryNormalize(value, depth, pathBytes);
    }

    private static bool TryNormalize(Value value, int depth, int pathBytes)
    {
        switch (value.ValueTypeCase)
        {
            case ValueType.StringValue:
                return Encoding.UTF8.GetByteCount(value.StringValue) <= MaxValueBytes;
            case ValueType.BytesValue:
                return value.BytesValue.Length <= MaxValueBytes;
            case ValueType.GeoPointValue:
                var point = value.GeoPointValue;
                // Adding 0 makes 0 of -0.
                (point.Latitude, point.Longitude) = (point.Latitude + 0.0, point.Longitude + 0.0);
                return Math.Abs(point.Latitude) <= 90 && Math.Abs(point.Longitude) <= 180;
            case ValueType.ReferenceValue:
                return IsResource(value.ReferenceValue, isDocument: true) && IsShort(value.ReferenceValue);
            case ValueType.TimestampValue when IsInRange(value.TimestampValue):
                value.TimestampValue.Nanos -= value.TimestampValue.Nanos % 1000;
                return true;
            case ValueType.TimestampValue or ValueType.None:
                return false;
            case ValueType.DoubleValue when double.IsNaN(value.DoubleValue):
                value.DoubleValue = ValueConverter.NaN;
                return true;
            case ValueType.MapValue:
                return depth < MaxDepth && value.MapValue.Fields.All(one => TryNormalize(one.Key, one.Value, depth + 1, pathBytes + 1));
            case ValueType.ArrayValue:
                return value.ArrayValue.Values.All(
                    element => element.ArrayValue is null && depth < MaxDepth && TryNormalize(element, depth + 1, pathBytes));
            default:
                return true;
        }
    }

    private static bool IsPath(string path) => FieldPath.Parse(path) is { Length: <= MaxDepth } names
        && names.Sum(Encoding.UTF8.GetByteCount) + names.Length <= MaxNameBytes && !Array.Exists(names, name => IsReserved(name));

    private static bool IsInRange(ProtoTimestamp time) =>
        time.Nanos is >= 0 and < 1_000_000_000 && time.Seconds is >= -62_135_596_800 and < 253_402_300_800;

    // By the documentation "____" is reserved too. The emulator accepts it.
    private static bool IsReserved(ReadOnlySpan<char> name) => name.Length > 4 && name.StartsWith("__") && name.EndsWith("__");

    /// <summary>Returns whether an ID is a numeric ID of Datastore mode, such as <c>__id7__</c>.</summary>
    private static bool IsNumeric(ReadOnlySpan<char> id) =>
        id.StartsWith("__id") && long.TryParse(id[4..^2], out var number) && number != 0;

    private static void Require(bool isValid, string? subject, string problem)
    {
        if (!isValid)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, $"'{subject}' {problem}."));
        }
    }
}
