using Google.Protobuf;
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
    private readonly Dictionary<string, Stored> documents = [];
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
        List<(string Name, Stored? Stored)> found;
        Timestamp readTime;
        // All as of one moment. While a commit is written or the journal compacted they wait, as the view's own commit would.
        lock (access)
        {
            readTime = ToTimestamp(lastCommit);
            found = [.. request.Documents.Distinct().Select(name => (name, documents.GetValueOrDefault(name)))];
        }
        return found.ConvertAll(read => read.Stored is null
            ? new BatchGetDocumentsResponse { Missing = read.Name, ReadTime = readTime }
            : new BatchGetDocumentsResponse { Found = read.Stored.ToDocument(), ReadTime = readTime });
    }

    /// <exception cref="RpcException">INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS or FAILED_PRECONDITION as from Firestore;
    /// RESOURCE_EXHAUSTED if the journal cannot be written. Nothing has changed.</exception>
    public CommitResponse Commit(CommitRequest request)
    {
        DocumentRules.Check(request);
        lock (access)
        {
            var commitTime = NextCommitTime();
            var changes = Write(request.Writes, commitTime);
            var entry = new JournalEntry { CommitTime = commitTime };
            foreach (var (name, change) in changes)
            {
                if (change.IsNone)
                {
                    change.After = change.Before;
                    continue;
                }
                DocumentRules.CheckSize(change.After);
                entry.Writes.Add(change.After is null ? new Write { Delete = name } : new Write { Update = change.After });
            }
            Store(entry);
            var results = request.Writes.Select(write => new V1.WriteResult { UpdateTime = changes[write.Name()].After?.UpdateTime });
            return new CommitResponse { CommitTime = commitTime, WriteResults = { results } };
        }
    }

    private static Timestamp ToTimestamp(long microseconds) =>
        Timestamp.FromDateTime(DateTime.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond));

    private static long ToMicroseconds(Timestamp? timestamp) =>
        timestamp is null ? 0 : (timestamp.Seconds * 1_000_000) + (timestamp.Nanos / 1_000);

    // .NET's for a file that is too long for its file system is the last.
    private static bool IsDiskFailure(Exception e) =>
        e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException;

    private Document? Find(string name) => documents.GetValueOrDefault(name)?.ToDocument();

    /// <summary>Now, but always after the last one: guards tell versions apart by it.</summary>
    private Timestamp NextCommitTime()
    {
        var now = (time.GetUtcNow().UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        lastCommit = Math.Max(now, lastCommit + 1);
        return ToTimestamp(lastCommit);
    }

    private Dictionary<string, Change> Write(IEnumerable<Write> writes, Timestamp commitTime)
    {
        var changes = new Dictionary<string, Change>();
        foreach (var write in writes)
        {
            var name = write.Name();
            if (!changes.TryGetValue(name, out var change))
            {
                changes.Add(name, change = new Change(Find(name)));
                DocumentRules.CheckPrecondition(write.CurrentDocument, name, change.Before);
            }
            change.After = write.ApplyTo(change.After, commitTime);
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
            if (write.Update is not { } document)
            {
                Remove(name);
                continue;
            }
            var stored = new Stored(document.ToByteArray(), bytes / entry.Writes.Count);
            liveBytes += stored.Bytes - (documents.GetValueOrDefault(name)?.Bytes ?? 0);
            documents[name] = stored;
        }
    }

    private void Remove(string name)
    {
        if (documents.Remove(name, out var stored))
        {
            liveBytes -= stored.Bytes;
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
                document.CreateTime = ToTimestamp(ToMicroseconds(document.CreateTime ?? document.UpdateTime));
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
        var expired = new List<string>();
        journal.Replace(Select());
        foreach (var name in expired)
        {
            Remove(name);
        }

        // Parsed one by one: together they may be large.
        IEnumerable<JournalEntry> Select()
        {
            expired.Clear();
            var newest = 0L;
            foreach (var (name, stored) in documents)
            {
                var document = stored.ToDocument();
                if (document.Fields.GetValueOrDefault("expireAt")?.TimestampValue is { } end && end < horizon)
                {
                    expired.Add(name);
                    continue;
                }
                newest = Math.Max(newest, ToMicroseconds(document.UpdateTime));
                yield return new JournalEntry { CommitTime = document.UpdateTime, Writes = { new Write { Update = document } } };
            }
            if (newest < lastCommit)
            {
                // The last commit was of a document that is gone; its time stays.
                yield return new JournalEntry { CommitTime = ToTimestamp(lastCommit) };
            }
        }
    }

    /// <summary>What a commit does to a document; null where there is none.</summary>
    private sealed class Change(Document? before)
    {
        public Document? Before { get; } = before;

        public Document? After { get; set; } = before;

        /// <summary>Whether the document is as it was: then so is its time.</summary>
        public bool IsNone => Before is null || After is null
            ? Before == After
            : Before.CreateTime.Equals(After.CreateTime) && Before.Fields.Equals(After.Fields);
    }

    /// <summary>A document as protobuf has it on the wire: two objects to the garbage collector, where a parsed one is
    /// twenty.</summary>
    /// <param name="Document">The document.</param>
    /// <param name="Bytes">How many bytes it has in the journal.</param>
    private sealed record Stored(byte[] Document, int Bytes)
    {
        public Document ToDocument() => V1.Document.Parser.ParseFrom(Document);
    }
}
