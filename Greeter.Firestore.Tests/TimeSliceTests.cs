namespace Greeter.Firestore.Tests;

/// <summary>Processes that write the same document share it in time slices: after its own, a process rests.</summary>
public sealed class TimeSliceTests : IDisposable
{
    private readonly SkippingTimeProvider time = new();
    private readonly TestDatabase database;
    private readonly FirestoreDb other;
    private readonly DocumentReference document;

    public TimeSliceTests()
    {
        database = TestDatabase.OpenEmbedded(time);
        other = database.OpenAnother();
        document = database.Db.Document("sessions/one");
    }

    private double LastPause => time.Pauses[^1].TotalMilliseconds;

    public void Dispose() => database.Dispose();

    [Fact]
    public async Task Process_rests_once_after_a_time_slice_of_150_ms_if_nobody_else_wants_the_document()
    {
        await CountAsync();
        await CountAfterAsync(130);
        await CountAfterAsync(40);
        LastPause.Should().Be(160, "the process rests until 200 ms after its last commit");
        await CountAfterAsync(90);
        await CountAfterAsync(90);
        await CountAfterAsync(90);
        time.Pauses.Should().ContainSingle("no conflict followed");
    }

    [Fact]
    public async Task Process_that_was_away_for_longer_than_a_rest_does_not_pause()
    {
        await CountAsync();
        await CountAfterAsync(1000);
        await CountAfterAsync(1);

        time.Pauses.Should().BeEmpty("others had the time");
    }

    [Fact]
    public async Task Cancelled_rest_is_left_to_the_next_transaction()
    {
        using var source = new CancellationTokenSource();
        await CountAsync();
        await CountAfterAsync(130);
        time.Advance(TimeSpan.FromMilliseconds(40));
        time.StopAt(1, source.Cancel);
        var cancelled = () => database.Db.CountAsync(document, source.Token);
        await cancelled.Should().ThrowAsync<OperationCanceledException>();

        await CountAsync();

        time.Pauses.Should().HaveCount(2).And.OnlyContain(pause => pause == TimeSpan.FromMilliseconds(160));
    }

    [Theory, InlineData(10, 200), InlineData(400, 300), InlineData(5000, 500)]
    public async Task Process_rests_for_three_quarters_of_the_time_that_others_had_the_document(int absence, double rest)
    {
        await CountAsync();
        await other.CountAsync(document);
        await CountAfterAsync(absence);
        await CountAfterAsync(10);
        await other.CountAsync(document);

        await CountAsync();

        LastPause.Should().BeApproximately(rest, 15, "the conflict ends the time slice");
    }

    [Fact]
    public async Task Transactions_that_waited_when_the_time_slice_began_belong_to_it()
    {
        await CountAsync();
        await other.CountAsync(document);
        var areWaiting = new TaskCompletionSource();
        database.Wire.Respond = async (_, _, _) =>
        {
            await areWaiting.Task;
            time.Advance(TimeSpan.FromMilliseconds(100));
            return null;
        };

        var counts = Enumerable.Range(0, 8).Select(_ => CountAsync()).ToList();
        areWaiting.SetResult();
        await Task.WhenAll(counts);

        time.Pauses.Should().ContainSingle("only the conflict is followed by a pause");
        await CountAsync();
        LastPause.Should().BeGreaterThan(50);
    }

    [Fact]
    public async Task Conflicts_of_transactions_that_gave_up_count_until_one_locks_in_Firestore()
    {
        database.Wire.Fail(Wire.Commit, Enumerable.Repeat(StatusCode.Aborted, 90));
        for (var i = 0; i < 30; i++)
        {
            await GiveUpAsync(maxAttempts: 3);
        }

        database.Wire.Reads.Should().Contain(read => read.NewTransaction != null);
    }

    [Fact]
    public async Task Conflict_of_an_hour_ago_does_not_count()
    {
        database.Wire.Fail(Wire.Commit, StatusCode.Aborted, StatusCode.Aborted);
        await GiveUpAsync(maxAttempts: 1);

        await CountAfterAsync(3_600_000);

        database.Wire.Reads.Should().OnlyContain(read => read.NewTransaction == null);
    }

    [Fact]
    public async Task Transaction_that_has_waited_for_long_locks_sooner_in_Firestore()
    {
        bool IsLocked() => database.Wire.Reads.Any(read => read.NewTransaction is not null);
        database.Wire.Respond = (method, earlier, _) =>
        {
            time.Advance(TimeSpan.FromSeconds(earlier == 0 && method == Wire.Read ? 6 : 0));
            return Task.FromResult<object?>(method == Wire.Commit && !IsLocked() ? Wire.Failure(StatusCode.Aborted) : null);
        };

        await CountAsync();

        time.Pauses.Sum(pause => pause.TotalMilliseconds).Should().BeLessThan(1000);
    }

    private Task<long> CountAsync() => database.Db.CountAsync(document);

    private async Task GiveUpAsync(int maxAttempts) => await database.Db.Awaiting(db => db.RunTransactionAsync(
        transaction => transaction.CountAsync(document), TransactionOptions.ForMaxAttempts(maxAttempts)))
        .Should().ThrowAsync<RpcException>();

    private async Task CountAfterAsync(int milliseconds)
    {
        time.Advance(TimeSpan.FromMilliseconds(milliseconds));
        await CountAsync();
    }
}
