using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>
/// The documents, in memory and in a journal: a commit is there, all of it, before it is acknowledged. Does and refuses what
/// Firestore does and refuses.
/// </summary>
internal sealed class DocumentStore : IDisposable
{
    private const long CompactionRatio = 4;
    private static readonly TimeSpan ExpiredDocumentsKept = TimeSpan.FromDays(1);

    private readonly Lock access = new();
    private readonly Journal journal;
    private readonly TimeProvider time;
    private readonly long compactionSize;
    private Dictionary<string, Stored> documents = [];
    private long lastCommit;
    private long liveBytes;
    private long compactAgainAt;

    /// <param name="journal">Is loaded, and disposed of with the store.</param>
    /// <param name="time">The clock.</param>
    /// <param name="compactionSize">How many bytes of journal are too few to bother with.</param>
    /// <exception cref="InvalidOperationException">The journal is damaged or cannot be written.</exception>
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
                throw new InvalidOperationException($"{journal.Path} cannot be used: {e.Message}", e);
            }
            throw;
        }
    }

    public string JournalPath => journal.Path;

    public void Dispose() => journal.Dispose();

    /// <exception cref="RpcException">INVALID_ARGUMENT.</exception>
    public List<BatchGetDocumentsResponse> BatchGet(BatchGetDocumentsRequest request)
    {
        DocumentRules.Check(request);
        lock (access)
        {
            var readTime = ToTimestamp(lastCommit);
            return [.. request.Documents.Distinct().Select(name => Find(name) is { } document
                ? new BatchGetDocumentsResponse { Found = document, ReadTime = readTime }
                : new BatchGetDocumentsResponse { Missing = name, ReadTime = readTime })];
        }
    }

    /// <exception cref="RpcException">INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS or FAILED_PRECONDITION as from Firestore;
    /// RESOURCE_EXHAUSTED if the journal cannot be written. Nothing has changed.</exception>
    public CommitResponse Commit(CommitRequest request)
    {
        DocumentRules.Check(request);
        lock (access)
        {
            var commitTime = NextCommitTime();
            var entry = new JournalEntry { CommitTime = commitTime };
            foreach (var (name, document) in Write(request.Writes, commitTime))
            {
                if (!IsUnchanged(Find(name), document))
                {
                    DocumentRules.CheckSize(document);
                    entry.Writes.Add(document is null ? new Write { Delete = name } : new Write { Update = document });
                }
            }
            Store(entry);
            var times = request.Writes.Select(write => Find(write.Name())?.UpdateTime);
            return new CommitResponse
            {
                CommitTime = commitTime,
                WriteResults = { times.Select(updateTime => new WriteResult { UpdateTime = updateTime }) },
            };
        }
    }

    private static Timestamp ToTimestamp(long microseconds) =>
        Timestamp.FromDateTime(DateTime.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond));

    private static long ToMicroseconds(Timestamp? timestamp) =>
        timestamp is null ? 0 : (timestamp.Seconds * 1_000_000) + (timestamp.Nanos / 1_000);

    // .NET's for a file that is too long for its file system is the last.
    private static bool IsDiskFailure(Exception e) =>
        e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException;

    private static bool IsUnchanged(Document? current, Document? next) => current is null || next is null
        ? current == next
        : current.CreateTime.Equals(next.CreateTime) && current.Fields.Equals(next.Fields);

    private static Document Update(Document? current, Write write, Timestamp commitTime)
    {
        var document = write.ApplyTo(current);
        (document.CreateTime, document.UpdateTime) = (current?.CreateTime ?? commitTime, commitTime);
        return document;
    }

    private Document? Find(string name) => documents.GetValueOrDefault(name)?.Document;

    /// <summary>Now, but always after the last one: guards tell versions apart by it.</summary>
    private Timestamp NextCommitTime()
    {
        var now = (time.GetUtcNow().UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        lastCommit = Math.Max(now, lastCommit + 1);
        return ToTimestamp(lastCommit);
    }

    /// <summary>The documents as the writes make them, null where they are deleted.</summary>
    private Dictionary<string, Document?> Write(IEnumerable<Write> writes, Timestamp commitTime)
    {
        var changes = new Dictionary<string, Document?>();
        foreach (var write in writes)
        {
            var name = write.Name();
            if (!changes.TryGetValue(name, out var current))
            {
                current = Find(name);
                DocumentRules.CheckPrecondition(write.CurrentDocument, name, current);
            }
            changes[name] = write.Update is null ? null : Update(current, write, commitTime);
        }
        return changes;
    }

    private void Store(JournalEntry entry)
    {
        if (entry.Writes.Count == 0)
        {
            return;
        }
        try
        {
            Apply(entry, journal.Append(entry));
        }
        catch (Exception e) when (IsDiskFailure(e))
        {
            throw new RpcException(StatusCode.ResourceExhausted, $"{journal.Path} cannot be written: {e.Message}", e);
        }
        if (journal.Length > Math.Max(compactAgainAt, Math.Max(compactionSize, CompactionRatio * liveBytes)))
        {
            TryCompact();
        }
    }

    private void Apply(JournalEntry entry, int bytes)
    {
        foreach (var write in entry.Writes)
        {
            var name = write.Name();
            if (documents.Remove(name, out var former))
            {
                liveBytes -= former.Bytes;
            }
            if (write.Update is { } document)
            {
                documents[name] = new Stored(document, bytes / entry.Writes.Count);
                liveBytes += documents[name].Bytes;
            }
        }
    }

    /// <summary>Takes a commit from the journal, which a person may have edited.</summary>
    private void Restore(JournalEntry entry, int bytes)
    {
        lastCommit = Math.Max(lastCommit, ToMicroseconds(entry.CommitTime));
        foreach (var write in entry.Writes)
        {
            DocumentRules.Check(write);
            if (write.Update is { } document)
            {
                document.UpdateTime = ToTimestamp(ToMicroseconds(document.UpdateTime ?? entry.CommitTime ?? NextCommitTime()));
                document.CreateTime ??= document.UpdateTime;
                lastCommit = Math.Max(lastCommit, ToMicroseconds(document.UpdateTime));
            }
        }
        Apply(entry, bytes);
    }

    private void TryCompact()
    {
        try
        {
            Compact();
            compactAgainAt = 0;
        }
        catch (Exception e) when (IsDiskFailure(e))
        {
            // The journal is as it was, only long.
            compactAgainAt = journal.Length * 2;
        }
    }

    private void Compact()
    {
        var horizon = Timestamp.FromDateTimeOffset(time.GetUtcNow() - ExpiredDocumentsKept);
        var live = documents.Where(document => !document.Value.ExpiresBefore(horizon)).ToDictionary();
        var entries = live.Values.Select(stored => new JournalEntry
        {
            CommitTime = stored.Document.UpdateTime,
            Writes = { new Write { Update = stored.Document } },
        });
        var newest = live.Values.Max(stored => stored.Document.UpdateTime);
        if (ToMicroseconds(newest) < lastCommit)
        {
            // The last commit was of a document that is gone; its time stays.
            entries = entries.Prepend(new JournalEntry { CommitTime = ToTimestamp(lastCommit) });
        }
        journal.Replace(entries);
        (documents, liveBytes) = (live, live.Values.Sum(stored => (long)stored.Bytes));
    }

    private sealed record Stored(Document Document, int Bytes)
    {
        public bool ExpiresBefore(Timestamp time) =>
            Document.Fields.GetValueOrDefault("expireAt")?.TimestampValue is { } end && end < time;
    }
}
