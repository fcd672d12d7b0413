using System.Diagnostics;

namespace Greeter.Firestore.Transactions;

/// <summary>
/// The one document lock that a transaction holds at most, over all its attempts. It makes the transactions of this process that write
/// the same document queue instead of conflict. Correctness doesn't depend on it: a transaction without a lock conflicts, and runs
/// again.
/// </summary>
/// <remarks>Thread-safe: concurrent reads of the transaction share it, and a read can outlive the transaction.</remarks>
/// <param name="isEnabled">Whether the transaction takes locks.</param>
/// <param name="maxWait">How long it waits for locks in all.</param>
internal sealed class DocumentLock(bool isEnabled, TimeSpan maxWait)
{
    private readonly Lock access = new();
    private CachedDocument? document;
    private bool isHeld;
    private bool hasEnded = !isEnabled;
    private TimeSpan waited;

    /// <summary>Takes a document's lock, unless the transaction already holds one or waits for one.</summary>
    public async ValueTask AcquireAsync(CachedDocument wanted, CancellationToken cancellationToken)
    {
        lock (access)
        {
            if (hasEnded || document is not null || !wanted.IsLockable)
            {
                return;
            }
            document = wanted;
        }
        var started = Stopwatch.GetTimestamp();
        var isAcquired = false;
        try
        {
            isAcquired = await wanted.LockAsync(waited < maxWait ? maxWait - waited : TimeSpan.Zero, cancellationToken);
        }
        finally
        {
            waited += Stopwatch.GetElapsedTime(started);
            Complete(wanted, isAcquired);
        }
    }

    /// <summary>Releases the lock, if the transaction holds one.</summary>
    public void Release() => TakeOut()?.Unlock();

    /// <summary>Releases the lock, if it is this document's.</summary>
    public void Release(CachedDocument other) => TakeOut(other)?.Unlock();

    /// <summary>Releases the lock for good.</summary>
    public void End()
    {
        lock (access)
        {
            hasEnded = true;
        }
        Release();
    }

    private void Complete(CachedDocument wanted, bool isAcquired)
    {
        bool isTooLate;
        lock (access)
        {
            isTooLate = isAcquired && hasEnded;
            isHeld = isAcquired && !hasEnded;
            document = isHeld ? wanted : null;
        }
        if (isTooLate)
        {
            wanted.Unlock();
        }
    }

    private CachedDocument? TakeOut(CachedDocument? only = null)
    {
        lock (access)
        {
            if (!isHeld || (only is not null && only != document))
            {
                return null;
            }
            var held = document;
            (document, isHeld) = (null, false);
            return held;
        }
    }
}
