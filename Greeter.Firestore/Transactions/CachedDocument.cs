namespace Greeter.Firestore.Transactions;

/// <summary>An entry of the cache: the lock of a document, and its state as this process last committed it.</summary>
internal sealed class CachedDocument
{
    private readonly Lock access = new();
    private DocumentLock? documentLock;
    // One array instead of the 20 objects of a parsed document keeps garbage collections short.
    private byte[]? response;
    private ProtoTimestamp? updateTime;

    public DocumentLock Lock => LazyInitializer.EnsureInitialized(ref documentLock);

    /// <summary>Gets the size of the state in bytes.</summary>
    public int Bytes => Volatile.Read(ref response)?.Length ?? 0;

    /// <summary>Returns the state, as if it had been read; null if there is none.</summary>
    public BatchGetDocumentsResponse? Read() =>
        Volatile.Read(ref response) is { } bytes ? BatchGetDocumentsResponse.Parser.ParseFrom(bytes) : null;

    /// <summary>Stores a committed document, unless a later version is known.</summary>
    public void Store(Document document, ProtoTimestamp commitTime)
    {
        var bytes = new BatchGetDocumentsResponse { Found = document, ReadTime = commitTime }.ToByteArray();
        lock (access)
        {
            if (updateTime is null || updateTime <= document.UpdateTime)
            {
                (response, updateTime) = (bytes, document.UpdateTime);
            }
        }
    }

    /// <summary>Drops the state but keeps the lock.</summary>
    public void Drop()
    {
        lock (access)
        {
            (response, updateTime) = (null, null);
        }
    }
}
