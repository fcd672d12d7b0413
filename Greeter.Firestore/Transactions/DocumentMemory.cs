using Google.Protobuf;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transactions;

/// <summary>
/// Documents as this process last committed them. A transaction may take one for what is stored, because its commit is guarded:
/// where somebody else was there in between it fails and runs again on fresh reads. That saves the read of a visitor who comes
/// back to the same process.
/// </summary>
internal sealed class DocumentMemory
{
    /// <summary>How many documents are remembered at most; beyond that the older half is forgotten.</summary>
    public const int Capacity = 10_000;

    /// <summary>How large a document may be to be remembered, in bytes.</summary>
    public const int MaxDocumentBytes = 8 << 10;

    private readonly Lock access = new();
    private Dictionary<string, Remembered> young = [];
    private Dictionary<string, Remembered> old = [];

    /// <summary>Whether what is remembered is still true, judged by how it went of late.</summary>
    public Odds Reads { get; } = new();

    /// <summary>Whether a document that is merged into without having been read is a new one.</summary>
    public Odds Creations { get; } = new();

    /// <summary>The document as it was committed here; null if it is not remembered, or what was remembered was wrong too often of
    /// late.</summary>
    public Document? Recall(string path)
    {
        Remembered? remembered;
        lock (access)
        {
            remembered = Find(path);
        }
        return remembered is null || !Reads.Favour ? null : Document.Parser.ParseFrom(remembered.Document);
    }

    /// <summary>Remembers a document that was committed, unless a later version is known.</summary>
    public void Remember(Document document)
    {
        if (document.CalculateSize() > MaxDocumentBytes)
        {
            Forget(document.Name);
            return;
        }
        var remembered = new Remembered(document.ToByteArray(), document.UpdateTime);
        lock (access)
        {
            if (Find(document.Name)?.UpdateTime.CompareTo(document.UpdateTime) > 0)
            {
                return;
            }
            young[document.Name] = remembered;
            if (young.Count == Capacity / 2)
            {
                (old, young) = (young, []);
            }
        }
    }

    /// <summary>Forgets a document: what is stored is not known.</summary>
    public void Forget(string path)
    {
        lock (access)
        {
            young.Remove(path);
            old.Remove(path);
        }
    }

    private Remembered? Find(string path) => young.GetValueOrDefault(path) ?? old.GetValueOrDefault(path);

    /// <param name="Document">As protobuf has it on the wire, for the garbage collector's sake.</param>
    /// <param name="UpdateTime">The document's.</param>
    private sealed record Remembered(byte[] Document, Google.Protobuf.WellKnownTypes.Timestamp UpdateTime);

    /// <summary>How often a kind of guess was right of late. A wrong one costs as much as a right one saves, so it pays while more
    /// than half are right; one in 32 is made all the same, to find out when that changes.</summary>
    internal sealed class Odds
    {
        private const double Weight = 1.0 / 32;

        // Several threads may lose an update to one another: it is an estimate.
        private double right = 1;
        private uint refused;

        public bool Favour => right > 0.5 || Interlocked.Increment(ref refused) % 32 == 0;

        public void Learn(bool wasRight) => right += ((wasRight ? 1 : 0) - right) * Weight;
    }
}
