using Microsoft.Extensions.Caching.Memory;

namespace Greeter.Firestore.Transactions;

/// <summary>Caches documents as this process last committed them, with their locks. A transaction can safely start from a cached document,
/// because the commit's precondition rejects a stale one. Eviction costs a read or a conflict, never an update.</summary>
[SuppressMessage("Design", "CA1001", Justification = "The cache lives as long as the process and holds only memory.")]
internal sealed class DocumentCache
{
    /// <summary>The limit of all entries in bytes.</summary>
    public const long MaxBytes = 64 << 20;

    // In bytes, about what an entry takes beside the document and its name.
    private const int EntryOverhead = 512;

    // A full cache sorts all entries to find the oldest ones, so it removes many at a time.
    private readonly MemoryCache entries = new(new MemoryCacheOptions { SizeLimit = MaxBytes, CompactionPercentage = 0.25 });

    /// <summary>Gets how long a read waits for a lock: well above the time that a busy queue takes.</summary>
    public TimeSpan MaxLockWait { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Gets the recent hit rate.</summary>
    public HitRate HitRate { get; } = new();

    /// <summary>Returns a document's entry, which is added if there is none.</summary>
    public CachedDocument GetOrAdd(string name)
    {
        lock (entries)
        {
            return Find(name) ?? Set(name, new CachedDocument());
        }
    }

    /// <summary>Caches the final state of each written document of which all fields are known; drops the other ones.</summary>
    public void Update(Attempt attempt, CommitResponse response)
    {
        foreach (var writes in attempt.Writes.Zip(response.WriteResults).GroupBy(write => write.First.Name()))
        {
            var isKnown = attempt.Reads.TryGetValue(writes.Key, out var read);
            var document = read?.Found;
            foreach (var (write, result) in writes)
            {
                isKnown |= Preconditions.RequiresMissing(write);
                document = isKnown ? write.ApplyTo(document, result.UpdateTime) : null;
            }
            // Without its update time, a cached document would have no precondition.
            if (document?.UpdateTime is not null && response.CommitTime is { } commitTime)
            {
                Store(document, commitTime);
            }
            else
            {
                Drop(writes.Key);
            }
        }
    }

    /// <summary>Drops a document's state.</summary>
    public void Drop(string name) => Find(name)?.Drop();

    /// <summary>Returns a document's entry; null if there is none.</summary>
    public CachedDocument? Find(string name) => entries.Get<CachedDocument>(name);

    /// <summary>Stores a committed document.</summary>
    public void Store(Document document, ProtoTimestamp commitTime)
    {
        lock (entries)
        {
            var entry = Find(document.Name) ?? new CachedDocument();
            var bytes = entry.Bytes;
            entry.Store(document, commitTime);
            if (entry.Bytes != bytes)
            {
                Set(document.Name, entry);
            }
        }
    }

    private CachedDocument Set(string name, CachedDocument entry)
    {
        var size = entry.Bytes + (sizeof(char) * name.Length) + EntryOverhead;
        return entries.Set(name, entry, new MemoryCacheEntryOptions { Size = size });
    }
}
