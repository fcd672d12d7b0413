namespace Greeter.Firestore.Transactions;

/// <summary>The one document lock that a transaction holds at most, over all its attempts. Correctness doesn't depend on it: a transaction
/// without a lock conflicts, and runs again.</summary>
/// <remarks>Thread-safe: concurrent reads of the transaction share it, and a read can outlive the transaction.</remarks>
internal sealed class HeldLock(bool isEnabled, TimeSpan maxWait, TimeProvider time)
{
    private readonly Lock access = new();
    private DocumentLock? current;
    private bool isHeld;
    private bool hasEnded = !isEnabled;

    /// <summary>Gets this process's time slice for the document whose lock the transaction holds; null if it holds none.</summary>
    public TimeSlice? TimeSlice => isHeld ? current?.TimeSlice : null;

    /// <summary>Takes a document's lock, unless the transaction already holds one or waits for one.</summary>
    public async ValueTask AcquireAsync(DocumentLock wanted, CancellationToken cancellationToken)
    {
        lock (access)
        {
            if (hasEnded || current is not null || !wanted.IsLockable)
            {
                return;
            }
            current = wanted;
        }
        var waitingSince = time.GetTimestamp();
        var isAcquired = false;
        try
        {
            isAcquired = await wanted.AcquireAsync(maxWait, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Complete(wanted, isAcquired);
        }
        if (TimeSlice is { } slice)
        {
            await slice.RestAsync(time, waitingSince, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Releases the lock, if the transaction holds one, or only if it is this document's.</summary>
    public void Release(DocumentLock? only = null)
    {
        DocumentLock released;
        lock (access)
        {
            if (!isHeld || (only is not null && only != current))
            {
                return;
            }
            released = current!;
            (current, isHeld) = (null, false);
        }
        released.Release();
    }

    /// <summary>Releases the lock, and takes none any more.</summary>
    public void End()
    {
        lock (access)
        {
            hasEnded = true;
        }
        Release();
    }

    private void Complete(DocumentLock wanted, bool isAcquired)
    {
        lock (access)
        {
            isHeld = isAcquired && !hasEnded;
            current = isHeld ? wanted : null;
            if (isHeld || !isAcquired)
            {
                return;
            }
        }
        // The transaction has ended meanwhile.
        wanted.Release();
    }
}
