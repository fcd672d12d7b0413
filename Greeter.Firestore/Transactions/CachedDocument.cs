using System.Diagnostics.CodeAnalysis;
using Google.Protobuf;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Transactions;

/// <summary>An entry of the <see cref="DocumentCache"/>: a document as this process last committed it, and the lock for which the
/// transactions of this process queue.</summary>
/// <param name="time">The clock of time slices and gaps.</param>
[SuppressMessage("Design", "CA1001", Justification = "Without AvailableWaitHandle, a SemaphoreSlim needs no disposal.")]
internal sealed class CachedDocument(TimeProvider time)
{
    /// <summary>The longest pause after a conflict, in milliseconds. An instance that waits for its time slice tries again that
    /// often.</summary>
    public const int LongestPause = 16;

    /// <summary>The number of pauses that the time slice of an instance lasts.</summary>
    public const int PausesInTimeSlice = 6;

    /// <summary>The upper limit of one call's duration when a time slice or a gap is calculated, in milliseconds. A gap must be shorter
    /// than <see cref="DocumentCache.MaxLockWait"/>, because transactions wait for the lock meanwhile.</summary>
    private const int LongestCall = 150;

    /// <summary>How long after a conflict another instance is assumed to write the document, in seconds.</summary>
    private const int ContentionTime = 10;

    // Created when the lock is first taken: most documents are cached and never locked.
    private SemaphoreSlim? semaphore;
    private State? state;
    private long timeSliceStarted;
    private long contendedUntil;
    private long lockedAt;

    /// <summary>Gets or sets whether the last transaction of this process that read the document also wrote it. A document that is
    /// only read needs no lock.</summary>
    public bool IsLockable { get; set; } = true;

    /// <summary>Gets the update time of the cached state; null if there is none.</summary>
    public Timestamp? UpdateTime => Volatile.Read(ref state)?.UpdateTime;

    /// <summary>Gets the size of the cached state in bytes.</summary>
    public int Bytes => Volatile.Read(ref state)?.Bytes.Length ?? 0;

    private SemaphoreSlim Semaphore => LazyInitializer.EnsureInitialized(ref semaphore, () => new SemaphoreSlim(1, 1));

    /// <summary>Returns the document as this process last committed it; null if there is no cached state.</summary>
    public DocumentSnapshot? ToSnapshot(DocumentReference reference) => Volatile.Read(ref state) is { } current
        ? new DocumentSnapshot(reference, Document.Parser.ParseFrom(current.Bytes), current.CommitTime)
        : null;

    /// <summary>Stores a committed document, unless a later version is known.</summary>
    public void Store(Document document, Timestamp commitTime)
    {
        // One array instead of the 20 objects of a parsed document keeps garbage collections short.
        var next = new State(document.ToByteArray(), Timestamp.FromProto(document.UpdateTime), commitTime);
        for (var current = state; current is null || current.UpdateTime <= next.UpdateTime;)
        {
            var seen = Interlocked.CompareExchange(ref state, next, current);
            if (seen == current)
            {
                break;
            }
            current = seen;
        }
    }

    /// <summary>Forgets the document's state but keeps its lock.</summary>
    public void Drop() => Volatile.Write(ref state, null);

    /// <summary>Waits for the lock.</summary>
    /// <returns>Whether the lock was taken; false after the timeout, and if the document has stopped being lockable.</returns>
    public async ValueTask<bool> LockAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (!IsLockable || !await Semaphore.WaitAsync(timeout, cancellationToken))
        {
            return false;
        }
        if (!IsLockable)
        {
            // Wakes the next waiter, which passes it on in the same way.
            Unlock();
            return false;
        }
        lockedAt = time.GetTimestamp();
        return true;
    }

    /// <summary>Releases the lock, at the end of a time slice after a gap.</summary>
    /// <remarks>While other instances write the document too, this one usually commits first, because it starts from its cache and they
    /// have to read. So its time slice ends with a gap for them.</remarks>
    public void Unlock()
    {
        // The other instance may have just begun an attempt that fails, and then pauses before the one that succeeds. Each attempt is
        // two calls; the attempt that ends here was one.
        var calls = TimeSpan.FromMilliseconds(4 * Math.Min(time.GetElapsedTime(lockedAt).TotalMilliseconds, LongestCall));
        var pause = TimeSpan.FromMilliseconds(LongestPause);
        var hasEnded = time.GetElapsedTime(timeSliceStarted) > (PausesInTimeSlice * pause) + calls;
        if (hasEnded && IsLockable && time.GetTimestamp() < contendedUntil)
        {
            _ = UnlockAfterAsync(pause + calls);
        }
        else
        {
            Semaphore.Release();
        }
    }

    /// <summary>Records that another instance has written the document.</summary>
    public void RecordConflict()
    {
        timeSliceStarted = time.GetTimestamp();
        contendedUntil = timeSliceStarted + (ContentionTime * time.TimestampFrequency);
    }

    private async Task UnlockAfterAsync(TimeSpan gap)
    {
        await Task.Delay(gap, time);
        timeSliceStarted = time.GetTimestamp();
        Semaphore.Release();
    }

    /// <param name="Bytes">The document, serialized.</param>
    /// <param name="UpdateTime">The document's update time, which the next commit requires.</param>
    /// <param name="CommitTime">When the document was committed.</param>
    private sealed record State(byte[] Bytes, Timestamp UpdateTime, Timestamp CommitTime);
}
