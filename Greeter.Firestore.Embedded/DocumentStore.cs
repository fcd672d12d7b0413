using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

using Duration = Google.Protobuf.WellKnownTypes.Duration;
using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>
/// The documents of the embedded store, in memory and in a journal. Reads and commits have the results and the statuses that
/// Google's emulator gives.
/// </summary>
internal sealed class DocumentStore : IDisposable
{
    /// <summary>The journal is compacted when it has grown by this factor since the last compaction. So compactions get rarer as the
    /// documents grow.</summary>
    private const int GrowthBeforeCompaction = 4;

    private static readonly Duration Microsecond = new() { Nanos = 1000 };

    /// <summary>The start of the year 9999. Commit times rise, so a time just below the last one that protobuf has would
    /// leave no times for later commits.</summary>
    private static readonly Timestamp EndOfTime = new() { Seconds = 253_370_764_800 };

    private readonly Lock access = new();
    private readonly Journal journal;
    private readonly TimeProvider time;
    private readonly long compactionSize;
    // A document in here never changes; a commit replaces it. So responses can be encoded outside the lock.
    private readonly Dictionary<string, Document> documents = [];
    private Timestamp lastCommitTime = new();
    private long nextCompaction;

    /// <summary>Loads a journal and compacts it.</summary>
    /// <param name="journal">The journal; disposed of with this object.</param>
    /// <param name="time">The clock.</param>
    /// <param name="compactionSize">The length below which a journal in use is not compacted, in bytes.</param>
    /// <exception cref="InvalidOperationException">The journal is damaged or can't be written.</exception>
    public DocumentStore(Journal journal, TimeProvider time, long compactionSize = 16 << 20)
    {
        (this.journal, this.time, this.compactionSize) = (journal, time, compactionSize);
        try
        {
            journal.Load(Restore);
            Compact();
        }
        catch (Exception e)
        {
            journal.Dispose();
            if (IsDiskFailure(e))
            {
                throw new InvalidOperationException($"{journal.Path} can't be used: {e.Message}", e);
            }
            throw;
        }
    }

    public string JournalPath => journal.Path;

    private Timestamp Now => RoundDown(Timestamp.FromDateTimeOffset(time.GetUtcNow()));

    public void Dispose() => journal.Dispose();

    /// <summary>Reads documents, all as of one moment.</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public List<BatchGetDocumentsResponse> BatchGet(BatchGetDocumentsRequest request)
    {
        DocumentRules.Check(request);
        lock (access)
        {
            var readTime = Latest(Now, lastCommitTime);
            return [.. request.Documents.Distinct().Select(name => documents.TryGetValue(name, out var document)
                ? new BatchGetDocumentsResponse { Found = document, ReadTime = readTime }
                : new BatchGetDocumentsResponse { Missing = name, ReadTime = readTime })];
        }
    }

    /// <summary>Applies writes, all or none. They are in the journal when this method returns.</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS or FAILED_PRECONDITION as from Firestore;
    /// RESOURCE_EXHAUSTED if the journal can't be written; DATA_LOSS if another program changed it. Nothing has
    /// changed.</exception>
    public CommitResponse Commit(CommitRequest request)
    {
        DocumentRules.Check(request);
        lock (access)
        {
            var commitTime = NextCommitTime();
            var entry = new JournalEntry { CommitTime = commitTime };
            foreach (var (name, document) in Apply(request.Writes, commitTime))
            {
                // A write that changes nothing keeps the update time.
                if (!AreSame(documents.GetValueOrDefault(name), document))
                {
                    DocumentRules.CheckSize(document);
                    entry.Writes.Add(document is null ? new Write { Delete = name } : new Write { Update = document });
                }
            }
            Store(entry);
            var results = request.Writes.Select(
                write => new V1.WriteResult { UpdateTime = documents.GetValueOrDefault(write.Name())?.UpdateTime });
            return new CommitResponse { CommitTime = commitTime, WriteResults = { results } };
        }
    }

