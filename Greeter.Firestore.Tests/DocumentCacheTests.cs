using Greeter.Firestore;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests;

using Time = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>What a process makes of documents that it has just committed: one call where two are usual, and nothing else.</summary>
public sealed class DocumentCacheTests : IDisposable
{
    private readonly TestDatabase database = TestDatabase.OpenEmbedded();
    private readonly DocumentReference document;

    public DocumentCacheTests() => document = database.Db.Document("sessions/one");

    /// <summary>The document as another process writes it.</summary>
    private DocumentReference Elsewhere => database.OpenAnother().Document("sessions/one");

    public void Dispose() => database.Dispose();

    [Fact]
    public async Task After_a_first_commit_each_view_is_one_call()
    {
        await CreateAsync();

        (await CountAsync()).Should().Be(2);
        (await CountAsync()).Should().Be(3);

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Commit);
        (await document.GetSnapshotAsync()).ToDictionary()!["views"].Should().Be(3L);
    }

    [Fact]
    public async Task What_somebody_else_wrote_in_between_is_read()
    {
        await CreateAsync();
        await Elsewhere.SetAsync(new Dictionary<string, object> { ["views"] = 100, ["more"] = "yes" });

        (await CountAsync()).Should().Be(101);
        (await CountAsync()).Should().Be(102);

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit, Wire.Commit);
        (await document.GetSnapshotAsync()).ToDictionary().Should().Contain("more", "yes");
    }

    [Fact]
    public async Task A_document_that_somebody_else_deleted_is_missing()
    {
        await CreateAsync();
        await Elsewhere.DeleteAsync();

        (await CountAsync()).Should().Be(1);
    }

    [Fact]
    public async Task Fields_that_were_there_before_are_remembered_with_those_that_were_merged()
    {
        await document.SetAsync(new Dictionary<string, object?>
        {
            ["other"] = double.NaN,
            ["map"] = new Dictionary<string, object?> { ["a"] = 1, ["b"] = 2 },
            ["views"] = 1,
        });
        await MergeAsync(new Dictionary<string, object?> { ["map"] = new Dictionary<string, object?> { ["b"] = 3, ["c.d"] = 4 } });
        var before = database.Wire.Calls.Count();

        var remembered = await database.Db.RunTransactionAsync(async transaction =>
        {
            var fields = (await transaction.GetSnapshotAsync(document)).ToDictionary();
            transaction.Set(document, new Dictionary<string, object?> { ["views"] = 2 }, SetOptions.MergeAll);
            return fields;
        });

        database.Wire.Calls.Skip(before).Should().Equal(Wire.Commit);
        remembered.Should().BeEquivalentTo(new Dictionary<string, object?>
        {
            ["other"] = double.NaN,
            ["map"] = new Dictionary<string, object?> { ["a"] = 1L, ["b"] = 3L, ["c.d"] = 4L },
            ["views"] = 1L,
        });
    }

    [Fact]
    public async Task Merging_into_a_document_that_exists_works_although_it_was_not_read()
    {
        await document.SetAsync(new Dictionary<string, object> { ["views"] = 5, ["other"] = true });

        await MergeAsync(Views(1));

        (await document.GetSnapshotAsync()).ToDictionary().Should().Equal(
            new Dictionary<string, object?> { ["views"] = 1L, ["other"] = true });
        (await CountAsync()).Should().Be(2);
        database.Wire.Calls.TakeLast(2).Should().Equal([Wire.Read, Wire.Commit], "all of it was never known");
    }

    [Theory]
    [InlineData(StatusCode.Unavailable)]
    [InlineData(StatusCode.DeadlineExceeded)]
    [InlineData(StatusCode.Internal)]
    [InlineData(StatusCode.PermissionDenied)]
    public async Task After_a_commit_that_failed_or_may_have_nothing_is_remembered(StatusCode status)
    {
        await CreateAsync();
        var mayFail = true;
        database.Wire.Answer = (method, _, _) =>
        {
            var fails = mayFail && method == Wire.Commit;
            mayFail = false;
            return Task.FromResult(fails ? Wire.Failure(status) : null);
        };

        try
        {
            await CountAsync();
        }
        catch (RpcException)
        {
            await CountAsync();
        }

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task After_a_cancelled_commit_nothing_is_remembered()
    {
        await CreateAsync();
        using var cancellation = new CancellationTokenSource();
        database.Wire.Answer = async (_, _, cancellationToken) =>
        {
            await cancellation.CancelAsync();
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return null;
        };
        await FluentActions.Awaiting(() => CountAsync(cancellation.Token)).Should().ThrowAsync<OperationCanceledException>();
        database.Wire.Answer = null;

        await CountAsync();

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task A_callback_that_fails_or_writes_nothing_runs_again_on_what_is_stored()
    {
        await CreateAsync();
        await Elsewhere.SetAsync(Views(7));
        var seen = new List<long>();

        var views = await database.Db.RunTransactionAsync(async transaction =>
        {
            seen.Add(Views(await transaction.GetSnapshotAsync(document)));
            return seen[^1] == 7 ? 7 : throw new InvalidOperationException("not yet");
        });
        views.Should().Be(7);
        seen.Should().Equal(1, 7);

        await CountAsync();
        await Elsewhere.SetAsync(Views(20));
        (await database.Db.RunTransactionAsync(async transaction => Views(await transaction.GetSnapshotAsync(document)))).Should().Be(20);
    }

    [Fact]
    public async Task A_callback_that_always_fails_fails_on_what_is_stored()
    {
        await CreateAsync();
        var attempts = 0;

        await database.Db.Awaiting(db => db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(document);
            attempts++;
            throw new InvalidOperationException("always");
        })).Should().ThrowAsync<InvalidOperationException>().WithMessage("always");

        attempts.Should().Be(2);
    }

    [Fact]
    public void Earlier_version_does_not_replace_a_later_one()
    {
        var cache = new DocumentCache();
        cache.Store(Version("a", 2), new Time { Seconds = 2 });
        cache.Store(Version("a", 1), new Time { Seconds = 1 });

        cache.Find("a")!.UpdateTime!.Seconds.Should().Be(2);
    }

    [Fact]
    public void Cache_is_limited_in_bytes_and_keeps_the_latest_documents()
    {
        const int Documents = 300, DocumentBytes = 1 << 20;
        var cache = new DocumentCache();
        var text = new string('x', DocumentBytes);
        for (var i = 1; i <= Documents; i++)
        {
            var document = Version($"{i}", i);
            document.Fields["text"] = new Value { StringValue = text };
            cache.Store(document, document.UpdateTime);
        }

        // A full cache is compacted in the background.
        int Count() => Enumerable.Range(1, Documents).Count(i => cache.Find($"{i}")?.UpdateTime is not null);
        SpinWait.SpinUntil(() => Count() < DocumentCache.MaxBytes / DocumentBytes, TimeSpan.FromSeconds(10)).Should().BeTrue();
        Count().Should().BeGreaterThan(10);
    }

    [Theory, OnEmbedded, OnEmulator]
    public async Task Visitors_who_stay_take_one_call_a_view_and_those_who_wander_two(Store store)
    {
        using var one = await TestDatabase.OpenAsync(store);
        // Another process: the same store, a memory of its own.
        var other = one.OpenAnother();
        var random = new Random(1);

        var staying = await CallsPerViewAsync(one, "staying", _ => one.Db);
        var wandering = await CallsPerViewAsync(one, "wandering", _ => random.Next(2) == 0 ? one.Db : other);
        var alternating = await CallsPerViewAsync(one, "alternating", view => view % 2 == 0 ? one.Db : other);

        staying.Should().BeLessThanOrEqualTo(1.05);
        wandering.Should().BeLessThanOrEqualTo(2.1);
        alternating.Should().BeLessThanOrEqualTo(2.1);
    }

    private static async Task<double> CallsPerViewAsync(TestDatabase database, string prefix, Func<int, FirestoreDb> instance)
    {
        const int Views = 2000, Visitors = 50;
        var before = database.Wire.Calls.Count();
        for (var view = 0; view < Views; view++)
        {
            var db = instance(view / Visitors);
            await CountAsync(db, db.Document($"sessions/{prefix}-{view % Visitors}"), default);
        }
        return (double)(database.Wire.Calls.Count() - before) / Views;
    }

    private static Document Version(string name, int seconds) => new()
    {
        Name = name,
        UpdateTime = new Time { Seconds = seconds },
    };

    private static Dictionary<string, object?> Views(long views) => new() { ["views"] = views };

    private static long Views(DocumentSnapshot snapshot) => snapshot.ToDictionary()?["views"] as long? ?? 0;

    private static Task<long> CountAsync(FirestoreDb db, DocumentReference document, CancellationToken cancellationToken) =>
        db.RunTransactionAsync(
            async transaction =>
            {
                var views = Views(await transaction.GetSnapshotAsync(document)) + 1;
                transaction.Set(document, Views(views), SetOptions.MergeAll);
                return views;
            },
            cancellationToken: cancellationToken);

    private Task CreateAsync() => database.Db.RunTransactionAsync(transaction =>
    {
        transaction.Create(document, Views(1));
        return Task.CompletedTask;
    });

    private Task MergeAsync(Dictionary<string, object?> data) => database.Db.RunTransactionAsync(async transaction =>
    {
        if (data.ContainsKey("map"))
        {
            await transaction.GetSnapshotAsync(document);
        }
        transaction.Set(document, data, SetOptions.MergeAll);
    });

    private Task<long> CountAsync(CancellationToken cancellationToken = default) => CountAsync(database.Db, document, cancellationToken);
}
