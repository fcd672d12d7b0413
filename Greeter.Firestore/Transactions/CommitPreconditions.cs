using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transactions;

/// <summary>What a commit requires of the documents that its transaction read, so that it fails if one of them changed.</summary>
internal static class CommitPreconditions
{
    /// <summary>Adds the precondition of each read: to the first write of the document, or in a write that changes nothing.</summary>
    /// <exception cref="RpcException">A write's own precondition contradicts the read: the status that Firestore would respond with.
    /// </exception>
    public static void AddTo(List<Write> writes, IEnumerable<DocumentSnapshot> reads)
    {
        foreach (var read in reads)
        {
            if (writes.Find(write => write.Name() == read.Reference.Path) is not { } write)
            {
                writes.Add(CreateCheck(read));
                continue;
            }
            Embedded.DocumentRules.CheckPrecondition(write.CurrentDocument, read.Reference.Path, read.Document);
            write.CurrentDocument = Create(read);
        }
    }

    /// <summary>Returns whether a commit that arrives late can't overwrite a later state: each document that it writes must be new, or
    /// have a certain update time.</summary>
    public static bool AreComplete(IEnumerable<Write> writes) =>
        writes.DistinctBy(WriteExtensions.Name).All(write => IsCreation(write) || write.CurrentDocument?.UpdateTime is not null);

    /// <summary>Returns whether a write requires that its document doesn't exist.</summary>
    public static bool IsCreation(Write write) =>
        write.CurrentDocument is { ConditionTypeCase: V1.Precondition.ConditionTypeOneofCase.Exists, Exists: false };

    private static V1.Precondition Create(DocumentSnapshot read) => read.Document is null
        ? new V1.Precondition { Exists = false }
        : new V1.Precondition { UpdateTime = read.Document.UpdateTime };

    private static Write CreateCheck(DocumentSnapshot read) => read.Document is null
        ? new Write { Delete = read.Reference.Path, CurrentDocument = Create(read) }
        : new Write
        {
            Update = new Document { Name = read.Reference.Path },
            UpdateMask = new DocumentMask(),
            CurrentDocument = Create(read),
        };
}
