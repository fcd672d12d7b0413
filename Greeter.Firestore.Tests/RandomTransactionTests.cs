namespace Greeter.Firestore.Tests;

/// <summary>Random transactions over a few documents, from several instances, with injected failures and cancellations. Their results
/// must be those of a serial order: no update is lost, and what a transaction reads belongs together.</summary>
[Collection(nameof(Alone)), Trait("Category", "Slow")]
public sealed class RandomTransactionTests
{
    private const long Total = 1000;
    private const int Accounts = 4, Workers = 9, Instances = 3;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(Repository.IsOnCI ? 15 : 2);

    // Each write has a token of its own. Two transactions that overwrite the same one have lost an update.
    private readonly ConcurrentQueue<string> overwritten = [];
    private readonly ConcurrentQueue<long> nestedCounts = [];
    private readonly ConcurrentQueue<long> totals = [];
    private readonly ConcurrentQueue<int> onDuty = [];

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Random_transactions_have_the_results_of_a_serial_order(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        await Account(database.Db, 0).SetAsync(Fields(Total));
        await Doctor(database.Db, 0).SetAsync(Fields(1));
        InjectFailures(database.Wire);
        FirestoreDb[] instances = [database.Db, .. Enumerable.Range(1, Instances - 1).Select(_ => database.OpenAnother())];
        using var end = new CancellationTokenSource(Duration);

        await Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(async () =>
        {
            while (!end.IsCancellationRequested)
            {
                await RunAsync(instances[worker % Instances]);
            }
        }))).WaitAsync(Duration + Patience);

        totals.Should().NotBeEmpty().And.OnlyContain(total => total == Total);
        onDuty.Should().NotBeEmpty().And.OnlyContain(count => count > 0);
        overwritten.Should().NotBeEmpty().And.OnlyHaveUniqueItems();
        nestedCounts.Should().OnlyHaveUniqueItems();
        database.Wire.Commits.SelectMany(commit => commit.Writes).Select(write => write.Update?.Fields.GetValueOrDefault("token"))
            .Where(token => token is not null).Should().OnlyHaveUniqueItems("a commit is never sent twice");
        // Undisturbed, and without a cache.
        (database.Wire.Respond, database.Wire.AfterResponse) = (null, null);
        (await ReadAllAsync(database.OpenAnother())).Sum(Value).Should().Be(Total);
    }

    private static DocumentReference Account(FirestoreDb db, int number) => db.Document($"accounts/{number}");

    private static DocumentReference Doctor(FirestoreDb db, int number) => db.Document($"doctors/{number}");

    private static Dictionary<string, object> Fields(long value) =>
        new() { ["value"] = value, ["token"] = Guid.NewGuid().ToString() };

    private static long Value(DocumentSnapshot snapshot) => (long?)snapshot.ToDictionary()?["value"] ?? 0;

    private static Task<DocumentSnapshot[]> ReadAllAsync(FirestoreDb db) => db.RunTransactionAsync(transaction =>
        Task.WhenAll(Enumerable.Range(0, Accounts).Select(number => transaction.GetSnapshotAsync(Account(db, number)))));

    /// <summary>Fails one commit in ten: before it reaches the database, or so that its response is lost.</summary>
    private static void InjectFailures(Wire wire)
    {
        StatusCode[] statuses =
        [
            StatusCode.Aborted, StatusCode.FailedPrecondition, StatusCode.Unavailable, StatusCode.DeadlineExceeded,
            StatusCode.ResourceExhausted, StatusCode.InvalidArgument,
        ];
        wire.Respond = (method, _, _) => Task.FromResult(method == Wire.Commit && Random.Shared.Next(20) == 0
            ? Wire.Failure(Random.Shared.GetItems(statuses, 1)[0])
            : null);
        wire.AfterResponse = async (method, _) =>
        {
            if (Random.Shared.Next(8) == 0)
            {
                await Task.Delay(Random.Shared.Next(4));
            }
            if (method == Wire.Commit && Random.Shared.Next(20) == 0)
            {
                throw new RpcException(new Status(StatusCode.Unavailable, "The response is lost."));
            }
        };
    }

    private async Task RunAsync(FirestoreDb db)
    {
        using var cancellation = new CancellationTokenSource();
        if (Random.Shared.Next(10) == 0)
        {
            cancellation.CancelAfter(Random.Shared.Next(1, 20));
        }
        try
        {
            await (Random.Shared.Next(10) switch
            {
                0 => CheckTotalAsync(db),
                1 => CheckDutyAsync(db),
                < 4 => ChangeDutyAsync(db, cancellation.Token),
                _ => TransferAsync(db, cancellation.Token),
            });
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            // The result is unknown. If the writes are stored, they still belong together.
        }
    }

    private async Task CheckTotalAsync(FirestoreDb db) => totals.Enqueue((await ReadAllAsync(db)).Sum(Value));

    private async Task CheckDutyAsync(FirestoreDb db) => onDuty.Enqueue(await db.RunTransactionAsync(async transaction =>
        (await ReadDutyAsync(transaction)).Count(doctor => doctor.Exists)));

    private static async Task<DocumentSnapshot[]> ReadDutyAsync(Transaction transaction) =>
    [
        await transaction.GetSnapshotAsync(Doctor(transaction.Database, 0)),
        await transaction.GetSnapshotAsync(Doctor(transaction.Database, 1)),
    ];

    /// <summary>Takes one doctor off duty if both are on, and otherwise puts both on duty. Without a check of the document that is only
    /// read, two transactions could take both doctors off.</summary>
    private static Task ChangeDutyAsync(FirestoreDb db, CancellationToken cancellationToken) => db.RunTransactionAsync(
        async transaction =>
        {
            var doctors = await ReadDutyAsync(transaction);
            if (Array.TrueForAll(doctors, doctor => doctor.Exists))
            {
                transaction.Delete(doctors[Random.Shared.Next(2)].Reference);
            }
            else
            {
                transaction.Create(Array.Find(doctors, doctor => !doctor.Exists)!.Reference, Fields(1));
            }
        },
        cancellationToken: cancellationToken);

    /// <summary>Moves an amount from one account to another. An empty account has no document.</summary>
    private async Task TransferAsync(FirestoreDb db, CancellationToken cancellationToken)
    {
        int[] numbers = [.. Enumerable.Range(0, Accounts)];
        Random.Shared.Shuffle(numbers);
        var overwrites = await db.RunTransactionAsync(
            async transaction =>
            {
                var (from, to) = (Account(db, numbers[0]), Account(db, numbers[1]));
                DocumentSnapshot[] accounts = Random.Shared.Next(2) == 0
                    ? await Task.WhenAll(transaction.GetSnapshotAsync(from), transaction.GetSnapshotAsync(to))
                    : [await transaction.GetSnapshotAsync(from), await transaction.GetSnapshotAsync(to)];
                if (Random.Shared.Next(20) == 0)
                {
                    nestedCounts.Enqueue(await db.CountAsync(db.Document("counters/nested")));
                }
                var balance = Value(accounts[0]);
                var amount = Random.Shared.Next(4) == 0 ? balance : Random.Shared.NextInt64(balance + 1);
                Write(transaction, accounts[0], balance - amount);
                Write(transaction, accounts[1], Value(accounts[1]) + amount);
                return accounts.Where(account => account.Exists).Select(account => (string)account.ToDictionary()!["token"]!).ToList();
            },
            cancellationToken: cancellationToken);
        overwrites.ForEach(overwritten.Enqueue);
    }

    private static void Write(Transaction transaction, DocumentSnapshot account, long balance)
    {
        if (balance == 0)
        {
            transaction.Delete(account.Reference);
        }
        else if (account.Exists || Random.Shared.Next(2) == 0)
        {
            // The first write is never seen.
            transaction.Set(account.Reference, Fields(-1));
            transaction.Set(account.Reference, Fields(balance), SetOptions.MergeAll);
        }
        else
        {
            transaction.Create(account.Reference, Fields(balance));
        }
    }
}
