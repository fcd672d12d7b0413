using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

public sealed class CachedDocumentTests
{
    [Fact]
    public async Task Document_can_be_stored_while_another_thread_drops_it()
    {
        const int Times = 5_000_000;
        var cached = new CachedDocument();
        var time = new Timestamp { Seconds = 1 };
        var document = new Document { Name = "sessions/one", UpdateTime = time };
        var isOver = false;
        var dropping = Task.Run(() =>
        {
            while (!Volatile.Read(ref isOver))
            {
                cached.Drop();
            }
        });

        var store = () =>
        {
            for (var i = 0; i < Times; i++)
            {
                cached.Store(document, time);
            }
        };

        store.Should().NotThrow();
        isOver = true;
        await dropping;
    }
}
