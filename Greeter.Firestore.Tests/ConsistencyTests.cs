namespace Greeter.Firestore.Tests;

/// <summary>Rare orders of events: the caller hears what is stored, and never something that another order makes wrong.</summary>
public sealed class ConsistencyTests : IDisposable
{
    private readonly SkippingTimeProvider time = new();
    private readonly TestDatabase database;
    private readonly DocumentReference stock;

    public ConsistencyTests()
    {
        database = TestDatabase.OpenEmbedded(time);
        stock = database.Db.Document("shop/stock");
    }

    private static Timestamp LongAgo => Timestamp.FromDateTimeOffset(DateTimeOffset.UnixEpoch.AddSeconds(1));

    private Wire Wire => database.Wire;

    public void Dispose() => database.Dispose();

    [Theory, InlineData(false, false), InlineData(false, true), InlineData(true, true)]
    public async Task Callback_that_read_versions_that_do_not_belong_together_runs_again(bool inLockingAttempt, bool throws)
    {
        var other = database.Db.Document("shop/other");
        await stock.SetAsync(new { left = 5 });
        await other.SetAsync(new { left = 5 });
        var hasChanged = false;
        // The embedded store has no locks, so that an attempt with locks reads as any other.
        bool IsTime() => !inLockingAttempt || Wire.Reads.Any(read => read.NewTransaction is not null);
        Wire.Respond = (method, _, _) =>
            Task.FromResult<object?>(method == Wire.Commit && !IsTime() ? Wire.Failure(StatusCode.Aborted) : null);

        var sum = await database.Db.RunTransactionAsync(async transaction =>
        {
            var first = Left(await transaction.GetSnapshotAsync(stock));
            if (!hasChanged && IsTime())
            {
                hasChanged = true;
                await stock.SetAsync(new { left = 6 });
                await other.SetAsync(new { left = 4 });
            }
            var sum = first + Left(await transaction.GetSnapshotAsync(other));
            return sum == 10 || !throws ? sum : throw new InvalidOperationException($"The sum is {sum}.");
        });

        (sum, hasChanged).Should().Be((10, true));
    }

