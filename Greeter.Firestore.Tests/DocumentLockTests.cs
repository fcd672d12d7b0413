using System.Collections.Concurrent;
using System.Diagnostics;

namespace Greeter.Firestore.Tests;

/// <summary>Transactions of one process that write the same document queue for its lock; all others don't wait.</summary>
public sealed class DocumentLockTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TestDatabase database = TestDatabase.OpenEmbedded();
    private readonly DocumentReference document;

    public DocumentLockTests() => document = database.Db.Document("sessions/one");

    private FirestoreDb Db => database.Db;

    private Wire Wire => database.Wire;

    public void Dispose() => database.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Transactions_that_only_read_a_common_document_never_queue(bool conflict)
    {
        const int Workers = 32;
        var config = Db.Document("config/global");
        await CountAsync(config);
        var (committing, areAllCommitting) = (0, new TaskCompletionSource());
        var worker = new AsyncLocal<int>();
        var conflicted = new ConcurrentDictionary<int, bool>();
        Wire.Respond = async (method, _, cancellationToken) =>
        {
            if (method != Wire.Commit)
            {
                return null;
            }
            if (conflict && conflicted.TryAdd(worker.Value, true))
            {
                return Wire.Failure(StatusCode.FailedPrecondition);
            }
            if (Interlocked.Increment(ref committing) == Workers)
            {
                areAllCommitting.SetResult();
            }
            await areAllCommitting.Task.WaitAsync(Patience, cancellationToken);
            return null;
        };

        var work = Enumerable.Range(0, Workers).Select(number => Task.Run(() =>
        {
            worker.Value = number;
            return Db.RunTransactionAsync(async transaction =>
            {
                var setting = Views(await transaction.GetSnapshotAsync(config));
                transaction.Set(Db.Document($"results/{number}"), Fields(setting));
            });
        }));

        await Task.WhenAll(work).WaitAsync(Patience);
        committing.Should().Be(Workers);
    }

    [Fact]
    public async Task Transactions_that_only_read_one_document_never_queue()
    {
        const int Workers = 8;
        await CountAsync(document);
        var (reading, areAllReading) = (0, new TaskCompletionSource());
        Wire.Respond = async (_, _, cancellationToken) =>
        {
            if (Interlocked.Increment(ref reading) == Workers)
            {
                areAllReading.SetResult();
            }
            await areAllReading.Task.WaitAsync(Patience, cancellationToken);
            return null;
        };

        var work = Enumerable.Range(0, Workers).Select(_ => Task.Run(
            () => Db.RunTransactionAsync(async transaction => Views(await transaction.GetSnapshotAsync(document)))));

        (await Task.WhenAll(work).WaitAsync(Patience / 2)).Should().OnlyContain(views => views == 1);
    }

    [Fact]
    public async Task Document_is_lockable_again_after_a_transaction_that_wrote_it()
    {
        await CountAsync(document);
        await Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(document);
            transaction.Set(Db.Document("sessions/two"), Fields(1));
        });
        await CountAsync(document);
        var attempts = 0;
        var (isHeld, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = Db.RunTransactionAsync(async transaction =>
        {
            attempts++;
            var views = await CountAsync(transaction, document);
            isHeld.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
            return views;
        });
        await isHeld.Task.WaitAsync(Patience);

        var next = CountAsync(document);
        next.IsCompleted.Should().BeFalse();
        isReleased.SetResult();

        (await holder).Should().Be(3);
        (await next).Should().Be(4);
        attempts.Should().Be(1);
    }

    [Fact]
    public async Task Lock_is_kept_after_a_conflict()
    {
        await CountAsync(document);
        var attempts = 0;
        var (isHeld, isQueued) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = Db.RunTransactionAsync(async transaction =>
        {
            var views = await CountAsync(transaction, document);
            if (++attempts == 1)
            {
                isHeld.SetResult();
                await isQueued.Task.WaitAsync(Patience);
                await database.OpenAnother().Document("sessions/one").SetAsync(Fields(10));
            }
            return views;
        });
        await isHeld.Task.WaitAsync(Patience);
        var next = CountAsync(document);
        isQueued.SetResult();

        (await holder.WaitAsync(Patience)).Should().Be(11);
        (await next.WaitAsync(Patience)).Should().Be(12);
    }

    [Fact]
    public async Task Transaction_holds_one_lock_at_most()
    {
        var two = Db.Document("sessions/two");
        await CountAsync(document);
        await CountAsync(two);
        var (haveBothBeenRead, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(document);
            await transaction.GetSnapshotAsync(two);
            haveBothBeenRead.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
            transaction.Set(document, Fields(10));
        });
        await haveBothBeenRead.Task.WaitAsync(Patience);

        (await CountAsync(two).WaitAsync(Patience / 2)).Should().Be(2);

        isReleased.SetResult();
        await holder;
    }

    [Fact]
    public async Task Nested_transaction_on_the_same_document_does_not_wait_for_the_outer_one()
    {
        await CountAsync(document);
        var attempts = 0;

        var views = await Db.RunTransactionAsync(async transaction =>
        {
            var views = Views(await transaction.GetSnapshotAsync(document));
            if (++attempts == 1)
            {
                (await database.OpenAnother().RunTransactionAsync(other => CountAsync(other, document))).Should().Be(2);
            }
            else if (attempts == 2)
            {
                (await CountAsync(document).WaitAsync(Patience)).Should().Be(3);
            }
            transaction.Set(document, Fields(views + 1));
            return views + 1;
        }).WaitAsync(Patience);

        (views, attempts).Should().Be((4, 3));
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator), Trait("Category", "Slow")]
    public async Task Sixteen_clients_of_one_document_cause_no_conflict_and_one_call_a_transaction(Store store)
    {
        const int Clients = 16;
        var transactions = Repository.IsOnCI ? 2000 : 400;
        using var shared = await TestDatabase.OpenAsync(store);
        var counter = shared.Db.Document("sessions/one");
        await shared.Db.RunTransactionAsync(transaction =>
        {
            transaction.Create(counter, Fields(0));
            return Task.CompletedTask;
        });
        var left = transactions;

        var counts = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => Task.Run(async () =>
        {
            var counts = new List<long>();
            while (Interlocked.Decrement(ref left) >= 0)
            {
                counts.Add(await shared.Db.RunTransactionAsync(transaction => CountAsync(transaction, counter)));
            }
            return counts;
        }))).WaitAsync(TimeSpan.FromMinutes(3));

        counts.SelectMany(each => each).Order().Should().Equal(Enumerable.Range(1, transactions).Select(i => (long)i));
        counts.Should().OnlyContain(each => each.SequenceEqual(each.Order()), "the numbers of each client rise");
        shared.Wire.Commits.Should().HaveCount(transactions + 1, "a conflict would be another commit");
        shared.Wire.Calls.Should().HaveCount(transactions + 1);
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Concurrent_transactions_on_an_uncached_document_read_it_once_and_never_conflict(Store store)
    {
        const int Clients = 16;
        using var shared = await TestDatabase.OpenAsync(store);
        var counter = shared.OpenAnother().Document("sessions/one");
        await counter.SetAsync(Fields(0));
        var before = shared.Wire.Calls.Count();

        var counts = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => Task.Run(
            () => shared.Db.RunTransactionAsync(transaction => CountAsync(transaction, counter))))).WaitAsync(Patience);

        counts.Order().Should().Equal(Enumerable.Range(1, Clients).Select(i => (long)i));
        (shared.Wire.Calls.Count() - before).Should().Be(1 + Clients);
    }

    [Fact]
    public async Task Transaction_continues_without_the_lock_after_the_limit()
    {
        var db = database.OpenAnother(maxLockWait: TimeSpan.FromSeconds(1));
        Task<long> CountHereAsync() => db.RunTransactionAsync(transaction => CountAsync(transaction, document));
        await CountHereAsync();
        var (holder, isReleased) = await HoldLockAsync(db);
        var started = Stopwatch.GetTimestamp();

        (await CountHereAsync().WaitAsync(Patience)).Should().Be(2);
        Stopwatch.GetElapsedTime(started).TotalSeconds.Should().BeInRange(0.9, 10);

        isReleased.SetResult();
        (await holder).Should().Be(3, "it conflicts and runs again");
    }

    [Fact]
    public async Task Cancelled_transaction_leaves_the_queue()
    {
        await CountAsync(document);
        using var source = new CancellationTokenSource();
        var (holder, isReleased) = await HoldLockAsync(Db);
        var cancelled = Db.RunTransactionAsync(transaction => CountAsync(transaction, document), cancellationToken: source.Token);
        var next = CountAsync(document);

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
        await CountAsync(document);
        var (isHeld, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = Db.RunTransactionAsync(async transaction =>
        {
            await CountAsync(transaction, document);
            isHeld.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
        });
        await isHeld.Task.WaitAsync(Patience);
        Task<DocumentSnapshot>? read = null;
        await Db.RunTransactionAsync(transaction =>
        {
            read = transaction.GetSnapshotAsync(document);
            return Task.CompletedTask;
        });

        isReleased.SetResult();
        await holder;
        await read!.WaitAsync(Patience);

        (await CountAsync(document).WaitAsync(Patience / 2)).Should().Be(3, "the lock is released");
    }

    private static Dictionary<string, object> Fields(long views) => new() { ["views"] = views };

    private static long Views(DocumentSnapshot snapshot) => snapshot.ToDictionary()?["views"] as long? ?? 0;

    private static async Task<long> CountAsync(Transaction transaction, DocumentReference document)
    {
        var views = Views(await transaction.GetSnapshotAsync(document)) + 1;
        transaction.Set(document, Fields(views));
        return views;
    }

    private Task<long> CountAsync(DocumentReference document) =>
        Db.RunTransactionAsync(transaction => CountAsync(transaction, document));

    /// <summary>Starts a transaction that takes the document's lock.</summary>
    /// <returns>The transaction, and what lets it end.</returns>
    private async Task<(Task<long> Holder, TaskCompletionSource IsReleased)> HoldLockAsync(FirestoreDb db)
    {
        var (isHeld, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = db.RunTransactionAsync(async transaction =>
        {
            var views = await CountAsync(transaction, document);
            isHeld.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
            return views;
        });
        await isHeld.Task.WaitAsync(Patience);
        return (holder, isReleased);
    }
}
