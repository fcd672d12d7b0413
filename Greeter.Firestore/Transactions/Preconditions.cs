namespace Greeter.Firestore.Transactions;

using Condition = Greeter.Firestore.V1.Precondition.ConditionTypeOneofCase;

/// <summary>The preconditions of a commit's writes.</summary>
internal static class Preconditions
{
    /// <summary>Requires that the documents that a transaction read haven't changed: in the first write of each, or in an additional
    /// write that changes nothing.</summary>
    public static void Add(List<Write> writes, IReadOnlyDictionary<string, BatchGetDocumentsResponse> reads)
    {
        foreach (var (name, read) in reads)
        {
            if (writes.Find(write => write.Name() == name) is not { } write)
            {
                writes.Add(CreateCheck(name, read.Found));
                continue;
            }
            Check(write.CurrentDocument, name, read.Found);
            write.CurrentDocument = Create(read.Found);
        }
    }

    /// <summary>Checks a precondition, if there is one, as Firestore does.</summary>
    /// <exception cref="RpcException">NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, or INVALID_ARGUMENT for a time later than the
    /// document's.</exception>
    public static void Check(V1.Precondition? precondition, string name, Document? current)
    {
        switch (precondition?.ConditionTypeCase)
        {
            case Condition.Exists when precondition.Exists && current is null:
                throw Failure(StatusCode.NotFound, $"Document '{name}' does not exist.");
            case Condition.Exists when !precondition.Exists && current is not null:
                throw Failure(StatusCode.AlreadyExists, $"Document '{name}' already exists.");
            case Condition.UpdateTime when current is not null && precondition.UpdateTime > current.UpdateTime:
                throw Failure(StatusCode.InvalidArgument, $"The required update time is later than that of document '{name}'.");
            // The emulator treats a missing document as one of 1970-01-01. By the documentation, the document must exist.
            case Condition.UpdateTime when !precondition.UpdateTime.Equals(current?.UpdateTime ?? new ProtoTimestamp()):
                throw Failure(StatusCode.FailedPrecondition, $"Document '{name}' doesn't have the required update time.");
        }
    }

    /// <summary>Returns whether a commit that arrives late is rejected after another state was written: each document must be new, or
    /// have a certain update time. (A document that was deleted in between could be created again.)</summary>
    public static bool RejectLateCommit(IEnumerable<Write> writes) =>
        writes.DistinctBy(WriteExtensions.Name).All(write => RequiresMissing(write) || write.CurrentDocument?.UpdateTime is not null);

    /// <summary>Returns whether a write requires that its document doesn't exist.</summary>
    public static bool RequiresMissing(Write write) =>
        write.CurrentDocument is { ConditionTypeCase: Condition.Exists, Exists: false };

    private static RpcException Failure(StatusCode status, string detail) => new(new Status(status, detail));

    private static V1.Precondition Create(Document? read) => read is null
        ? new V1.Precondition { Exists = false }
        : new V1.Precondition { UpdateTime = read.UpdateTime };

    private static Write CreateCheck(string name, Document? read) => read is null
        ? new Write { Delete = name, CurrentDocument = Create(read) }
        : new Write { Update = new Document { Name = name }, UpdateMask = new DocumentMask(), CurrentDocument = Create(read) };
}
