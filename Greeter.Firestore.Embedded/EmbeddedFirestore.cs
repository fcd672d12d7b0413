using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Greeter.Firestore.Embedded;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>
/// The embedded store for Development: answers the client's calls in the process, with the results and the statuses of Google's
/// emulator. It has no locks, queries, indexes, or security rules.
/// </summary>
internal sealed class EmbeddedFirestore(DocumentFile file, TimeProvider time) : IFirestoreApi
{
    // SQLite blocks its thread while it waits for another process or the disk. So only one thread calls it, and the others stay free.
    private readonly SemaphoreSlim queue = new(1, 1);

    private long Now => (time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    /// <inheritdoc cref="DocumentFile.Open(string)"/>
    public static EmbeddedFirestore Open(string folder, TimeProvider time) => new(DocumentFile.Open(folder), time);

    public void Dispose() => file.Dispose();

    public Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken) => RunAsync(() => BatchGet(request), cancellationToken);

    public Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken) =>
        RunAsync(() => Commit(request), cancellationToken);

    public Task RollbackAsync(RollbackRequest request, CancellationToken cancellationToken) => Task.CompletedTask;

    private static Timestamp ToTimestamp(long microseconds) =>
        Timestamp.FromDateTimeOffset(DateTimeOffset.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond));

    private async Task<T> RunAsync<T>(Func<T> call, CancellationToken cancellationToken)
    {
        if (!await queue.WaitAsync(millisecondsTimeout: 800, cancellationToken).ConfigureAwait(false))
        {
            throw file.Explain(new SqliteException("The queue is too long.", raw.SQLITE_BUSY));
        }
        try
        {
            return call();
        }
        catch (SqliteException e)
        {
            throw file.Explain(e);
        }
        finally
        {
            file.Rollback();
            queue.Release();
        }
    }

    private BatchGetDocumentsResponse BatchGet(BatchGetDocumentsRequest request)
    {
        DocumentRules.Check(request);
        var name = request.Documents.Single();
        var document = file.Find(name);
        var readTime = ToTimestamp(Math.Max(Now, file.LastTime));
        file.ThrowIfMoved();
        return document is null
            ? new BatchGetDocumentsResponse { Missing = name, ReadTime = readTime }
            : new BatchGetDocumentsResponse { Found = document, ReadTime = readTime };
    }

    private CommitResponse Commit(CommitRequest request)
    {
        DocumentRules.Check(request);
        file.Begin();
        file.ThrowIfMoved();
        // Also if the clock was set back, each change has a time of its own: preconditions tell versions apart by their times.
        var microseconds = Math.Max(Now, file.LastTime + 1);
        var commitTime = ToTimestamp(microseconds);
        var documents = new Dictionary<string, (Document? Before, Document? After)>();
        foreach (var write in request.Writes)
        {
            var name = write.Name();
            if (!documents.TryGetValue(name, out var document))
            {
                var current = file.Find(name);
                Preconditions.Check(write.CurrentDocument, name, current);
                document = (current, current);
            }
            documents[name] = (document.Before, write.ApplyTo(document.After, commitTime));
        }
        foreach (var (name, (before, after)) in documents)
        {
            if (before is not null && before.CreateTime.Equals(after?.CreateTime) && before.Fields.Equals(after.Fields))
            {
                // A write that changes nothing keeps the update time.
                after.UpdateTime = before.UpdateTime;
            }
            else
            {
                DocumentRules.CheckSize(after);
                file.Write(name, after);
            }
        }
        file.Commit(microseconds);
        var results = request.Writes.Select(write => new V1.WriteResult { UpdateTime = documents[write.Name()].After?.UpdateTime });
        return new CommitResponse { CommitTime = commitTime, WriteResults = { results } };
    }
}