    // .NET reports a file that is too long for its file system as ArgumentOutOfRangeException.
    private static bool IsDiskFailure(Exception e) =>
        e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException;

    private static bool AreSame(Document? before, Document? after) => before is null || after is null
        ? before == after
        : before.CreateTime.Equals(after.CreateTime) && before.Fields.Equals(after.Fields);

    private static Timestamp RoundDown(Timestamp time) =>
        time < EndOfTime
            ? new Timestamp { Seconds = time.Seconds, Nanos = time.Nanos - (time.Nanos % 1000) }
            : throw new RpcException(new Status(StatusCode.InvalidArgument, $"The time {time} is not before the year 9999."));

    private static Timestamp Latest(Timestamp one, Timestamp other) => one > other ? one : other;

    /// <summary>Returns the current time, or a later one if that is not after the last commit: preconditions tell versions of a
    /// document apart by their times.</summary>
    private Timestamp NextCommitTime() => lastCommitTime = Latest(Now, lastCommitTime + Microsecond);

    /// <summary>Returns the written documents as they are after the writes; null for a deleted one.</summary>
    private Dictionary<string, Document?> Apply(IEnumerable<Write> writes, Timestamp commitTime)
    {
        var after = new Dictionary<string, Document?>();
        foreach (var write in writes)
        {
            var name = write.Name();
            if (!after.TryGetValue(name, out var current))
            {
                current = documents.GetValueOrDefault(name);
                Preconditions.Check(write.CurrentDocument, name, current);
            }
            after[name] = write.ApplyTo(current, commitTime);
        }
        return after;
    }

    private void Store(JournalEntry entry)
    {
        if (entry.Writes.Count == 0)
        {
            return;
        }
        try
        {
            journal.Append(entry);
        }
        catch (Exception e) when (IsDiskFailure(e))
        {
            throw new RpcException(new Status(StatusCode.ResourceExhausted, $"{journal.Path} can't be written: {e.Message}", e));
        }
        Replay(entry);
        if (journal.Length > nextCompaction)
        {
            TryCompact();
        }
    }

    private void Replay(JournalEntry entry)
    {
        foreach (var write in entry.Writes)
        {
            if (write.Update is { } document)
            {
                documents[document.Name] = document;
            }
            else
            {
                documents.Remove(write.Delete);
            }
        }
    }

    /// <summary>Applies a commit from the journal, which people may have edited.</summary>
    private void Restore(JournalEntry entry)
    {
        lastCommitTime = Latest(lastCommitTime, RoundDown(entry.CommitTime ?? lastCommitTime));
        foreach (var write in entry.Writes)
        {
            DocumentRules.Check(write);
            if (write.Update is { } document)
            {
                document.UpdateTime = RoundDown(document.UpdateTime ?? entry.CommitTime ?? NextCommitTime());
                document.CreateTime = RoundDown(document.CreateTime ?? document.UpdateTime);
                lastCommitTime = Latest(lastCommitTime, document.UpdateTime);
            }
        }
        Replay(entry);
    }

    private void TryCompact()
    {
        try
        {
            Compact();
        }
        catch (Exception e) when (IsDiskFailure(e))
        {
            // The journal is complete, only long.
            nextCompaction = journal.Length * 2;
        }
    }

    /// <summary>Leaves one line for each document in the journal.</summary>
    private void Compact()
    {
        var entries = documents.Values.Select(
            document => new JournalEntry { CommitTime = document.UpdateTime, Writes = { new Write { Update = document } } });
        var newest = documents.Values.Max(document => document.UpdateTime) ?? new Timestamp();
        if (newest < lastCommitTime)
        {
            // The last commit deleted a document. Its time stays, so that later ones are still later.
            entries = entries.Append(new JournalEntry { CommitTime = lastCommitTime });
        }
        journal.Replace(entries);
        nextCompaction = Math.Max(compactionSize, GrowthBeforeCompaction * journal.Length);
    }
}
