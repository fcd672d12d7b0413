using System.Collections.Concurrent;
using Greeter.Firestore.Transport;

namespace Greeter.Firestore.Embedded;

/// <summary>The embedded store for Development: answers the client's calls in the process, with the results and the statuses of Google's
/// emulator. It has no locks, queries, indexes, or security rules.</summary>
internal sealed class EmbeddedFirestore(DocumentFile file, TimeProvider time) : IFirestoreApi
{
    // SQLite blocks its thread while it waits for another process or the disk. So only one thread calls it, and the others stay free.
    private readonly SemaphoreSlim queue = new(1, 1);
    private readonly ConcurrentDictionary<TaskCompletionSource<CommitResponse>, CommitRequest> commits = [];

    private long Now => (time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    /// <inheritdoc cref="DocumentFile.Open(string)"/>
    public static EmbeddedFirestore Open(string folder, TimeProvider time) => new(DocumentFile.Open(folder), time);

    public void Dispose() => file.Dispose();

    public Task<BatchGetDocumentsResponse> BatchGetDocumentsAsync(
        BatchGetDocumentsRequest request, CancellationToken cancellationToken) => RunAsync(() => BatchGet(request), cancellationToken);

    public async Task<CommitResponse> CommitAsync(CommitRequest request, CancellationToken cancellationToken)
    {
        DocumentRules.Check(request);
        var response = new TaskCompletionSource<CommitResponse>();
        commits[response] = request;
        try
        {
            return await RunAsync(() => CommitAll(response.Task), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            // If the caller gives up, nobody applies the commit later.
            commits.TryRemove(response, out _);
        }
    }

    public Task RollbackAsync(RollbackRequest request, CancellationToken cancellationToken) => Task.CompletedTask;

    private static ProtoTimestamp ToTimestamp(long microseconds) =>
        ProtoTimestamp.FromDateTimeOffset(DateTimeOffset.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond));

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

    /// <summary>Applies all waiting commits in one transaction of SQLite, which takes hardly longer than one commit.</summary>
    /// <returns>The response that the caller waits for. Another caller may have applied its commit.</returns>
    private CommitResponse CommitAll(Task<CommitResponse> wanted)
    {
        if (!wanted.IsCompleted)
        {
            file.Begin();
            file.ThrowIfMoved();
            var (microseconds, applied) = (file.LastTime, new List<Action>());
            foreach (var (response, request) in commits.Where(commit => !commit.Key.Task.IsCompleted))
            {
                // Also if the clock was set back, each change has a time of its own: preconditions tell versions apart by their times.
                microseconds = Math.Max(Now, microseconds + 1);
                try
                {
                    var result = Apply(request, ToTimestamp(microseconds));
                    applied.Add(() => response.SetResult(result));
                }
                catch (RpcException e)
                {
                    response.SetException(e);
                }
            }
            if (applied.Count > 0)
            {
                file.Commit(microseconds);
            }
            applied.ForEach(respond => respond());
        }
        return wanted.GetAwaiter().GetResult();
    }

    private CommitResponse Apply(CommitRequest request, ProtoTimestamp commitTime)
    {
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
        documents.Values.ToList().ForEach(document => DocumentRules.CheckSize(document.After));
        foreach (var (name, (before, after)) in documents)
        {
            if (before is not null && before.CreateTime.Equals(after?.CreateTime) && before.Fields.Equals(after.Fields))
            {
                // A write that changes nothing keeps the update time.
                after.UpdateTime = before.UpdateTime;
            }
            else
            {
                file.Write(name, after);
            }
        }
        var results = request.Writes.Select(write => new V1.WriteResult { UpdateTime = documents[write.Name()].After?.UpdateTime });
        return new CommitResponse { CommitTime = commitTime, WriteResults = { results } };
    }
}
