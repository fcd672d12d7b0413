namespace Greeter.Firestore.Transactions;

/// <summary>The lock of one document: the transactions of this process that write the document queue for it.</summary>
[SuppressMessage("Design", "CA1001", Justification = "Without AvailableWaitHandle, a SemaphoreSlim needs no disposal.")]
internal sealed class DocumentLock
{
    private readonly SemaphoreSlim semaphore = new(1, 1);

    /// <summary>Gets the time slice of this process. Only the holder of the lock uses it.</summary>
    public TimeSlice TimeSlice { get; } = new();

    /// <summary>Gets or sets whether the last transaction of this process that read the document also wrote it. A document that is only
    /// read needs no lock.</summary>
    public bool IsLockable { get; set; } = true;

    /// <summary>Waits for the lock. Waiters get it in the order in which they came.</summary>
    /// <returns>Whether the lock was taken; false after the timeout, and if the document has stopped being lockable.</returns>
    public async ValueTask<bool> AcquireAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (!IsLockable || !await semaphore.WaitAsync(timeout, cancellationToken).ConfigureAwait(false))
        {
            return false;
        }
        // Read once, because other transactions change it.
        var isLockable = IsLockable;
        if (!isLockable)
        {
            // Wakes the next waiter, which does the same.
            Release();
        }
        return isLockable;
    }

    /// <summary>Releases the lock.</summary>
    public void Release() => semaphore.Release();
}
