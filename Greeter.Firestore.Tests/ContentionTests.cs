namespace Greeter.Firestore.Tests;

/// <summary>Contention with other processes: after several conflicts, a transaction locks the document in Firestore.</summary>
public sealed class ContentionTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private TestDatabase database = null!;
    private DocumentReference document = null!;

    private Wire Wire => database.Wire;

    public async ValueTask InitializeAsync()
    {
        database = await TestDatabase.OpenAsync(Store.Emulator);
        document = database.Db.Document("sessions/one");
        await document.SetAsync(new { views = 0 });
    }

    public ValueTask DisposeAsync()
    {
        database.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task Transaction_locks_the_document_when_conflicts_last_and_then_succeeds()
    {
        var attempts = 0;
        Task? late = null;
        var (firstConflict, firstLock) = (TimeSpan.Zero, TimeSpan.Zero);
        var started = Stopwatch.StartNew();

        var views = await database.Db.RunTransactionAsync(async transaction =>
        {
            attempts++;
            firstConflict = attempts == 2 ? started.Elapsed : firstConflict;
            var views = await transaction.CountAsync(document);
            firstLock = started.Elapsed;
            // Another process is always faster. Firestore holds its write back while the document is locked.
            late = database.OpenAnother().CountAsync(document);
            await Task.WhenAny(late, Task.Delay(TimeSpan.FromMilliseconds(300)));
            return views;
        }).WaitAsync(Patience);

        (firstLock - firstConflict).Should().BeGreaterThan(TimeSpan.FromMilliseconds(200), "a few conflicts need no lock");
        views.Should().Be(attempts, "each conflict was a view of the other process");
        Wire.Reads.Should().ContainSingle(read => read.NewTransaction != null);
        Wire.Commits.Should().ContainSingle(commit => !commit.Transaction.IsEmpty)
            .Which.Writes.Should().OnlyContain(write => write.CurrentDocument.UpdateTime != null, "the precondition is sent all the same");
        await late!.WaitAsync(Patience);
        (await database.Db.CountAsync(document)).Should().Be(attempts + 2);
        Wire.Calls.Should().NotContain(Wire.Rollback);
    }

    [Fact]
    public async Task Lock_in_Firestore_is_released_if_the_callback_fails()
    {
        Wire.Fail(Wire.Commit, Enumerable.Repeat(StatusCode.Aborted, 20));
        var run = () => database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.CountAsync(document);
            if (Wire.Reads.Any(read => read.NewTransaction is not null))
            {
                throw new TimeoutException();
            }
        });

        await run.Should().ThrowAsync<TimeoutException>();

        Wire.Respond = null;
        // The emulator lets a write wait for 2 s.
        await document.SetAsync(new { views = 1 }).WaitAsync(TimeSpan.FromSeconds(1.5));
        Wire.Calls.Should().Contain(Wire.Rollback);
    }

    [Fact]
    public async Task Attempts_without_a_lock_follow_one_that_Firestore_aborted()
    {
        var areLocked = new List<bool>();
        Wire.Respond = (method, _, _) =>
        {
            if (method != Wire.Commit)
            {
                return Task.FromResult<object?>(null);
            }
            areLocked.Add(!Wire.Commits.Last().Transaction.IsEmpty);
            return Task.FromResult<object?>(areLocked.Count(each => each) == 3 ? null : Wire.Failure(StatusCode.Aborted));
        };

        await database.Db.CountAsync(document).WaitAsync(Patience);

        var locked = Enumerable.Range(0, areLocked.Count).Where(i => areLocked[i]).ToList();
        locked.Should().HaveCount(3);
        locked.Zip(locked.Skip(1), (one, next) => next - one).Should().OnlyContain(distance => distance > 1);
        Wire.Calls.Count(call => call == Wire.Rollback).Should().Be(2, "the failed attempts release their locks");
    }

    [Fact]
    public async Task Lock_in_Firestore_is_released_before_the_pause()
    {
        var time = new SkippingTimeProvider();
        using var embedded = TestDatabase.OpenEmbedded(time);
        var locked = new BatchGetDocumentsResponse { Missing = "a", ReadTime = new(), Transaction = ByteString.CopyFrom(1) };
        var calls = new List<(string Method, int Pauses)>();
        embedded.Wire.Respond = (method, _, _) =>
        {
            calls.Add((method, time.Pauses.Count));
            return Task.FromResult(method switch
            {
                Wire.Read when embedded.Wire.Reads.Last().NewTransaction is not null => locked,
                Wire.Commit when !calls.Exists(call => call.Method == Wire.Rollback) => Wire.Failure(StatusCode.Aborted),
                _ => null,
            });
        };

        await embedded.Db.CountAsync(embedded.Db.Document("sessions/one"));

        var rollback = calls.FindIndex(call => call.Method == Wire.Rollback);
        calls[rollback - 1].Should().Be((Wire.Commit, calls[rollback].Pauses));
    }

    [Fact]
    public async Task Lock_that_is_taken_after_its_read_was_cancelled_is_released()
    {
        using var source = new CancellationTokenSource();
        var lockedRead = new TaskCompletionSource();
        Wire.Respond = async (method, _, _) =>
        {
            if (method == Wire.Read && Wire.Reads.Last().NewTransaction is not null)
            {
                await source.CancelAsync();
                await lockedRead.Task;
            }
            return method == Wire.Commit && !source.IsCancellationRequested ? Wire.Failure(StatusCode.Aborted) : null;
        };

        await database.Db.RunTransactionAsync(async transaction =>
        {
            var read = transaction.GetSnapshotAsync(document, source.Token);
            await Task.WhenAny(read);
            transaction.Set(database.Db.Document("sessions/other"), new { views = 1 });
        }).WaitAsync(Patience);

        Wire.Calls.Should().NotContain(Wire.Rollback);
        lockedRead.SetResult();
        SpinWait.SpinUntil(() => Wire.Calls.Contains(Wire.Rollback), Patience).Should().BeTrue();
    }

    [Theory, InlineData(StatusCode.Aborted), InlineData(StatusCode.Unavailable)]
    public async Task Read_that_fails_to_lock_is_followed_by_an_attempt_without_a_lock(StatusCode status)
    {
        Wire.Respond = (method, earlier, _) => Task.FromResult(
            method == Wire.Read && Wire.Reads.Last().NewTransaction is not null ? Wire.Failure(status)
            : method == Wire.Commit && !Wire.Reads.Any(read => read.NewTransaction is not null) ? Wire.Failure(StatusCode.Aborted)
            : null);

        (await database.Db.CountAsync(document).WaitAsync(Patience)).Should().Be(1);

        Wire.Reads.Should().ContainSingle(read => read.NewTransaction != null, "the read isn't sent again");
    }
}
