namespace Greeter.Firestore.Tests;

/// <summary>Transactions on both stores. In most tests, another write comes between a transaction's read and its commit.</summary>
public class TransactionTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(Store.Embedded, "changed", 11), InlineData(Store.Emulator, "changed", 11)]
    [InlineData(Store.Embedded, "deleted", 1), InlineData(Store.Emulator, "deleted", 1)]
    [InlineData(Store.Embedded, "created again", 2), InlineData(Store.Emulator, "created again", 2)]
    public async Task No_update_is_lost(Store store, string change, long expected)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var document = database.Db.Document("sessions/one");
        await document.SetAsync(new { views = 1 });
        var attempts = 0;

        var views = await database.Db.RunTransactionAsync(async transaction =>
        {
            var views = await transaction.CountAsync(document);
            if (++attempts == 1)
            {
                await (change == "changed" ? document.SetAsync(new { views = 10 }) : document.DeleteAsync());
                await (change == "created again" ? document.SetAsync(new { views = 1 }) : Task.CompletedTask);
            }
            return views;
        });

        (views, attempts).Should().Be((expected, 2));
        (await document.ViewsAsync()).Should().Be(expected);
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task One_of_two_concurrent_transactions_of_two_processes_on_one_document_runs_again(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var document = database.Db.Document("sessions/one");
        await document.SetAsync(new { views = 1 });
        var attempts = 0;
        var haveRead = new AsyncBarrier(2);
        Task<long> CountAsync(FirestoreDb db) => db.RunTransactionAsync(async transaction =>
        {
            var views = await transaction.CountAsync(document);
            Interlocked.Increment(ref attempts);
            await haveRead.ArriveAsync();
            return views;
        });

        var results = await Task.WhenAll(CountAsync(database.Db), CountAsync(database.OpenAnother())).WaitAsync(Patience);

        results.Should().BeEquivalentTo([2L, 3L]);
        attempts.Should().Be(3);
        (await document.ViewsAsync()).Should().Be(3);
    }

    [Theory]
    [InlineData(Store.Embedded, "exists", "changed"), InlineData(Store.Emulator, "exists", "changed")]
    [InlineData(Store.Embedded, "exists", "deleted"), InlineData(Store.Emulator, "exists", "deleted")]
    [InlineData(Store.Embedded, "missing", "created"), InlineData(Store.Emulator, "missing", "created")]
    public async Task Change_of_a_document_that_was_only_read_is_a_conflict(Store store, string before, string after)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var (rule, result) = (database.Db.Document("rules/one"), database.Db.Document("results/one"));
        if (before == "exists")
        {
            await rule.SetAsync(new { views = 1 });
        }
        var attempts = 0;

        await database.Db.RunTransactionAsync(async transaction =>
        {
            var read = await transaction.GetSnapshotAsync(rule);
            if (++attempts == 1)
            {
                await (after == "deleted" ? rule.DeleteAsync() : rule.SetAsync(new { views = 2 }));
            }
            transaction.Set(result, new { views = read.Views() });
        });

        attempts.Should().Be(2);
        (await result.ViewsAsync()).Should().Be(after == "deleted" ? 0 : 2);
    }

    [Theory]
    [InlineData(Store.Embedded, "exists"), InlineData(Store.Emulator, "exists")]
    [InlineData(Store.Embedded, "missing"), InlineData(Store.Emulator, "missing")]
    public async Task Check_of_a_document_that_was_only_read_does_not_change_it(Store store, string before)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var (rule, result) = (database.Db.Document("rules/one"), database.Db.Document("results/one"));
        if (before == "exists")
        {
            await rule.SetAsync(new { views = 1 });
        }
        var earlier = await rule.GetSnapshotAsync();

        await database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(rule);
            transaction.Set(result, new { views = 1 });
        });

        var later = await rule.GetSnapshotAsync();
        later.Exists.Should().Be(before == "exists");
        later.UpdateTime.Should().Be(earlier.UpdateTime);
        later.ToDictionary().Should().BeEquivalentTo(earlier.ToDictionary());
        database.Wire.Commits.Last().Writes.Should().HaveCount(2);
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Documents_can_be_read_concurrently(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var documents = Enumerable.Range(0, 20).Select(i => database.Db.Document($"accounts/{i}")).ToList();
        var attempts = 0;

        await database.Db.RunTransactionAsync(async transaction =>
        {
            await Task.WhenAll(documents.Select(document => transaction.GetSnapshotAsync(document)));
            if (++attempts == 1)
            {
                await documents[13].SetAsync(new { views = 1 });
            }
            transaction.Set(documents[0], new { views = 1 });
        });

        attempts.Should().Be(2);
        database.Wire.Commits.Last().Writes.Should().HaveCount(20);
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task All_writes_are_stored_or_none(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var (one, two) = (database.Db.Document("accounts/one"), database.Db.Document("accounts/__two__"));

        var write = () => database.Db.WriteAsync(transaction =>
        {
            transaction.Set(one, new { views = 1 });
            transaction.Set(two, new { views = 1 });
        });

        (await write.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.InvalidArgument);
        (await one.GetSnapshotAsync()).Exists.Should().BeFalse();
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Nothing_is_written_if_the_callback_fails(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var (document, failure) = (database.Db.Document("sessions/one"), new RpcException(new Status(StatusCode.Unavailable, "")));

        var run = () => database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.CountAsync(document);
            throw failure;
        });

        (await run.Should().ThrowAsync<RpcException>()).Which.Should().BeSameAs(failure);
        database.Wire.Calls.Should().Equal(Wire.Read);
        (await document.GetSnapshotAsync()).Exists.Should().BeFalse();
    }

    [Fact]
    public async Task Every_read_of_a_document_returns_the_same_snapshot()
    {
        using var database = TestDatabase.OpenEmbedded();
        var document = database.Db.Document("sessions/one");
        var haveBothStarted = new AsyncBarrier(2);
        database.Wire.Respond = async (_, _, _) =>
        {
            await haveBothStarted.ArriveAsync();
            return null;
        };

        await database.Db.RunTransactionAsync(async transaction =>
        {
            var both = await Task.WhenAll(transaction.GetSnapshotAsync(document), transaction.GetSnapshotAsync(document));
            await document.SetAsync(new { views = 2 });
            both.Append(await transaction.GetSnapshotAsync(document))
                .Select(snapshot => (snapshot.Exists, snapshot.ReadTime)).Distinct().Should().ContainSingle();
        });

        database.Wire.Reads.Should().HaveCount(2, "the third read returns the earlier snapshot");
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator), Trait("Category", "Slow")]
    public async Task Cancelled_transactions_block_no_other_transaction(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var document = database.Db.Document("sessions/one");
        var committed = 0;
        async Task CountAsync(int i)
        {
            // A third of them are cancelled after up to 40 ms. Their views may count or not.
            using var source = new CancellationTokenSource(i % 3 == 0 ? TimeSpan.FromMilliseconds(i % 40) : Patience);
            try
            {
                await database.Db.CountAsync(document, source.Token);
                Interlocked.Increment(ref committed);
            }
            catch (OperationCanceledException) when (i % 3 == 0)
            {
            }
        }

        await Task.WhenAll(Enumerable.Range(0, 300).Select(i => Task.Run(() => CountAsync(i)))).WaitAsync(Patience);

        committed.Should().BeGreaterThanOrEqualTo(200);
        (await document.ViewsAsync()).Should().BeInRange(committed, 300);
    }
}
