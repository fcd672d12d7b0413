using System.Runtime.InteropServices;
using Google.Protobuf.Collections;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Embedded;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>
/// The documents, in memory and in a journal: a commit is there, all of it, before it is acknowledged. Does and refuses what
/// Firestore does and refuses.
/// </summary>
internal sealed class DocumentStore : IDisposable
{
    private const long CompactionSize = 16 << 20;
    private const long CompactionRatio = 4;
    private static readonly TimeSpan ExpiredDocumentsKept = TimeSpan.FromDays(1);

    private readonly Lock writing = new();
    private readonly Dictionary<string, Stored> documents = [];
    private readonly Journal journal;
    private readonly TimeProvider time;
    private long lastCommit;
    private long liveBytes;
    private long compactAt;

    /// <exception cref="InvalidOperationException">The journal is damaged or cannot be written.</exception>
    public DocumentStore(Journal journal, TimeProvider time)
    {
        (this.journal, this.time) = (journal, time);
        try
        {
            foreach (var (entry, bytes) in journal.Load())
            {
                Apply(entry, bytes);
            }
            Compact();
        }
        catch (Exception e)
        {
            journal.Dispose();
            throw e is IOException or UnauthorizedAccessException
                ? new InvalidOperationException($"{journal.Path} cannot be used: {e.Message}", e)
                : e;
        }
    }

    public string JournalPath => journal.Path;

    public void Dispose() => journal.Dispose();

    public List<BatchGetDocumentsResponse> BatchGet(BatchGetDocumentsRequest request)
    {
        foreach (var name in request.Documents)
        {
            DocumentRules.CheckName(request.Database, name);
        }
        lock (writing)
        {
            var readTime = ToTimestamp(lastCommit);
            return [.. request.Documents.Select(name => Find(name) is { } document
                ? new BatchGetDocumentsResponse { Found = document, ReadTime = readTime }
                : new BatchGetDocumentsResponse { Missing = name, ReadTime = readTime })];
        }
    }

    public CommitResponse Commit(CommitRequest request)
    {
        foreach (var write in request.Writes)
        {
            DocumentRules.Check(request.Database, write);
        }
        lock (writing)
        {
            var commitTime = NextCommitTime();
            var response = new CommitResponse { CommitTime = commitTime };
            var changes = new Dictionary<string, Document?>();
            foreach (var write in request.Writes)
            {
                var name = NameOf(write);
                var current = changes.TryGetValue(name, out var changed) ? changed : Find(name);
                DocumentRules.CheckPrecondition(write.CurrentDocument, name, current);
                var next = write.Update is null ? null : Update(current, write, commitTime);
                if (next != current)
                {
                    changes[name] = next;
                }
                response.WriteResults.Add(new WriteResult { UpdateTime = next?.UpdateTime });
            }
            Store(changes, commitTime);
            return response;
        }
    }

    private static string NameOf(Write write) => write.Update?.Name ?? write.Delete;

    private static Timestamp ToTimestamp(long microseconds) =>
        Timestamp.FromDateTime(DateTime.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond));

    private static long ToMicroseconds(Timestamp? timestamp) =>
        timestamp is null ? 0 : (timestamp.Seconds * 1_000_000) + (timestamp.Nanos / 1_000);

    /// <summary>The document as the write makes it; the very same one if the write changes nothing.</summary>
    private static Document Update(Document? current, Write write, Timestamp commitTime)
    {
        var next = new Document { Name = write.Update.Name, CreateTime = current?.CreateTime ?? commitTime, UpdateTime = commitTime };
        if (write.UpdateMask is null)
        {
            next.Fields.Add(write.Update.Fields);
        }
        else
        {
            next.Fields.Add(current?.Clone().Fields ?? []);
            foreach (var path in write.UpdateMask.FieldPaths)
            {
                Copy(write.Update.Fields, next.Fields, CollectionsMarshal.AsSpan(FieldPath.Parse(path)));
            }
        }
        DocumentRules.CheckSize(next);
        return current?.Fields.Equals(next.Fields) == true ? current : next;
    }

    /// <summary>Makes the field in <paramref name="to"/> what it is in <paramref name="from"/>, absent if it is absent there.</summary>
    private static void Copy(MapField<string, Value> from, MapField<string, Value> to, ReadOnlySpan<string> path)
    {
        var value = from.GetValueOrDefault(path[0]);
        if (path.Length == 1)
        {
            to.Remove(path[0]);
            if (value is not null)
            {
                to.Add(path[0], value);
            }
            return;
        }
        if (to.GetValueOrDefault(path[0])?.MapValue is not { } map)
        {
            if (value?.MapValue is null)
            {
                return;
            }
            to[path[0]] = new Value { MapValue = map = new MapValue() };
        }
        Copy(value?.MapValue?.Fields ?? [], map.Fields, path[1..]);
    }

    private Document? Find(string name) => documents.GetValueOrDefault(name)?.Document;

    /// <summary>Now, but always after the last one: guards tell versions apart by it.</summary>
    private Timestamp NextCommitTime()
    {
        var now = (time.GetUtcNow().UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        lastCommit = Math.Max(now, lastCommit + 1);
        return ToTimestamp(lastCommit);
    }

    private void Store(Dictionary<string, Document?> changes, Timestamp commitTime)
    {
        if (changes.Count == 0)
        {
            return;
        }
        var entry = new JournalEntry { CommitTime = commitTime };
        foreach (var (name, document) in changes)
        {
            entry.Writes.Add(document is null ? new Write { Delete = name } : new Write { Update = document });
        }
        try
        {
            Apply(entry, journal.Append(entry));
        }
        catch (IOException e)
        {
            throw new RpcException(StatusCode.ResourceExhausted, $"{journal.Path} cannot be written: {e.Message}", e);
        }
        if (journal.Length > compactAt)
        {
            TryCompact();
        }
    }

    private void Apply(JournalEntry entry, int bytes)
    {
        lastCommit = Math.Max(lastCommit, ToMicroseconds(entry.CommitTime));
        foreach (var write in entry.Writes)
        {
            var name = NameOf(write);
            if (documents.Remove(name, out var old))
            {
                liveBytes -= old.Bytes;
            }
            if (write.Update is { } document)
            {
                document.UpdateTime ??= entry.CommitTime;
                lastCommit = Math.Max(lastCommit, ToMicroseconds(document.UpdateTime));
                documents.Add(name, new Stored(document, bytes / entry.Writes.Count));
                liveBytes += bytes / entry.Writes.Count;
            }
        }
    }

    private void TryCompact()
    {
        try
        {
            Compact();
        }
        catch (IOException)
        {
            // The journal is as it was, only long: try again when it is twice as long.
            compactAt = journal.Length * 2;
        }
    }

    private void Compact()
    {
        var horizon = Timestamp.FromDateTimeOffset(time.GetUtcNow() - ExpiredDocumentsKept);
        foreach (var (name, stored) in documents)
        {
            if (stored.Document.Fields.GetValueOrDefault("expireAt")?.TimestampValue < horizon)
            {
                documents.Remove(name);
            }
        }
        // The first line keeps the time of the last commit, which may have been a deletion.
        var header = new JournalEntry { CommitTime = ToTimestamp(lastCommit) };
        journal.Replace([header, .. documents.Values.Select(stored => new JournalEntry
        {
            CommitTime = stored.Document.UpdateTime,
            Writes = { new Write { Update = stored.Document } },
        })]);
        liveBytes = journal.Length;
        compactAt = Math.Max(CompactionSize, CompactionRatio * liveBytes);
    }

    private sealed record Stored(Document Document, int Bytes);
}
