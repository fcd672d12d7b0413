namespace Greeter.Firestore.Tests;

/// <summary>The calls that a transaction or a read makes, and what follows each failure.</summary>
public sealed class RetryTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    private readonly SkippingTimeProvider time = new();
    private readonly TestDatabase database;
    private readonly DocumentReference document;

    public RetryTests()
    {
        database = TestDatabase.OpenEmbedded(time);
        document = Db.Document("sessions/one");
    }

    private FirestoreDb Db => database.Db;

    private Wire Wire => database.Wire;

    public void Dispose() => database.Dispose();

    public static TheoryData<StatusCode> RetriedStatusesOfReads =>
        [StatusCode.Unavailable, StatusCode.Internal, StatusCode.DeadlineExceeded];

    public static TheoryData<StatusCode> TransientStatusesOfCommits =>
        [StatusCode.Aborted, StatusCode.Unavailable, StatusCode.DeadlineExceeded, StatusCode.ResourceExhausted];

    public static TheoryData<StatusCode> FailedPreconditions =>
        [StatusCode.FailedPrecondition, StatusCode.AlreadyExists, StatusCode.NotFound];

    public static TheoryData<StatusCode> RetriedStatusesOfCommits =>
        [.. TransientStatusesOfCommits.Concat(FailedPreconditions).Select(row => row.Data)];

    public static TheoryData<StatusCode> OtherStatusesOfReads => AllBut(RetriedStatusesOfReads);

    public static TheoryData<StatusCode> OtherStatusesOfCommits => AllBut(RetriedStatusesOfCommits);

    [Fact]
    public async Task Transaction_takes_one_call_for_a_read_and_one_for_all_its_writes()
    {
        (await Db.RunTransactionAsync(_ => Task.FromResult(7))).Should().Be(7);
        Wire.Calls.Should().BeEmpty();

        (await Db.RunTransactionAsync(transaction => transaction.GetSnapshotAsync(document))).Exists.Should().BeFalse();
        Wire.Calls.Should().Equal(Wire.Read);

        await Db.WriteAsync(transaction => transaction.Set(document, new { views = 1 }));
        Wire.Calls.Skip(1).Should().Equal(Wire.Commit);
        Wire.Commits.Single().Writes.Single().CurrentDocument.Should().BeNull();
    }

    [Theory, MemberData(nameof(RetriedStatusesOfReads))]
    public async Task Failed_read_is_sent_again(StatusCode status)
    {
        await document.SetAsync(new { views = 41 });
        Wire.Fail(Wire.Read, status, status, status);

        (await CountAsync()).Should().Be((42, 1));

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Read, Wire.Read, Wire.Read, Wire.Read, Wire.Commit);
    }

    [Theory, MemberData(nameof(OtherStatusesOfReads))]
    public async Task Other_status_of_a_read_goes_to_the_caller(StatusCode status)
    {
        Wire.Fail(Wire.Read, status);

        (await FailAsync(() => CountAsync())).Status.Should().Be(new Status(status, "injected by the test"));

        Wire.Calls.Should().Equal(Wire.Read);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Read_without_a_document_or_its_update_time_is_sent_again(bool hasDocument)
    {
        var found = hasDocument ? new Document { Name = document.Path } : null;
        Wire.Respond = (method, earlier, _) => Task.FromResult<object?>(
            earlier == 0 && method == Wire.Read ? new BatchGetDocumentsResponse { Found = found } : null);

        (await CountAsync()).Should().Be((1, 1));

        Wire.Calls.Should().Equal([Wire.Read, Wire.Read, Wire.Commit], "an incomplete response counts as INTERNAL");
    }

    [Theory, MemberData(nameof(RetriedStatusesOfCommits))]
    public async Task Transaction_runs_again_after_a_transient_failure_or_a_failed_precondition(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status);

        (await CountAsync()).Should().Be((1, 2));

        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Theory, InlineData(StatusCode.Unavailable), InlineData(StatusCode.DeadlineExceeded)]
    public async Task Commit_that_may_arrive_late_is_not_followed_by_another_unless_a_precondition_rejects_it(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status, status, status);
        var other = Db.Document("sessions/other");

        (await FailAsync(() => ReadAndWriteAsync(other, transaction => transaction.Set(document, new { views = 1 }))))
            .StatusCode.Should().Be(status);
        (await FailAsync(() => ReadAndWriteAsync(other, transaction => transaction.Delete(document)))).StatusCode.Should().Be(status);
        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit, Wire.Read, Wire.Commit);

        await ReadAndWriteAsync(other, transaction => transaction.Create(document, new { views = 1 }));
        Wire.Calls.Skip(4).Should().Equal(Wire.Read, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Theory]
    [InlineData(StatusCode.Unavailable), InlineData(StatusCode.DeadlineExceeded), InlineData(StatusCode.Internal)]
    [InlineData(StatusCode.Unknown), InlineData(StatusCode.Cancelled)]
    public async Task Attempt_from_the_cache_whose_commit_may_arrive_late_is_not_followed_by_another(StatusCode status)
    {
        await CountAsync();
        Wire.Fail(Wire.Commit, status);

        (await FailAsync(SetOtherAsync)).StatusCode.Should().Be(status);

        Wire.Calls.Skip(2).Should().Equal(Wire.Commit);
    }

    [Fact]
    public async Task Commit_whose_connection_is_exhausted_is_not_followed_by_another()
    {
        await CountAsync();
        // ENHANCE_YOUR_CALM: the connection ends, but the commit may have been applied.
        Wire.Respond = (method, _, _) =>
            method == Wire.Commit
                ? throw new RpcException(new Status(StatusCode.ResourceExhausted, "", new HttpProtocolException(0xb, "", null)))
                : Task.FromResult<object?>(null);

        (await FailAsync(SetOtherAsync)).StatusCode.Should().Be(StatusCode.ResourceExhausted);

        Wire.Calls.Skip(2).Should().Equal(Wire.Commit);
    }

    [Fact]
    public async Task Attempt_from_the_cache_that_Firestore_rejected_is_followed_by_another()
    {
        await CountAsync();
        Wire.Fail(Wire.Commit, StatusCode.InvalidArgument);

        await SetOtherAsync();

        Wire.Calls.Skip(2).Should().Equal(Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task Conflicts_that_outlast_the_limit_end_in_ABORTED()
    {
        var writes = 0;

        var run = () => Db.RunTransactionAsync(async transaction =>
        {
            await transaction.CountAsync(document);
            await document.SetAsync(new { views = ++writes });
            if (writes == 1)
            {
                time.Advance(TimeSpan.FromSeconds(59.9));
            }
        });

        (await FailAsync(run)).StatusCode.Should().Be(StatusCode.Aborted);
        var paused = time.Pauses.Aggregate((sum, pause) => sum + pause);
        paused.TotalSeconds.Should().BeInRange(0.1, 1, "60 s are the limit");
    }

    [Fact]
    public async Task Status_that_no_other_client_caused_goes_to_the_caller()
    {
        var existing = Db.Document("sessions/existing");
        await existing.SetAsync(new { views = 1 });

        var run = () => ReadAndWriteAsync(document, transaction => transaction.Create(existing, new { views = 2 }));

        (await FailAsync(run)).StatusCode.Should().Be(StatusCode.AlreadyExists);
        Wire.Reads.Should().HaveCount(3, "each attempt reads");
    }

    [Fact]
    public async Task RESOURCE_EXHAUSTED_runs_the_transaction_again_once()
    {
        Wire.Fail(Wire.Commit, StatusCode.ResourceExhausted, StatusCode.Unavailable, StatusCode.ResourceExhausted);

        (await FailAsync(() => CountAsync())).StatusCode.Should().Be(StatusCode.ResourceExhausted);

        Wire.Calls.Count(call => call == Wire.Commit).Should().Be(3);
    }

    [Theory, MemberData(nameof(OtherStatusesOfCommits))]
    public async Task Other_status_of_a_commit_goes_to_the_caller(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status);

        (await FailAsync(() => CountAsync())).Status.Should().Be(new Status(status, "injected by the test"));

        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit);
    }

    [Theory, MemberData(nameof(FailedPreconditions))]
    public async Task Failed_precondition_goes_to_the_caller_if_nothing_was_read(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status);

        var commit = () => Db.WriteAsync(transaction => transaction.Set(document, new { views = 1 }));

        (await FailAsync(commit)).StatusCode.Should().Be(status);
        Wire.Calls.Should().Equal(Wire.Commit);
    }

    [Theory, MemberData(nameof(TransientStatusesOfCommits))]
    public async Task Write_outside_a_transaction_is_never_sent_twice(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status, status);

        (await FailAsync(() => document.SetAsync(new { views = 1 }))).StatusCode.Should().Be(status);
        (await FailAsync(() => document.DeleteAsync())).StatusCode.Should().Be(status);

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit);
    }

    [Theory, InlineData(StatusCode.Unavailable, 1000), InlineData(StatusCode.Aborted, 250)]
    public async Task Pauses_double_from_50_ms_to_1_s_or_250_ms_after_ABORTED_with_jitter(StatusCode status, int limit)
    {
        Wire.Fail(Wire.Commit, Enumerable.Repeat(status, 12));

        await CountAsync();

        time.Pauses.Should().HaveCount(12);
        time.Pauses.Skip(5).Distinct().Should().HaveCountGreaterThan(1, "of seven pauses up to the limit some differ");
        for (var i = 0; i < 12; i++)
        {
            var longest = Math.Min(limit, 50 << i);
            time.Pauses[i].TotalMilliseconds.Should().BeInRange(longest / 2.0, longest);
        }
    }

    [Fact]
    public async Task Pauses_after_failed_preconditions_are_6_to_12_ms()
    {
        var attempts = 0;

        await Db.RunTransactionAsync(async transaction =>
        {
            await transaction.CountAsync(document);
            if (++attempts <= 6)
            {
                await document.SetAsync(new { views = attempts });
            }
        });

        time.Pauses.Should().HaveCount(6).And.OnlyContain(pause => pause.TotalMilliseconds >= 5 && pause.TotalMilliseconds <= 12);
    }

    [Fact]
    public async Task Pauses_start_again_after_another_kind_of_failure()
    {
        Wire.Fail(Wire.Commit, Enumerable.Repeat(StatusCode.Aborted, 5).Append(StatusCode.Unavailable));

        await CountAsync();

        time.Pauses[^1].TotalMilliseconds.Should().BeInRange(25, 50);
    }

    [Theory, InlineData(Wire.Read), InlineData(Wire.Commit)]
    public async Task Last_failure_is_thrown_after_60_seconds(string method)
    {
        Wire.Fail(method, Enumerable.Repeat(StatusCode.Unavailable, 1000));

        (await FailAsync(() => CountAsync())).StatusCode.Should().Be(StatusCode.Unavailable);

        time.Pauses.Aggregate((sum, pause) => sum + pause).TotalSeconds.Should().BeInRange(60, 61);
    }

    [Theory, InlineData(Wire.Read), InlineData(Wire.Commit)]
    public async Task Cancellation_during_a_pause_has_the_last_failure_as_inner_exception(string method)
    {
        using var source = new CancellationTokenSource();
        Wire.Respond = (called, earlier, _) =>
            Task.FromResult(called == method ? Wire.Failure(StatusCode.Unavailable, $"failure {earlier}") : null);
        time.StopAt(3, source.Cancel);

        var e = await CancelAsync(() => CountAsync(source.Token));

        e.CancellationToken.Should().Be(source.Token);
        e.InnerException.Should().BeOfType<RpcException>()
            .Which.Status.Should().Be(new Status(StatusCode.Unavailable, "failure 2"));
    }

    [Theory, InlineData(Wire.Read, Wire.Read), InlineData(Wire.Commit, Wire.Commit), InlineData(Wire.Commit, Wire.Read)]
    public async Task Cancellation_during_a_call_has_the_last_failure_as_inner_exception(string failing, string hanging)
    {
        using var source = new CancellationTokenSource();
        Wire.Respond = (method, _, _) =>
        {
            if (method != failing)
            {
                return Task.FromResult<object?>(null);
            }
            Wire.Cancel(hanging, source);
            return Task.FromResult<object?>(Wire.Failure(StatusCode.Unavailable, "first failure"));
        };

        var e = await CancelAsync(() => CountAsync(source.Token));

        e.CancellationToken.Should().Be(source.Token);
        e.InnerException.Should().BeOfType<RpcException>().Which.Status.Detail.Should().Be("first failure");
    }

    [Fact]
    public async Task Transaction_with_a_cancelled_token_sends_no_commit()
    {
        (await CancelAsync(() => CountAsync(new CancellationToken(canceled: true)))).InnerException.Should().BeNull();

        Wire.Commits.Should().BeEmpty();
    }

    [Fact]
    public async Task Token_of_a_read_cancels_only_that_read()
    {
        using var source = new CancellationTokenSource();
        Wire.Cancel(Wire.Read, source);

        var isThere = await Db.RunTransactionAsync(async transaction =>
        {
            await CancelAsync(() => transaction.GetSnapshotAsync(document, source.Token));
            return (await transaction.GetSnapshotAsync(document)).Exists;
        });

        isThere.Should().BeFalse();
    }

    [Fact]
    public async Task Contradictory_precondition_gets_the_status_that_Firestore_would_give()
    {
        await document.SetAsync(new { views = 1 });
        var missing = Db.Document("sessions/missing");
        async Task<StatusCode> FailWritingAsync(DocumentReference target, Action<Transaction> write) =>
            (await FailAsync(() => ReadAndWriteAsync(target, write))).StatusCode;

        (await FailWritingAsync(document, transaction => transaction.Create(document, new { views = 2 })))
            .Should().Be(StatusCode.AlreadyExists);
        (await FailWritingAsync(missing, transaction => transaction.Delete(missing, Precondition.MustExist)))
            .Should().Be(StatusCode.NotFound);
        (await FailWritingAsync(document, transaction => transaction.Delete(document, Precondition.LastUpdated(default))))
            .Should().Be(StatusCode.FailedPrecondition);
        Wire.Commits.Should().HaveCount(1, "none of them can succeed");
    }

    [Theory]
    [InlineData(StatusCode.FailedPrecondition, StatusCode.Aborted), InlineData(StatusCode.Aborted, StatusCode.Aborted)]
    [InlineData(StatusCode.Unavailable, StatusCode.Unavailable)]
    public async Task Last_allowed_attempt_throws_its_status_and_a_conflict_as_ABORTED(StatusCode status, StatusCode expected)
    {
        await document.SetAsync(new { views = 1 });
        Wire.Fail(Wire.Commit, status, status, status);

        var run = () => Db.RunTransactionAsync(transaction => transaction.CountAsync(document), TransactionOptions.ForMaxAttempts(2));

        (await FailAsync(run)).StatusCode.Should().Be(expected);
        Wire.Reads.Should().HaveCount(2, "each attempt reads");
        time.Pauses.Should().HaveCountLessThanOrEqualTo(1, "nothing follows the last attempt");
    }

    [Fact]
    public async Task RESOURCE_EXHAUSTED_goes_to_the_caller_if_the_commit_is_over_4_MiB()
    {
        Wire.Fail(Wire.Commit, StatusCode.ResourceExhausted);
        var data = Enumerable.Range(0, 5).ToDictionary(i => $"{i}", _ => (object)new string('x', 900_000));

        var run = () => Db.WriteAsync(transaction => transaction.Set(document, data));

        (await FailAsync(run)).StatusCode.Should().Be(StatusCode.ResourceExhausted);
        Wire.Calls.Should().Equal(Wire.Commit);
    }

    [Theory, InlineData(StatusCode.Unavailable), InlineData(StatusCode.DeadlineExceeded), InlineData(StatusCode.ResourceExhausted)]
    public async Task Transient_failure_releases_the_lock_before_the_pause(StatusCode status)
    {
        await CountAsync();
        using var source = new CancellationTokenSource();
        var (isPausing, isQueued) = (new TaskCompletionSource(), new TaskCompletionSource());
        var isHeld = new TaskCompletionSource();
        Wire.Fail(Wire.Commit, status);
        time.StopAt(1, isPausing.SetResult);
        var holder = Db.RunTransactionAsync(
            async transaction =>
            {
                await transaction.CountAsync(document);
                isHeld.SetResult();
                await isQueued.Task;
            },
            cancellationToken: source.Token);
        await isHeld.Task.WaitAsync(Patience);
        var next = CountAsync();
        isQueued.SetResult();
        await isPausing.Task.WaitAsync(Patience);

        (await next.WaitAsync(Patience)).Views.Should().Be(2);

        await source.CancelAsync();
        await CancelAsync(() => holder);
    }

    private static TheoryData<StatusCode> AllBut(TheoryData<StatusCode> retried) =>
        [.. Enum.GetValues<StatusCode>().Skip(1).Except(retried.Select(row => row.Data))];

    private static async Task<RpcException> FailAsync(Func<Task> action) =>
        (await action.Should().ThrowAsync<RpcException>()).Which;

    private static async Task<OperationCanceledException> CancelAsync(Func<Task> action) =>
        (await action.Should().ThrowAsync<OperationCanceledException>()).Which;

    /// <summary>Counts a view. Returns also how often the callback ran.</summary>
    private async Task<(long Views, int Attempts)> CountAsync(CancellationToken cancellationToken = default)
    {
        var attempts = 0;
        var views = await Db.RunTransactionAsync(
            transaction =>
            {
                attempts++;
                return transaction.CountAsync(document);
            },
            cancellationToken: cancellationToken);
        return (views, attempts);
    }

    private Task ReadAndWriteAsync(DocumentReference read, Action<Transaction> write) => Db.RunTransactionAsync(async transaction =>
    {
        await transaction.GetSnapshotAsync(read);
        write(transaction);
    });

    private Task SetOtherAsync() =>
        ReadAndWriteAsync(document, transaction => transaction.Set(Db.Document("sessions/other"), new { views = 1 }));
}
