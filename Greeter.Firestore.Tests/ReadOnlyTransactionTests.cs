namespace Greeter.Firestore.Tests;

/// <summary>Transactions that write nothing.</summary>
public sealed class ReadOnlyTransactionTests : IDisposable
{
    private readonly TestDatabase database = TestDatabase.OpenEmbedded();

    public void Dispose() => database.Dispose();

    [Fact]
    public async Task Transactions_that_only_read_do_not_queue()
    {
        var document = database.Db.Document("config/global");
        await database.Db.RunTransactionAsync(transaction =>
        {
            transaction.Create(document, new Dictionary<string, object> { ["limit"] = 1 });
            return Task.CompletedTask;
        });
        var (isReading, isReleased) = (new TaskCompletionSource(), new TaskCompletionSource());
        database.Wire.Answer = async (_, earlier, cancellationToken) =>
        {
            if (earlier == 0)
            {
                isReading.SetResult();
                await isReleased.Task.WaitAsync(cancellationToken);
            }
            return null;
        };
        Task<DocumentSnapshot> ReadAsync() =>
            database.Db.RunTransactionAsync(transaction => transaction.GetSnapshotAsync(document));

        var slow = ReadAsync();
        await isReading.Task.WaitAsync(TimeSpan.FromSeconds(30));
        var fast = await ReadAsync().WaitAsync(TimeSpan.FromMilliseconds(900));
        isReleased.SetResult();

        (await slow).Should().Be(fast);
    }
}
