using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>Without the times in a commit's response, later commits would have no precondition.</summary>
public sealed class IncompleteCommitResponseTests : IDisposable
{
    private readonly TestDatabase database = TestDatabase.OpenEmbedded();

    public void Dispose() => database.Dispose();

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task Commit_response_without_times_is_INTERNAL(bool hasCommitTime, bool hasUpdateTime)
    {
        var time = new Timestamp { Seconds = 1 };
        database.Wire.Respond = (_, _, _) => Task.FromResult<HttpResponseMessage?>(Wire.Success(new CommitResponse
        {
            CommitTime = hasCommitTime ? time : null,
            WriteResults = { new V1.WriteResult { UpdateTime = hasUpdateTime ? time : null } },
        }));

        var create = () => database.Db.RunTransactionAsync(transaction =>
        {
            transaction.Create(database.Db.Document("sessions/one"), new Dictionary<string, object> { ["views"] = 1 });
            return Task.CompletedTask;
        });

        (await create.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.Internal);
    }
}