    [Fact]
    public async Task Exception_of_a_callback_on_consistent_reads_goes_to_the_caller()
    {
        var run = () => database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(stock);
            await transaction.GetSnapshotAsync(database.Db.Document("shop/other"));
            throw new TimeoutException();
        });

        await run.Should().ThrowAsync<TimeoutException>();
        Wire.Reads.Should().HaveCount(2, "there was one attempt");
    }

    [Fact]
    public async Task Missing_document_that_others_create_and_delete_is_a_conflict_however_often()
    {
        var attempts = 0;
        // Another client creates the document before the commit, and deletes it before the next read.
        Wire.Fail(Wire.Commit, Enumerable.Repeat(StatusCode.AlreadyExists, 5));

        await database.Db.RunTransactionAsync(async transaction =>
        {
            attempts++;
            (await transaction.GetSnapshotAsync(stock)).Exists.Should().BeFalse();
            transaction.Set(stock, new { left = 2 });
        });

        attempts.Should().Be(6);
    }

    [Theory, InlineData("writes nothing"), InlineData("writes what is there"), InlineData("throws")]
    public async Task Attempt_after_an_ambiguous_commit_does_not_count_if_that_commit_can_still_arrive(string decision)
    {
        await stock.SetAsync(new { left = 5 });
        Wire.Fail(Wire.Commit, StatusCode.Unavailable);
        var attempts = 0;

        var sell = () => database.Db.RunTransactionAsync(async transaction =>
        {
            var left = Left(await transaction.GetSnapshotAsync(stock));
            if (++attempts == 1)
            {
                transaction.Set(stock, new { left = left - 1 });
            }
            else if (decision == "writes what is there")
            {
                transaction.Set(stock, new { left });
            }
            else if (decision == "throws")
            {
                throw new TimeoutException("The shop has closed.");
            }
            return $"not sold, {left} left";
        });

        (await sell.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.Unavailable);
        attempts.Should().Be(2);
    }

    [Fact]
    public async Task Attempt_after_an_ambiguous_commit_counts_if_it_changes_the_document()
    {
        await stock.SetAsync(new { views = 5 });
        Wire.Fail(Wire.Commit, StatusCode.Unavailable);

        (await database.Db.CountAsync(stock)).Should().Be(6);
    }

    [Fact]
    public async Task Attempt_after_an_ambiguous_commit_counts_if_the_document_has_another_version()
    {
        await stock.SetAsync(new { left = 5 });
        var attempts = 0;
        // The commit arrives, and its response is lost.
        Wire.AfterResponse = (method, earlier) => method == Wire.Commit && earlier == 1
            ? throw new RpcException(new Status(StatusCode.Unavailable, "The response is lost."))
            : Task.CompletedTask;

        var left = await database.Db.RunTransactionAsync(async transaction =>
        {
            var left = Left(await transaction.GetSnapshotAsync(stock));
            if (++attempts == 1)
            {
                transaction.Set(stock, new { left = left - 1 });
            }
            return left;
        });

        (left, attempts).Should().Be((4, 2));
    }

    [Fact]
    public async Task Document_created_with_a_new_ID_in_each_attempt_does_not_make_a_commit_ambiguous()
    {
        Wire.Fail(Wire.Commit, StatusCode.Unavailable);
        var attempts = 0;

        await database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(stock);
            transaction.Create(database.Db.Document($"shop/order{++attempts}"), new { left = 1 });
        });

        attempts.Should().Be(2);
    }

    public static MatrixTheoryData<int, StatusCode> PermanentFailures =>
        new([1, 2], RetryTests.FailedPreconditions.Select(row => row.Data));

    [Theory, MemberData(nameof(PermanentFailures))]
    public async Task Permanent_failure_goes_to_the_caller_as_it_is_however_few_attempts_are_allowed(int maxAttempts, StatusCode status)
    {
        await stock.SetAsync(new { left = 5 });
        var other = database.Db.Document("shop/other");
        if (status == StatusCode.AlreadyExists)
        {
            await other.SetAsync(new { left = 5 });
        }

        var run = () => database.Db.RunTransactionAsync(
            async transaction =>
            {
                await transaction.GetSnapshotAsync(stock);
                if (status == StatusCode.AlreadyExists)
                {
                    transaction.Create(other, new { left = 1 });
                }
                else
                {
                    transaction.Delete(other, status == StatusCode.NotFound ? Precondition.MustExist : Precondition.LastUpdated(LongAgo));
                }
            },
            TransactionOptions.ForMaxAttempts(maxAttempts));

        (await run.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(status);
    }

    [Fact]
    public async Task Callback_that_changes_what_it_read_pauses_before_each_attempt()
    {
        await stock.SetAsync(new { left = 0 });
        var attempts = 0;

        await database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(stock);
            if (++attempts < 20)
            {
                await database.Db.WriteAsync(nested => nested.Set(stock, new { left = attempts }));
            }
            transaction.Set(stock, new { left = -1 });
        });

        time.Pauses.Should().HaveCount(19).And.OnlyContain(pause => pause > TimeSpan.FromMilliseconds(5));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Transaction_whose_callback_has_returned_or_thrown_accepts_no_reads_and_writes(bool throws)
    {
        Transaction? ended = null;
        var run = database.Db.WriteAsync(transaction =>
        {
            ended = transaction;
            if (throws)
            {
                throw new TimeoutException();
            }
        });
        await run.ContinueWith(_ => { }, TaskScheduler.Default);
        run.IsFaulted.Should().Be(throws);

        await ended!.Awaiting(transaction => transaction.GetSnapshotAsync(stock)).Should().ThrowAsync<InvalidOperationException>();
        ended!.Invoking(transaction => transaction.Set(stock, new { left = 1 })).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public async Task Blocking_on_a_task_does_not_deadlock_under_a_synchronization_context()
    {
        using var api = await TestDatabase.ConnectToEmulatorAsync();
        var db = new FirestoreDb(Emulator.NewProject(), "(default)", api);
        var document = db.Document("values/one");
        var thread = new Thread(() =>
        {
            // Runs nothing: a continuation that is posted here never runs.
            SynchronizationContext.SetSynchronizationContext(new IdleSynchronizationContext());
            document.SetAsync(new { left = 1 }).Wait();
            _ = document.GetSnapshotAsync().Result;
            db.WriteAsync(transaction => transaction.Set(document, new { left = 2 })).Wait();
            document.DeleteAsync().Wait();
        });
        thread.IsBackground = true;

        thread.Start();

        thread.Join(TimeSpan.FromSeconds(30)).Should().BeTrue();
    }

    private static long Left(DocumentSnapshot snapshot) => (long)snapshot.ToDictionary()!["left"]!;

    private sealed class IdleSynchronizationContext : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state)
        {
        }
    }
}
