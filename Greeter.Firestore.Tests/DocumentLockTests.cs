namespace Greeter.Firestore.Tests;

/// <summary>Transactions of one process that write the same document queue for its lock; all others don't wait.</summary>
public sealed class DocumentLockTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TestDatabase database = TestDatabase.OpenEmbedded();
    private readonly DocumentReference document;

    public DocumentLockTests() => document = Db.Document("sessions/one");

    private FirestoreDb Db => database.Db;

    private Wire Wire => database.Wire;

    public void Dispose() => database.Dispose();

    [Theory, InlineData(false), InlineData(true)]
    public async Task Transactions_that_only_read_a_common_document_never_queue(bool conflict)
    {
        const int Workers = 32;
        var config = Db.Document("config/global");
        await Db.CountAsync(config);
        var barrier = new AsyncBarrier(Workers);
        var worker = new AsyncLocal<int>();
        var conflicted = new ConcurrentDictionary<int, bool>();
        Wire.Respond = async (method, _, _) =>
        {
            if (method == Wire.Commit && conflict && conflicted.TryAdd(worker.Value, true))
            {
                return Wire.Failure(StatusCode.FailedPrecondition);
            }
            await (method == Wire.Commit ? barrier.ArriveAsync() : Task.CompletedTask);
            return null;
        };

        var settings = await RunAsync(Workers, number =>
        {
            worker.Value = number;
            return Db.RunTransactionAsync(async transaction =>
            {
                var views = (await transaction.GetSnapshotAsync(config)).Views();
                transaction.Set(Db.Document($"results/{number}"), new { views });
                return views;
            });
        });

        settings.Should().OnlyContain(views => views == 1);
    }

    [Fact]
    public async Task Transactions_that_only_read_one_document_never_queue()
    {
        const int Workers = 8;
        await Db.CountAsync(document);
        var barrier = new AsyncBarrier(Workers);
        Wire.Respond = async (_, _, _) =>
        {
            await barrier.ArriveAsync();
            return null;
        };

        var read = await RunAsync(
            Workers, _ => Db.RunTransactionAsync(async transaction => (await transaction.GetSnapshotAsync(document)).Views()));

        read.Should().OnlyContain(views => views == 1);
    }

    [Fact]
    public async Task Document_is_lockable_again_after_a_transaction_that_wrote_it()
    {
        await Db.CountAsync(document);
        await Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(document);
            transaction.Set(Db.Document("sessions/two"), new { views = 1 });
        });
        await Db.CountAsync(document);
        var (holder, isReleased) = await HoldLockAsync(Db);

        var next = Db.CountAsync(document);
        next.IsCompleted.Should().BeFalse();
        isReleased.SetResult();

        (await holder).Should().Be(3);
        (await next).Should().Be(4);
        Wire.Commits.Should().HaveCount(5, "a conflict would be another commit");
    }

    [Fact]
    public async Task Lock_is_kept_after_a_conflict()
    {
        await Db.CountAsync(document);
        var attempts = 0;
        var (holder, isReleased) = await HoldLockAsync(Db, async () =>
        {
            if (++attempts == 1)
            {
                await database.OpenAnother().Document("sessions/one").SetAsync(new { views = 10 });
            }
        });
        var next = Db.CountAsync(document);
        isReleased.SetResult();

        (await holder.WaitAsync(Patience)).Should().Be(11);
        (await next.WaitAsync(Patience)).Should().Be(12);
    }

    [Fact]
    public async Task Transaction_holds_one_lock_at_most()
    {
        var two = Db.Document("sessions/two");
        await Db.CountAsync(document);
        await Db.CountAsync(two);
        var (haveBothBeenRead, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(document);
            await transaction.GetSnapshotAsync(two);
            haveBothBeenRead.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
            transaction.Set(document, new { views = 10 });
        });
        await haveBothBeenRead.Task.WaitAsync(Patience);

        (await Db.CountAsync(two).WaitAsync(Patience / 2)).Should().Be(2);

        isReleased.SetResult();
        await holder;
    }

    [Fact]
    public async Task Nested_transaction_on_the_same_document_does_not_wait_for_the_outer_one()
    {
        await Db.CountAsync(document);
        var attempts = 0;

        var views = await Db.RunTransactionAsync(async transaction =>
        {
            var views = await transaction.CountAsync(document);
            if (++attempts == 1)
            {
                (await database.OpenAnother().CountAsync(document)).Should().Be(2);
            }
            else if (attempts == 2)
            {
                (await Db.CountAsync(document).WaitAsync(Patience)).Should().Be(3);
            }
            return views;
        }).WaitAsync(Patience);

        (views, attempts).Should().Be((4, 3));
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Concurrent_transactions_on_an_uncached_document_read_it_once_and_never_conflict(Store store)
    {
        const int Clients = 64;
        using var shared = await TestDatabase.OpenAsync(store);
        var counter = shared.OpenAnother().Document("sessions/one");
        await counter.SetAsync(new { views = 0 });

        var counts = await RunAsync(Clients, _ => shared.Db.CountAsync(counter));

        counts.Order().Should().Equal(Enumerable.Range(1, Clients).Select(i => (long)i));
        shared.Wire.Calls.Skip(1).Should().HaveCount(1 + Clients);
    }

    [Fact]
    public async Task Transaction_continues_without_the_lock_after_the_limit()
    {
        var db = database.OpenAnother(maxLockWait: TimeSpan.FromSeconds(1));
        await db.CountAsync(document);
        var (holder, isReleased) = await HoldLockAsync(db);
        var started = Stopwatch.GetTimestamp();

        (await db.CountAsync(document).WaitAsync(Patience)).Should().Be(2);
        Stopwatch.GetElapsedTime(started).TotalSeconds.Should().BeInRange(0.9, 10);

        isReleased.SetResult();
        (await holder).Should().Be(3, "it conflicts and runs again");
    }

    [Fact]
    public async Task Cancelled_transaction_leaves_the_queue()
    {
        await Db.CountAsync(document);
        using var source = new CancellationTokenSource();
        var (holder, isReleased) = await HoldLockAsync(Db);
        var cancelled = Db.CountAsync(document, source.Token);
        var next = Db.CountAsync(document);

        await source.CancelAsync();
        await cancelled.Awaiting(task => task.WaitAsync(Patience)).Should().ThrowAsync<OperationCanceledException>();
        isReleased.SetResult();

        (await holder).Should().Be(2);
        (await next.WaitAsync(Patience)).Should().Be(3);
        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit, Wire.Commit, Wire.Commit);
    }

    [Fact]
    public async Task Read_that_outlives_its_transaction_holds_no_lock()
    {
        await Db.CountAsync(document);
        var (holder, isReleased) = await HoldLockAsync(Db);
        Task<DocumentSnapshot>? read = null;
        await Db.WriteAsync(transaction => read = transaction.GetSnapshotAsync(document));

        isReleased.SetResult();
        await holder;
        await read!.WaitAsync(Patience);

        (await Db.CountAsync(document).WaitAsync(Patience / 2)).Should().Be(3, "the lock is released");
    }

    [Fact]
    public async Task Lock_is_held_once_and_never_lost_while_the_document_starts_and_stops_being_lockable()
    {
        var documentLock = new DocumentLock();
        using var stop = new CancellationTokenSource();
        var (holders, mostHolders) = (0, 0);
        var toggling = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                documentLock.IsLockable = !documentLock.IsLockable;
            }
        });

        await RunAsync(4, async _ =>
        {
            for (var i = 0; i < 50_000; i++)
            {
                if (await documentLock.AcquireAsync(TimeSpan.FromSeconds(1), CancellationToken.None))
                {
                    mostHolders = Math.Max(mostHolders, Interlocked.Increment(ref holders));
                    Interlocked.Decrement(ref holders);
                    documentLock.Release();
                }
            }
            return 0;
        });

        await stop.CancelAsync();
        await toggling;
        documentLock.IsLockable = true;
        mostHolders.Should().Be(1);
        (await documentLock.AcquireAsync(TimeSpan.Zero, CancellationToken.None)).Should().BeTrue();
    }

    private static Task<long[]> RunAsync(int workers, Func<int, Task<long>> run) =>
        Task.WhenAll(Enumerable.Range(0, workers).Select(number => Task.Run(() => run(number)))).WaitAsync(Patience);

    /// <summary>Starts a transaction that takes the document's lock and counts a view.</summary>
    /// <returns>The transaction, and what lets it end.</returns>
    private async Task<(Task<long> Holder, TaskCompletionSource IsReleased)> HoldLockAsync(FirestoreDb db, Func<Task>? meanwhile = null)
    {
        var (isHeld, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = db.RunTransactionAsync(async transaction =>
        {
            var views = await transaction.CountAsync(document);
            isHeld.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
            await (meanwhile?.Invoke() ?? Task.CompletedTask);
            return views;
        });
        await isHeld.Task.WaitAsync(Patience);
        return (holder, isReleased);
    }
}
