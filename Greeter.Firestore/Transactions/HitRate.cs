namespace Greeter.Firestore.Transactions;

/// <summary>Tracks the recent hit rate of the cache. A stale hit costs as much as a hit saves, so the cache pays off while more than half
/// of the cached reads are still current.</summary>
internal sealed class HitRate
{
    private const double Weight = 1.0 / 32;

    // Concurrent updates may overwrite each other: the rate is an estimate.
    private double rate = 1;
    private uint skipped;

    /// <summary>Returns whether to use the cache. At a low hit rate, one read in 32 still uses it, to notice when the rate rises.</summary>
    public bool ShouldUseCache() => rate > 0.5 || Interlocked.Increment(ref skipped) % 32 == 0;

    /// <summary>Records whether a cached document was current.</summary>
    public void Record(bool isCurrent)
    {
        rate += ((isCurrent ? 1 : 0) - rate) * Weight;
        (isCurrent ? ClientMetrics.CacheHits : ClientMetrics.CacheStaleHits).Add(1);
    }
}
