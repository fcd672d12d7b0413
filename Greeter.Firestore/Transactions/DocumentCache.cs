using System.Diagnostics.CodeAnalysis;
using Greeter.Firestore.V1;
using Microsoft.Extensions.Caching.Memory;

namespace Greeter.Firestore.Transactions;

/// <summary>
/// Caches documents as this process last committed them, and holds their locks. A transaction can safely start from a cached document
/// because the commit's precondition rejects a stale one. Eviction costs a read or a conflict, never an update.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "The cache lives as long as the process and holds only memory.")]
internal sealed class DocumentCache
{
    /// <summary>The limit of all entries in bytes.</summary>
    public const long MaxBytes = 64 << 20;

    /// <summary>About what an entry takes beside the document and its path, in bytes.</summary>
    private const int EntryOverhead = 512;

    // A full cache sorts all entries to find the oldest ones, so it removes many at a time.
    private readonly MemoryCache entries = new(new MemoryCacheOptions { SizeLimit = MaxBytes, CompactionPercentage = 0.25 });

    /// <summary>Gets how long a transaction waits for locks in all.</summary>
    public TimeSpan MaxLockWait { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Gets the clock of time slices and gaps between instances.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Gets the recent hit rate.</summary>
    public HitRate HitRate { get; } = new();

    /// <summary>Returns a document's entry; null if there is none.</summary>
    public CachedDocument? Find(string path) => entries.Get<CachedDocument>(path);

    /// <summary>Returns a document's entry, which is added if there is none.</summary>
    public CachedDocument GetOrAdd(string path)
    {
        if (Find(path) is { } existing)
        {
            return existing;
        }
        lock (entries)
        {
            return Find(path) ?? Set(path, new CachedDocument(Time));
        }
    }

    /// <summary>Stores a committed document.</summary>
    public void Store(Document document, Timestamp commitTime)
    {
        var entry = GetOrAdd(document.Name);
        var bytes = entry.Bytes;
        entry.Store(document, commitTime);
        if (entry.Bytes != bytes)
        {
            Set(document.Name, entry);
        }
    }

    /// <summary>Forgets a document's state.</summary>
    public void Drop(string path) => Find(path)?.Drop();

    /// <summary>Forgets the states of documents.</summary>
    public void Drop(IEnumerable<string> paths)
    {
        foreach (var path in paths)
        {
            Drop(path);
        }
    }

    private CachedDocument Set(string path, CachedDocument entry)
    {
        var size = entry.Bytes + (sizeof(char) * path.Length) + EntryOverhead;
        return entries.Set(path, entry, new MemoryCacheEntryOptions { Size = size });
    }
}
