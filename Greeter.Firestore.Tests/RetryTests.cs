using Greeter.Firestore;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests;

/// <summary>Which calls a transaction or a read makes, and what it does about each failure: design.md, section 3.</summary>
public sealed class RetryTests : IDisposable
{
    private readonly HurriedTime time = new();
    private readonly TestDatabase database;
    private readonly DocumentReference document;

    public RetryTests()
    {
        database = TestDatabase.OpenEmbedded(time);
        document = database.Db.Document("sessions/one");
    }

    private Wire Wire => database.Wire;

    public void Dispose() => database.Dispose();

    public static TheoryData<StatusCode> RetriedReads =>
        [StatusCode.Unavailable, StatusCode.Internal, StatusCode.DeadlineExceeded];

    public static TheoryData<StatusCode> RetriedCommits =>
        [StatusCode.Aborted, StatusCode.Unavailable, StatusCode.DeadlineExceeded, StatusCode.ResourceExhausted];

    /// <summary>What says that a guard failed, where there was one.</summary>
    public static TheoryData<StatusCode> FailedGuards =>
        [StatusCode.FailedPrecondition, StatusCode.AlreadyExists, StatusCode.NotFound];

    public static TheoryData<StatusCode> OtherReads => AllBut(RetriedReads);

    public static TheoryData<StatusCode> OtherCommits => AllBut(RetriedCommits, FailedGuards);

    [Fact]
    public async Task A_transaction_that_only_writes_is_one_call()
    {
        await database.Db.RunTransactionAsync(transaction =>
        {
            transaction.Set(document, Views(1));
            return Task.CompletedTask;
        });

        Wire.Calls.Should().Equal(Wire.Commit);
        Wire.Commits.Single().Writes.Single().CurrentDocument.Should().BeNull();
    }

    [Fact]
    public async Task A_transaction_that_reads_and_writes_is_two_calls()
    {
        await CountAsync();

        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task A_transaction_that_reads_one_document_and_writes_nothing_is_one_call()
    {
        (await database.Db.RunTransactionAsync(transaction => transaction.GetSnapshotAsync(document))).Exists.Should().BeFalse();

        Wire.Calls.Should().Equal(Wire.Read);
    }

    [Fact]
    public async Task A_transaction_that_does_nothing_is_no_call()
    {
        (await database.Db.RunTransactionAsync(_ => Task.FromResult(7))).Should().Be(7);

        Wire.Calls.Should().BeEmpty();
    }

    [Theory, MemberData(nameof(RetriedReads))]
    public async Task A_read_is_tried_again(StatusCode status)
    {
        await document.SetAsync(Views(41));
        Wire.Fail(Wire.Read, status, status, status);

        (await CountAsync()).Should().Be((42, 1));

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Read, Wire.Read, Wire.Read, Wire.Read, Wire.Commit);
    }

    [Theory, MemberData(nameof(RetriedReads))]
    public async Task A_read_outside_a_transaction_is_tried_again(StatusCode status)
    {
        Wire.Fail(Wire.Read, status);

        await document.GetSnapshotAsync();

        Wire.Calls.Should().Equal(Wire.Read, Wire.Read);
    }

    [Theory, MemberData(nameof(OtherReads))]
    public async Task A_read_is_not_tried_again_after_another_failure(StatusCode status)
    {
        Wire.Fail(Wire.Read, status);

        (await FailAsync(() => CountAsync())).Status.Should().Be(new Status(status, "as the test wants it"));

        Wire.Calls.Should().Equal(Wire.Read);
    }

    [Fact]
    public async Task An_answer_that_says_nothing_is_no_missing_document()
    {
        Wire.Answer = (method, earlier, _) => Task.FromResult(
            earlier == 0 && method == Wire.Read ? Wire.Success(new BatchGetDocumentsResponse()) : null);

        (await CountAsync()).Should().Be((1, 1));

        Wire.Calls.Should().Equal([Wire.Read, Wire.Read, Wire.Commit], "it counts as INTERNAL");
    }

    [Fact]
    public async Task A_document_that_cannot_be_guarded_is_refused()
    {
        Wire.Answer = (method, earlier, _) => Task.FromResult(earlier == 0 && method == Wire.Read
            ? Wire.Success(new BatchGetDocumentsResponse { Found = new Document { Name = document.Path } })
            : null);

        await CountAsync();

        Wire.Calls.Should().Equal(Wire.Read, Wire.Read, Wire.Commit);
    }

    [Theory, MemberData(nameof(RetriedCommits))]
    public async Task A_commit_is_tried_again_from_the_read(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status);

