using System.Text;
using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

/// <summary>
/// What Firestore refuses. Limits: https://cloud.google.com/firestore/quotas#collections_documents_and_fields; statuses as
/// Google's emulator gives them.
/// </summary>
internal static class DocumentRules
{
    private const int MaxNameBytes = 1500;
    private const int MaxDocumentBytes = (1 << 20) - 4;
    private const int MaxDepth = 20;

    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public static void CheckName(string database, string name)
    {
        var root = $"{database}/documents/";
        if (!name.StartsWith(root, StringComparison.Ordinal))
        {
            throw Invalid($"Document '{name}' is not in database '{database}'.");
        }
        var ids = name[root.Length..].Split('/');
        if (ids.Length % 2 != 0 || Array.Exists(ids, id => id is "" or "." or ".." || IsReserved(id) || IsTooLong(id)))
        {
            throw Invalid($"'{name}' is no name of a document.");
        }
    }

    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public static void Check(string database, Write write)
    {
        if (write.OperationCase == Write.OperationOneofCase.None)
        {
            throw Invalid("A write has no operation.");
        }
        CheckName(database, write.Update?.Name ?? write.Delete);
        if (write.Update is not null)
        {
            CheckFields(write.Update.Fields, 1);
        }
        foreach (var path in write.UpdateMask?.FieldPaths ?? [])
        {
            CheckPath(path);
        }
    }

    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public static void CheckSize(Document document)
    {
        if (document.CalculateSize() > MaxDocumentBytes)
        {
            throw Invalid($"Document '{document.Name}' is larger than {MaxDocumentBytes} bytes.");
        }
    }

    /// <exception cref="RpcException">NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION.</exception>
    public static void CheckPrecondition(Precondition? precondition, string name, Document? current)
    {
        switch (precondition?.ConditionTypeCase)
        {
            case Precondition.ConditionTypeOneofCase.Exists when precondition.Exists && current is null:
                throw new RpcException(StatusCode.NotFound, $"no entity to update: {name}");
            case Precondition.ConditionTypeOneofCase.Exists when !precondition.Exists && current is not null:
                throw new RpcException(StatusCode.AlreadyExists, $"entity already exists: {name}");
            case Precondition.ConditionTypeOneofCase.UpdateTime when !precondition.UpdateTime.Equals(current?.UpdateTime):
                throw new RpcException(StatusCode.FailedPrecondition, $"the stored version does not match the required one: {name}");
        }
    }

    private static void CheckFields(MapField<string, Value> fields, int depth)
    {
        foreach (var (name, value) in fields)
        {
            if (name.Length == 0 || IsReserved(name) || IsTooLong(name))
            {
                throw Invalid($"'{name}' is no name of a field.");
            }
            CheckValue(value, depth);
        }
    }

    private static void CheckValue(Value value, int depth, bool isElement = false)
    {
        switch (value.ValueTypeCase)
        {
            case Value.ValueTypeOneofCase.None:
                throw Invalid("A value has no type.");
            case Value.ValueTypeOneofCase.MapValue or Value.ValueTypeOneofCase.ArrayValue when depth >= MaxDepth:
                throw Invalid($"A value is nested deeper than {MaxDepth}.");
            case Value.ValueTypeOneofCase.ArrayValue when isElement:
                throw Invalid("An array contains another array directly.");
            case Value.ValueTypeOneofCase.MapValue:
                CheckFields(value.MapValue.Fields, depth + 1);
                break;
            case Value.ValueTypeOneofCase.ArrayValue:
                foreach (var element in value.ArrayValue.Values)
                {
                    CheckValue(element, depth + 1, isElement: true);
                }
                break;
        }
    }

    private static void CheckPath(string path)
    {
        try
        {
            if (FieldPath.Parse(path).Exists(name => name.Length == 0 || IsReserved(name)))
            {
                throw new FormatException($"'{path}' has a reserved or empty name.");
            }
        }
        catch (FormatException e)
        {
            throw Invalid(e.Message);
        }
    }

    private static bool IsReserved(string name) =>
        name.Length >= 4 && name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal);

    private static bool IsTooLong(string name) => name.Length > MaxNameBytes / 3 && Encoding.UTF8.GetByteCount(name) > MaxNameBytes;

    private static RpcException Invalid(string detail) => new(StatusCode.InvalidArgument, detail);
}
