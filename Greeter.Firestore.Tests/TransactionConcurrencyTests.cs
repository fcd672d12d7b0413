using System.Collections.Concurrent;
using System.Diagnostics;

namespace Greeter.Firestore.Tests;

/// <summary>Concurrent transactions in one process: preconditions, cache, and locks together.</summary>
public sealed class TransactionConcurrencyTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TestDatabase database = TestDatabase.OpenEmbedded();
    private readonly DocumentReference document;

    public TransactionConcurrencyTests() => document = database.Db.Document("sessions/one");

    private FirestoreDb Db => database.Db;

    private Wire Wire => database.Wire;

    public void Dispose() => database.Dispose();

    [Fact]
    public async Task Intermediate_write_of_a_transaction_is_never_read_from_the_cache()
    {
        await CountAsync(document);
        var (hasResponded, isOver) = (false, false);
        Wire.HasResponded = (method, earlier) =>
        {
            Volatile.Write(ref hasResponded, method == Wire.Commit && earlier == 1 || Volatile.Read(ref hasResponded));
            return Task.CompletedTask;
        };
        // Counts while the response to the transaction with many writes is processed.
        var counting = Task.Run(async () =>
        {
            while (!Volatile.Read(ref hasResponded))
            {
                Thread.SpinWait(10);
            }
            while (!Volatile.Read(ref isOver))
            {
                await CountAsync(document);
            }
        });

        await Db.RunTransactionAsync(async transaction =>
        {
            var views = Views(await transaction.GetSnapshotAsync(document));
            var intermediate = Enumerable.Range(0, 100).ToDictionary(i => $"field{i}", i => (object)i);
            intermediate["views"] = -1_000_000;
            for (var write = 0; write < 400; write++)
            {
                transaction.Set(document, intermediate);
            }
            transaction.Set(document, Fields(views + 1));
        });
        isOver = true;
        await counting.WaitAsync(Patience);

        (await CountAsync(document)).Should().BeGreaterThan(0);
    }

    [Fact]
    public async Task Read_that_ends_after_the_commit_was_sent_does_not_reach_the_cache()
    {
        await document.SetAsync(Fields(1));
        var (hasRead, isChanged) = (new TaskCompletionSource(), new TaskCompletionSource());
        Task<DocumentSnapshot>? read = null;
        Wire.HasResponded = async (method, _) =>
        {
            if (method == Wire.Read && !isChanged.Task.IsCompleted)
            {
                hasRead.TrySetResult();
                await isChanged.Task.WaitAsync(Patience);
            }
        };
        Wire.Respond = async (method, earlier, _) =>
        {
            // Between the read and the commit another process changes the document; then the read ends.
            if (method == Wire.Commit && earlier == 1)
            {
                await hasRead.Task.WaitAsync(Patience, CancellationToken.None);
                await database.OpenAnother().Document("sessions/one").SetAsync(Fields(100), cancellationToken: CancellationToken.None);
                isChanged.SetResult();
                await read!.WaitAsync(Patience, CancellationToken.None);
            }
            return null;
        };

        await Db.RunTransactionAsync(transaction =>
        {
            read = transaction.GetSnapshotAsync(document);
            transaction.Set(document, new Dictionary<string, object> { ["more"] = true }, SetOptions.MergeAll);
            transaction.Set(Db.Document("sessions/two"), Fields(1));
            return Task.CompletedTask;
        });

        (await CountAsync(document)).Should().Be(101);
    }

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

    [Fact]
    public async Task Cached_document_newer_than_the_one_in_Firestore_is_read_again()
    {
        await CountAsync(document);
        // A server whose clock was set back calls a precondition from the future invalid.
        Wire.Respond = (method, earlier, _) => Task.FromResult(
            method == Wire.Commit && earlier == 1 ? Wire.Failure(StatusCode.InvalidArgument) : null);

        (await CountAsync(document)).Should().Be(2);

        Wire.Calls.Skip(2).Should().Equal(Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Theory, OnEmbedded, OnEmulator]
    public async Task Sixteen_clients_of_one_document_cause_no_conflict_and_one_call_a_transaction(Store store)
    {
        const int Clients = 16;
        var transactions = TestSize.Select(quick: 400, full: 2000);
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
        }))).WaitAsync(Patience);

        counts.SelectMany(each => each).Order().Should().Equal(Enumerable.Range(1, transactions).Select(i => (long)i));
        counts.Should().OnlyContain(each => each.SequenceEqual(each.Order()), "the numbers of each client rise");
        shared.Wire.Commits.Should().HaveCount(transactions + 1, "a conflict would be another commit");
        shared.Wire.Calls.Should().HaveCount(transactions + 1);
    }

    [Theory, OnEmbedded, OnEmulator]
    public async Task Concurrent_transactions_on_an_uncached_document_make_three_calls_each_at_most(Store store)
    {
        const int Clients = 16;
        using var shared = await TestDatabase.OpenAsync(store);
        var counter = shared.OpenAnother().Document("sessions/one");
        await counter.SetAsync(Fields(0));
        var before = shared.Wire.Calls.Count();

        var counts = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => Task.Run(
            () => shared.Db.RunTransactionAsync(transaction => CountAsync(transaction, counter))))).WaitAsync(Patience);

        counts.Order().Should().Equal(Enumerable.Range(1, Clients).Select(i => (long)i));
        (shared.Wire.Calls.Count() - before).Should().BeLessThanOrEqualTo(3 * Clients);
    }

    [Fact]
    public async Task Transaction_waits_one_second_for_a_lock_at_most()
    {
        var db = database.OpenWithShortLockWait();
        Task<long> CountHereAsync() => db.RunTransactionAsync(transaction => CountAsync(transaction, document));
        await CountHereAsync();
        var (isHeld, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = db.RunTransactionAsync(async transaction =>
        {
            var views = await CountAsync(transaction, document);
            isHeld.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
            return views;
        });
        await isHeld.Task.WaitAsync(Patience);
        var started = Stopwatch.GetTimestamp();

        (await CountHereAsync().WaitAsync(Patience)).Should().Be(2);
        Stopwatch.GetElapsedTime(started).TotalSeconds.Should().BeGreaterThan(0.9);

        isReleased.SetResult();
        (await holder).Should().Be(3, "it conflicts and runs again");
    }

    [Fact]
    public async Task Cancelled_transaction_leaves_the_queue()
    {
        await CountAsync(document);
        using var source = new CancellationTokenSource();
        var (isHeld, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = Db.RunTransactionAsync(async transaction =>
        {
            var views = await CountAsync(transaction, document);
            isHeld.TrySetResult();
            await isReleased.Task.WaitAsync(Patience);
            return views;
        });
        await isHeld.Task.WaitAsync(Patience);
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

    [Fact]
    public async Task Contradictory_precondition_gets_the_status_that_Firestore_would_give()
    {
        await document.SetAsync(Fields(1));
        var missing = Db.Document("sessions/missing");
        async Task<StatusCode> FailAsync(DocumentReference target, Action<Transaction> write)
        {
            var run = () => Db.RunTransactionAsync(async transaction =>
            {
                await transaction.GetSnapshotAsync(target);
                write(transaction);
            });
            return (await run.Should().ThrowAsync<RpcException>()).Which.StatusCode;
        }

        (await FailAsync(document, transaction => transaction.Create(document, Fields(2)))).Should().Be(StatusCode.AlreadyExists);
        (await FailAsync(missing, transaction => transaction.Delete(missing, Precondition.MustExist))).Should().Be(StatusCode.NotFound);
        (await FailAsync(document, transaction => transaction.Delete(document, Precondition.LastUpdated(default))))
            .Should().Be(StatusCode.FailedPrecondition);
        Wire.Commits.Should().HaveCount(1, "none of them can succeed");
    }

    [Fact]
    public async Task Only_allowed_attempt_never_starts_from_the_cache()
    {
        await CountAsync(document);
        await database.OpenAnother().Document("sessions/one").SetAsync(Fields(10));

        (await Db.RunTransactionAsync(transaction => CountAsync(transaction, document), TransactionOptions.ForMaxAttempts(1)))
            .Should().Be(11);
    }

    [Fact]
    public async Task Conflict_in_the_last_attempt_is_ABORTED()
    {
        var attempts = 0;
        var run = () => Db.RunTransactionAsync(
            async transaction =>
            {
                attempts++;
                var views = await CountAsync(transaction, document);
                await database.OpenAnother().Document("sessions/one").SetAsync(Fields(views));
            },
            TransactionOptions.ForMaxAttempts(3));

        (await run.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.Aborted);
        attempts.Should().Be(3);
    }

    [Fact]
    public async Task Write_after_the_callback_has_returned_is_an_error()
    {
        Transaction? ended = null;
        await Db.RunTransactionAsync(transaction =>
        {
            ended = transaction;
            return Task.CompletedTask;
        });

        ended!.Invoking(transaction => transaction.Set(document, Fields(1))).Should().Throw<InvalidOperationException>();
        await ended!.Awaiting(transaction => transaction!.GetSnapshotAsync(document)).Should().ThrowAsync<InvalidOperationException>();
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
}