        (await CountAsync()).Should().Be((1, 2));

        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task Commit_that_timed_out_runs_the_transaction_again()
    {
        Wire.Fail(Wire.Commit, StatusCode.DeadlineExceeded);

        (await CountAsync()).Should().Be((1, 2));

        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Theory]
    [InlineData(StatusCode.Unavailable)]
    [InlineData(StatusCode.DeadlineExceeded)]
    public async Task Commit_that_may_arrive_late_is_not_followed_by_another_unless_a_precondition_rejects_it(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status, status, status);
        Task RunAsync(Action<Transaction> write) => database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(database.Db.Document("sessions/other"));
            write(transaction);
        });

        (await FailAsync(() => RunAsync(transaction => transaction.Set(document, Views(1))))).StatusCode.Should().Be(status);
        (await FailAsync(() => RunAsync(transaction => transaction.Delete(document)))).StatusCode.Should().Be(status);
        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit, Wire.Read, Wire.Commit);

        await RunAsync(transaction => transaction.Create(document, Views(1)));
        Wire.Calls.Skip(4).Should().Equal(Wire.Read, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task Conflicts_that_outlast_the_limit_end_in_ABORTED()
    {
        var writes = 0;

        var run = () => database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(document);
            await document.SetAsync(Views(++writes));
            transaction.Set(document, Views(0));
        });

        (await FailAsync(run)).StatusCode.Should().Be(StatusCode.Aborted);
        time.Pauses.Aggregate((sum, pause) => sum + pause).TotalSeconds.Should().BeInRange(60, 61);
    }

    [Fact]
    public async Task Status_that_no_competitor_has_caused_goes_to_the_caller()
    {
        var existing = database.Db.Document("sessions/existing");
        await existing.SetAsync(Views(1));
        var attempts = 0;

        var run = () => database.Db.RunTransactionAsync(async transaction =>
        {
            attempts++;
            await transaction.GetSnapshotAsync(document);
            transaction.Create(existing, Views(2));
        });

        (await FailAsync(run)).StatusCode.Should().Be(StatusCode.AlreadyExists);
        attempts.Should().Be(3);
    }

    [Theory]
    [InlineData(StatusCode.Aborted)]
    [InlineData(StatusCode.Unavailable)]
    public async Task A_commit_is_tried_as_often_as_it_takes(StatusCode status)
    {
        Wire.Fail(Wire.Commit, [.. Enumerable.Repeat(status, 20)]);

        (await CountAsync()).Should().Be((1, 21));
    }

    [Fact]
    public async Task A_commit_is_tried_again_once_where_something_is_exhausted()
    {
        Wire.Fail(
            Wire.Commit,
            [StatusCode.ResourceExhausted, StatusCode.Unavailable, StatusCode.ResourceExhausted, StatusCode.ResourceExhausted]);

        (await FailAsync(() => CountAsync())).StatusCode.Should().Be(StatusCode.ResourceExhausted);

        Wire.Calls.Count(call => call == Wire.Commit).Should().Be(3);
    }

    [Theory, MemberData(nameof(OtherCommits))]
    public async Task A_commit_is_not_tried_again_after_another_failure(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status);

        (await FailAsync(() => CountAsync())).Status.Should().Be(new Status(status, "as the test wants it"));

        Wire.Calls.Should().Equal(Wire.Read, Wire.Commit);
    }

    [Theory, MemberData(nameof(FailedGuards))]
    public async Task A_guarded_commit_is_tried_again_from_the_read_when_somebody_was_faster(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status, status);

        (await CountAsync()).Should().Be((1, 3));
    }

    [Theory, MemberData(nameof(FailedGuards))]
    public async Task Without_a_guard_the_same_codes_are_what_they_say(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status);

        var commit = () => database.Db.RunTransactionAsync(transaction =>
        {
            transaction.Set(document, Views(1));
            return Task.CompletedTask;
        });

        (await FailAsync(commit)).StatusCode.Should().Be(status);
        Wire.Calls.Should().Equal(Wire.Commit);
    }

    [Theory, MemberData(nameof(RetriedCommits))]
    public async Task A_write_outside_a_transaction_is_never_sent_twice(StatusCode status)
    {
        Wire.Fail(Wire.Commit, status, status);

        (await FailAsync(() => document.SetAsync(Views(1)))).StatusCode.Should().Be(status);
        (await FailAsync(() => document.DeleteAsync())).StatusCode.Should().Be(status);

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit);
    }

    [Fact]
    public async Task Pauses_are_jittered_and_double_from_50_ms_to_a_second()
    {
        Wire.Fail(Wire.Commit, [.. Enumerable.Repeat(StatusCode.Unavailable, 12)]);

        await CountAsync();

        time.Pauses.Should().HaveCount(12);
        time.Pauses.Skip(5).Distinct().Should().HaveCountGreaterThan(1, "of seven pauses up to a second some differ");
        for (var i = 0; i < 12; i++)
        {
            var longest = Math.Min(1000, 50 << i);
            time.Pauses[i].TotalMilliseconds.Should().BeInRange(longest / 2.0, longest);
        }
    }

    [Fact]
    public async Task Pauses_after_a_failed_precondition_double_up_to_16_ms()
    {
        const int Conflicts = 12;
        var attempts = 0;

        await database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(document);
            if (++attempts <= Conflicts)
            {
                await document.SetAsync(Views(attempts));
            }
            transaction.Set(document, Views(0));
        });

        // A timer counts whole milliseconds, so the first pauses may be none.
        time.Pauses.Should().HaveCountGreaterThanOrEqualTo(Conflicts - 2).And.OnlyContain(pause => pause.TotalMilliseconds <= 16);
        time.Pauses.TakeLast(5).Should().OnlyContain(pause => pause.TotalMilliseconds >= 8);
    }

    [Fact]
    public async Task Pauses_after_ABORTED_double_from_50_to_250_ms()
    {
        Wire.Fail(Wire.Commit, [.. Enumerable.Repeat(StatusCode.Aborted, 8)]);

        await CountAsync();

        time.Pauses.Should().HaveCount(8);
        for (var i = 0; i < 8; i++)
        {
            var upper = Math.Min(250, 50 << i);
            time.Pauses[i].TotalMilliseconds.Should().BeInRange(upper / 2.0, upper);
        }
    }

    [Theory]
    [InlineData(Wire.Read)]
    [InlineData(Wire.Commit)]
    public async Task After_a_minute_the_failure_is_thrown(string method)
    {
        Wire.Fail(method, [.. Enumerable.Repeat(StatusCode.Unavailable, 1000)]);

        (await FailAsync(() => CountAsync())).StatusCode.Should().Be(StatusCode.Unavailable);

        time.Pauses.Aggregate((sum, pause) => sum + pause).TotalSeconds.Should().BeInRange(60, 61);
    }

    [Theory]
    [InlineData(Wire.Read)]
    [InlineData(Wire.Commit)]
    public async Task The_token_ends_a_pause_and_says_what_was_being_retried(string method)
    {
        using var source = new CancellationTokenSource();
        Wire.Answer = (called, earlier, _) =>
            Task.FromResult(called == method ? Wire.Failure(StatusCode.Unavailable, $"failure {earlier}") : null);
        time.StopAt(3, source.Cancel);

        var e = await CancelAsync(() => CountAsync(source.Token));

        e.CancellationToken.Should().Be(source.Token);
        e.InnerException.Should().BeOfType<RpcException>()
            .Which.Status.Should().Be(new Status(StatusCode.Unavailable, "failure 2"));
    }

    [Theory]
    [InlineData(Wire.Read, Wire.Read)]
    [InlineData(Wire.Commit, Wire.Commit)]
    [InlineData(Wire.Commit, Wire.Read)]
    public async Task The_token_ends_a_call_and_says_what_was_being_retried(string failing, string hanging)
    {
        using var source = new CancellationTokenSource();
        var hasFailed = false;
        Wire.Answer = async (method, earlier, cancellationToken) =>
        {
            if (method == failing && !hasFailed)
            {
                hasFailed = true;
                return Wire.Failure(StatusCode.Unavailable, "the first");
            }
            if (method == hanging && hasFailed)
            {
                await source.CancelAsync();
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
            return null;
        };

        var e = await CancelAsync(() => CountAsync(source.Token));

        e.CancellationToken.Should().Be(source.Token);
        e.InnerException.Should().BeOfType<RpcException>().Which.Status.Detail.Should().Be("the first");
    }

    [Fact]
    public async Task A_token_that_was_cancelled_before_is_a_cancellation_without_a_cause()
    {
        using var source = new CancellationTokenSource();
        await source.CancelAsync();

        (await CancelAsync(() => CountAsync(source.Token))).InnerException.Should().NotBeOfType<RpcException>();

        Wire.Commits.Should().BeEmpty();
    }

    [Fact]
    public async Task The_token_of_one_read_ends_that_read_only()
    {
        using var source = new CancellationTokenSource();
        Wire.Answer = async (method, earlier, cancellationToken) =>
        {
            if (method == Wire.Read && earlier == 0)
            {
                await source.CancelAsync();
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
            return null;
        };

        var isThere = await database.Db.RunTransactionAsync(async transaction =>
        {
            await CancelAsync(() => transaction.GetSnapshotAsync(document, source.Token));
            return (await transaction.GetSnapshotAsync(document)).Exists;
        });

        isThere.Should().BeFalse();
    }

    private static Dictionary<string, object> Views(long views) => new() { ["views"] = views };

    private static TheoryData<StatusCode> AllBut(params IEnumerable<object[]>[] retried) =>
        [.. Enum.GetValues<StatusCode>().Skip(1).Except(retried.SelectMany(data => data).Select(row => (StatusCode)row[0]))];

    private static async Task<RpcException> FailAsync(Func<Task> action) =>
        (await action.Should().ThrowAsync<RpcException>()).Which;

    private static async Task<OperationCanceledException> CancelAsync(Func<Task> action) =>
        (await action.Should().ThrowAsync<OperationCanceledException>()).Which;

    /// <summary>Counts a view in a transaction; the count, and how often the callback ran.</summary>
    private async Task<(long Views, int Attempts)> CountAsync(CancellationToken cancellationToken = default)
    {
        var attempts = 0;
        var views = await database.Db.RunTransactionAsync(
            async transaction =>
            {
                attempts++;
                var fields = (await transaction.GetSnapshotAsync(document)).ToDictionary();
                var views = fields?["views"] is long earlier ? earlier + 1 : 1;
                transaction.Set(document, Views(views));
                return views;
            },
            cancellationToken: cancellationToken);
        return (views, attempts);
    }
}
