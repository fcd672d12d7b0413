using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests;

/// <summary>Transactions that run at the same time in one process: no update is lost, and no transaction waits in vain.</summary>
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
        Wire.Responded = (method, earlier) =>
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
        Wire.Responded = async (method, _) =>
        {
            if (method == Wire.Read && !isChanged.Task.IsCompleted)
            {
                hasRead.TrySetResult();
                await isChanged.Task.WaitAsync(Patience);
            }
        };
        Wire.Answer = async (method, earlier, _) =>
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
        var (committing, areAllThere) = (0, new TaskCompletionSource());
        var conflicts = conflict ? Workers : 0;
        Wire.Answer = async (method, _, cancellationToken) =>
        {
            if (method != Wire.Commit)
            {
                return null;
            }
            if (Interlocked.Decrement(ref conflicts) >= 0)
            {
                return Wire.Failure(StatusCode.FailedPrecondition);
            }
            if (Interlocked.Increment(ref committing) == Workers)
            {
                areAllThere.SetResult();
            }
            await areAllThere.Task.WaitAsync(Patience, cancellationToken);
            return null;
        };

        var work = Enumerable.Range(0, Workers).Select(worker => Task.Run(() => Db.RunTransactionAsync(async transaction =>
        {
            var setting = Views(await transaction.GetSnapshotAsync(config));
            transaction.Set(Db.Document($"results/{worker}"), Fields(setting));
        })));

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
    public async Task Cached_document_newer_than_the_stored_one_is_read_again()
    {
        await CountAsync(document);
        // A server whose clock was set back calls a precondition from the future invalid.
        Wire.Answer = (method, earlier, _) => Task.FromResult(
            method == Wire.Commit && earlier == 1 ? Wire.Failure(StatusCode.InvalidArgument) : null);

        (await CountAsync(document)).Should().Be(2);

        Wire.Calls.Skip(2).Should().Equal(Wire.Commit, Wire.Read, Wire.Commit);
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
