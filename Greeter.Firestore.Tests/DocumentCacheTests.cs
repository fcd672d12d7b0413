using System.Globalization;
using Greeter.Firestore;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests;

/// <summary>A cached document saves a call, and never the check of the commit.</summary>
public sealed class DocumentCacheTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TestDatabase database = TestDatabase.OpenEmbedded();
    private readonly DocumentReference document;
    private readonly ITestOutputHelper output;

    public DocumentCacheTests(ITestOutputHelper output)
    {
        this.output = output;
        document = database.Db.Document("sessions/one");
    }

    /// <summary>Gets the document as another process writes it.</summary>
    private DocumentReference DocumentOfAnotherProcess => database.OpenAnother().Document("sessions/one");

    public void Dispose() => database.Dispose();

    [Fact]
    public async Task Transaction_on_a_cached_document_takes_one_call()
    {
        await CreateAsync();

        (await CountAsync()).Should().Be(2);
        (await CountAsync()).Should().Be(3);

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Commit);
        (await document.GetSnapshotAsync()).ToDictionary()!["views"].Should().Be(3L);
    }

    [Fact]
    public async Task Stale_cached_document_is_read_again()
    {
        await CreateAsync();
        await DocumentOfAnotherProcess.SetAsync(new Dictionary<string, object> { ["views"] = 100, ["more"] = "yes" });

        (await CountAsync()).Should().Be(101);
        (await CountAsync()).Should().Be(102);

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit, Wire.Commit);
        (await document.GetSnapshotAsync()).ToDictionary().Should().Contain("more", "yes");
    }

    [Fact]
    public async Task Cached_document_has_its_earlier_fields_and_the_merged_ones()
    {
        await document.SetAsync(new Dictionary<string, object?>
        {
            ["other"] = double.NaN,
            ["map"] = new Dictionary<string, object?> { ["a"] = 1, ["b"] = 2 },
            ["views"] = 1,
        });
        var map = new Dictionary<string, object?> { ["b"] = 3, ["c.d"] = 4 };
        await MergeAsync(new Dictionary<string, object?> { ["map"] = map }, readsFirst: true);
        var before = database.Wire.Calls.Count();

        var cached = await database.Db.RunTransactionAsync(async transaction =>
        {
            var fields = (await transaction.GetSnapshotAsync(document)).ToDictionary();
            transaction.Set(document, new Dictionary<string, object?> { ["views"] = 2 }, SetOptions.MergeAll);
            return fields;
        });

        database.Wire.Calls.Skip(before).Should().Equal(Wire.Commit);
        cached.Should().BeEquivalentTo(new Dictionary<string, object?>
        {
            ["other"] = double.NaN,
            ["map"] = new Dictionary<string, object?> { ["a"] = 1L, ["b"] = 3L, ["c.d"] = 4L },
            ["views"] = 1L,
        });
    }

    [Fact]
    public async Task Each_document_of_a_commit_is_cached_with_its_own_update_time()
    {
        var config = database.Db.Document("config/global");
        await config.SetAsync(Views(7));
        await CreateAsync();
        await database.Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(config);
            await transaction.GetSnapshotAsync(document);
            transaction.Set(document, Views(2));
            // Firestore keeps the update time of a document that a write doesn't change.
            transaction.Set(config, Views(7));
        });
        var before = database.Wire.Calls.Count();

        (await CountAsync(database.Db, config, CancellationToken.None)).Should().Be(8);
        (await CountAsync()).Should().Be(3);

        database.Wire.Calls.Skip(before).Should().Equal(Wire.Commit, Wire.Commit);
    }

    [Fact]
    public async Task Document_that_was_merged_without_a_read_is_not_cached()
    {
        await document.SetAsync(new Dictionary<string, object> { ["views"] = 5, ["other"] = true });

        await MergeAsync(Views(1), readsFirst: false);

        (await document.GetSnapshotAsync()).ToDictionary().Should().Equal(
            new Dictionary<string, object?> { ["views"] = 1L, ["other"] = true });
        (await CountAsync()).Should().Be(2);
        database.Wire.Calls.TakeLast(2).Should().Equal([Wire.Read, Wire.Commit], "it has fields that the process never read");
    }

    [Theory]
    [InlineData(StatusCode.Unavailable)]
    [InlineData(StatusCode.DeadlineExceeded)]
    [InlineData(StatusCode.Internal)]
    [InlineData(StatusCode.PermissionDenied)]
    public async Task Failed_commit_drops_the_cached_document(StatusCode status)
    {
        await CreateAsync();
        var mayFail = true;
        database.Wire.Respond = (method, _, _) =>
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
    public async Task Cancelled_commit_drops_the_cached_document()
    {
        await CreateAsync();
        using var cancellation = new CancellationTokenSource();
        database.Wire.Respond = async (_, _, cancellationToken) =>
        {
            await cancellation.CancelAsync();
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return null;
        };
        await FluentActions.Awaiting(() => CountAsync(cancellation.Token)).Should().ThrowAsync<OperationCanceledException>();
        database.Wire.Respond = null;

        await CountAsync();

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task Callback_that_fails_on_a_cached_document_runs_again_on_a_fresh_read()
    {
        await CreateAsync();
        await DocumentOfAnotherProcess.SetAsync(Views(7));
        var seen = new List<long>();

        var views = await database.Db.RunTransactionAsync(async transaction =>
        {
            seen.Add(Views(await transaction.GetSnapshotAsync(document)));
            return seen[^1] == 7 ? 7 : throw new InvalidOperationException("a stale document");
        });

        views.Should().Be(7);
        seen.Should().Equal(1, 7);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Transaction_without_writes_never_returns_a_cached_read(int documents)
    {
        await CreateAsync();
        await DocumentOfAnotherProcess.SetAsync(Views(20));

        var views = await database.Db.RunTransactionAsync(async transaction =>
        {
            if (documents == 2)
            {
                await transaction.GetSnapshotAsync(database.Db.Document("sessions/two"));
            }
            return Views(await transaction.GetSnapshotAsync(document));
        });

        views.Should().Be(20);
    }

    [Fact]
    public async Task Callback_that_always_fails_runs_on_the_cached_document_and_on_a_fresh_read()
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

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task Document_is_not_cached_if_the_commit_response_has_no_times(bool hasCommitTime, bool hasUpdateTime)
    {
        var time = new Google.Protobuf.WellKnownTypes.Timestamp { Seconds = 1 };
        database.Wire.Respond = (_, _, _) => Task.FromResult<object?>(Wire.Success(new CommitResponse
        {
            CommitTime = hasCommitTime ? time : null,
            WriteResults = { new V1.WriteResult { UpdateTime = hasUpdateTime ? time : null } },
        }));
        await CreateAsync();
        database.Wire.Respond = null;

        await CountAsync();

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public void Earlier_version_does_not_replace_a_later_one()
    {
        var cache = new DocumentCache();
        cache.Store(Version("a", 2), At(2));
        cache.Store(Version("a", 1), At(1));

        cache.Find("a")!.Read()!.Found.UpdateTime.Should().Be(At(2));
    }

    [Theory, Trait("Category", "Slow")]
    [InlineData(300, 1 << 20)]
    [InlineData(200_000, 600)]
    public void Cache_is_limited_in_bytes_and_keeps_the_latest_documents(int documents, int bytes)
    {
        var cache = new DocumentCache();
        // An entry takes about 500 bytes beside the text.
        var text = new string('x', bytes - 500);
        for (var i = 1; i <= documents; i++)
        {
            var document = Version($"{i}", i);
            document.Fields["text"] = new Value { StringValue = text };
            cache.Store(document, At(i));
        }

        // A full cache is compacted in the background.
        int Count() => Enumerable.Range(1, documents).Count(i => cache.Find($"{i}")?.Bytes > 0);
        SpinWait.SpinUntil(() => Count() < DocumentCache.MaxBytes / bytes, TimeSpan.FromSeconds(10)).Should().BeTrue();
        Count().Should().BeGreaterThan(10);
    }

    [Fact, Trait("Category", "Slow")]
    public async Task Transaction_takes_one_call_at_a_high_hit_rate_and_two_at_a_low_one()
    {
        // Another process: the same database with its own cache.
        var other = database.OpenAnother();
        var random = new Random(1);

        var same = await CallsPerViewAsync("same", _ => database.Db);
        var either = await CallsPerViewAsync("random", _ => random.Next(2) == 0 ? database.Db : other);
        var alternating = await CallsPerViewAsync("alternating", view => view % 2 == 0 ? database.Db : other);

        same.Should().BeLessThanOrEqualTo(1.05);
        either.Should().BeLessThanOrEqualTo(2.1);
        alternating.Should().BeLessThanOrEqualTo(2.1);
    }

    [Fact]
    public async Task Intermediate_write_of_a_transaction_is_never_read_from_the_cache()
    {
        await CountAsync();
        var (hasResponded, isOver) = (false, false);
        database.Wire.AfterResponse = (method, earlier) =>
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
                await CountAsync();
            }
        });

        await database.Db.RunTransactionAsync(async transaction =>
        {
            var views = Views(await transaction.GetSnapshotAsync(document));
            var intermediate = Enumerable.Range(0, 100).ToDictionary(i => $"field{i}", i => (object)i);
            intermediate["views"] = -1_000_000;
            for (var write = 0; write < 400; write++)
            {
                transaction.Set(document, intermediate);
            }
            transaction.Set(document, Views(views + 1));
        });
        isOver = true;
        await counting.WaitAsync(Patience);

        (await CountAsync()).Should().BeGreaterThan(0);
    }

    [Fact]
    public async Task Read_that_ends_after_the_commit_was_sent_does_not_reach_the_cache()
    {
        await document.SetAsync(Views(1));
        var (hasRead, isChanged) = (new TaskCompletionSource(), new TaskCompletionSource());
        Task<DocumentSnapshot>? read = null;
        database.Wire.AfterResponse = async (method, _) =>
        {
            if (method == Wire.Read && !isChanged.Task.IsCompleted)
            {
                hasRead.TrySetResult();
                await isChanged.Task.WaitAsync(Patience);
            }
        };
        database.Wire.Respond = async (method, earlier, _) =>
        {
            // Between the read and the commit another process changes the document; then the read ends.
            if (method == Wire.Commit && earlier == 1)
            {
                await hasRead.Task.WaitAsync(Patience, CancellationToken.None);
                await DocumentOfAnotherProcess.SetAsync(Views(100), cancellationToken: CancellationToken.None);
                isChanged.SetResult();
                await read!.WaitAsync(Patience, CancellationToken.None);
            }
            return null;
        };

        await database.Db.RunTransactionAsync(transaction =>
        {
            read = transaction.GetSnapshotAsync(document);
            transaction.Set(document, new Dictionary<string, object> { ["more"] = true }, SetOptions.MergeAll);
            transaction.Set(database.Db.Document("sessions/two"), Views(1));
            return Task.CompletedTask;
        });

        (await CountAsync()).Should().Be(101);
    }

    [Fact]
    public async Task Document_that_is_only_read_does_not_keep_the_cache_from_being_used_again()
    {
        const int Transactions = 64;
        await CountAsync();
        for (var i = 0; i < 30; i++)
        {
            // A stale hit.
            await DocumentOfAnotherProcess.SetAsync(Views(0));
            await CountAsync();
        }
        var onlyRead = database.Db.Document("settings/one");
        var before = database.Wire.Calls.Count(call => call == Wire.Read);

        for (var i = 0; i < Transactions; i++)
        {
            await database.Db.RunTransactionAsync(async transaction =>
            {
                var views = Views(await transaction.GetSnapshotAsync(document));
                await transaction.GetSnapshotAsync(onlyRead);
                transaction.Set(document, Views(views + 1));
            });
        }

        (database.Wire.Calls.Count(call => call == Wire.Read) - before).Should().BeLessThan(2 * Transactions);
    }

    [Fact]
    public async Task Only_allowed_attempt_never_starts_from_the_cache()
    {
        await CreateAsync();
        await DocumentOfAnotherProcess.SetAsync(Views(10));

        var views = await database.Db.RunTransactionAsync(
            async transaction =>
            {
                var views = Views(await transaction.GetSnapshotAsync(document));
                transaction.Set(document, Views(views + 1));
                return views;
            },
            TransactionOptions.ForMaxAttempts(1));

        views.Should().Be(10);
    }

    [Fact]
    public async Task Only_the_first_attempt_starts_from_the_cache()
    {
        await CreateAsync();
        await DocumentOfAnotherProcess.SetAsync(Views(10));
        var attempts = 0;

        await database.Db.RunTransactionAsync(async transaction =>
        {
            if (++attempts == 2)
            {
                await CountAsync();
            }
            var views = Views(await transaction.GetSnapshotAsync(document));
            transaction.Set(document, Views(views + 1));
        });

        attempts.Should().Be(2);
        database.Wire.Calls.Skip(2).Should().Equal(
            [Wire.Commit, Wire.Read, Wire.Commit, Wire.Read, Wire.Commit], "the second attempt ignores the cache");
        (await document.GetSnapshotAsync()).ToDictionary()!["views"].Should().Be(12L);
    }

    [Fact]
    public async Task Write_outside_a_transaction_drops_the_cached_document()
    {
        await CreateAsync();
        await document.SetAsync(Views(5));

        (await CountAsync()).Should().Be(6);

        database.Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task Cancelled_callback_does_not_run_again_on_a_fresh_read()
    {
        await CreateAsync();
        using var source = new CancellationTokenSource();
        var attempts = 0;

        var run = () => database.Db.RunTransactionAsync(
            async transaction =>
            {
                attempts++;
                await transaction.GetSnapshotAsync(document);
                await source.CancelAsync();
                transaction.CancellationToken.ThrowIfCancellationRequested();
            },
            cancellationToken: source.Token);

        await run.Should().ThrowAsync<OperationCanceledException>();
        attempts.Should().Be(1);
    }

    /// <summary>GREETER_TEST_SEED repeats a run.</summary>
    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator), Trait("Category", "Slow")]
    public async Task Cached_document_equals_a_fresh_read_after_any_sequence_of_writes(Store store)
    {
        using var shared = await TestDatabase.OpenAsync(store);
        var seed = Environment.GetEnvironmentVariable("GREETER_TEST_SEED") is { Length: > 0 } text
            ? int.Parse(text, CultureInfo.InvariantCulture)
            : Random.Shared.Next();
        output.WriteLine($"GREETER_TEST_SEED={seed}");
        var random = new Random(seed);
        var written = shared.Db.Document("sessions/one");
        var cached = 0;

        for (var round = 0; round < (Repository.IsOnCI ? 1000 : 100); round++)
        {
            var kinds = Enumerable.Range(0, random.Next(1, 5)).Select(_ => random.Next(4)).ToList();
            var data = kinds.ConvertAll(_ => RandomData(random, depth: 0));
            var log = new List<string>();
            var readsFirst = random.Next(4) > 0;
            await shared.Db.RunTransactionAsync(async transaction =>
            {
                log.Clear();
                var isMissing = !(await (readsFirst ? transaction.GetSnapshotAsync(written) : written.GetSnapshotAsync())).Exists;
                for (var i = 0; i < kinds.Count; i++)
                {
                    Write(transaction, written, i == 0 && isMissing ? -1 : kinds[i], data[i], log);
                }
            });
            var seen = new List<DocumentSnapshot>();

            // A transaction without writes runs again on a fresh read if its first read is cached.
            await shared.Db.RunTransactionAsync(async transaction => seen.Add(await transaction.GetSnapshotAsync(written)));

            var because = $"of round {round}: {string.Join(", ", log)}";
            seen[0].Exists.Should().Be(seen[^1].Exists, because);
            seen[0].ToDictionary().Should().BeEquivalentTo(seen[^1].ToDictionary(), because);
            seen[0].CreateTime.Should().Be(seen[^1].CreateTime, because);
            seen[0].UpdateTime.Should().Be(seen[^1].UpdateTime, because);
            seen[0].ReadTime.Should().BeLessThanOrEqualTo(seen[^1].ReadTime, because);
            cached += seen.Count - 1;
        }

        cached.Should().BeGreaterThan(20);
    }

    [Fact]
    public async Task Read_time_of_a_cached_document_is_its_commit_time()
    {
        await CreateAsync();
        var seen = new List<DocumentSnapshot>();

        await database.Db.RunTransactionAsync(async transaction => seen.Add(await transaction.GetSnapshotAsync(document)));

        seen.Should().HaveCount(2);
        seen[0].ReadTime.Should().Be(seen[1].UpdateTime!.Value).And.BeLessThan(seen[1].ReadTime);
    }

    private async Task<double> CallsPerViewAsync(string prefix, Func<int, FirestoreDb> instance)
    {
        const int Views = 1000, Visitors = 50;
        var before = database.Wire.Calls.Count();
        for (var view = 0; view < Views; view++)
        {
            var db = instance(view / Visitors);
            await CountAsync(db, db.Document($"sessions/{prefix}-{view % Visitors}"), default);
        }
        return (double)(database.Wire.Calls.Count() - before) / Views;
    }

    private static Google.Protobuf.WellKnownTypes.Timestamp At(int seconds) => new() { Seconds = seconds };

    /// <summary>Writes a document: -1 is a creation.</summary>
    private static void Write(
        Transaction transaction, DocumentReference document, int kind, Dictionary<string, object?> data, List<string> log)
    {
        switch (kind)
        {
            case -1:
                log.Add("Create");
                transaction.Create(document, data);
                break;
            case 0:
                log.Add("Delete");
                transaction.Delete(document);
                break;
            case 1:
                log.Add("Set");
                transaction.Set(document, data);
                break;
            default:
                log.Add("MergeAll");
                transaction.Set(document, data, SetOptions.MergeAll);
                break;
        }
    }

    private static Dictionary<string, object?> RandomData(Random random, int depth)
    {
        var data = new Dictionary<string, object?>();
        for (var i = random.Next(4); i > 0; i--)
        {
            data[$"{(char)('a' + random.Next(3))}"] = random.Next(depth < 2 ? 4 : 2) switch
            {
                0 => random.Next(3),
                1 => new[] { "x", "y" },
                _ => RandomData(random, depth + 1),
            };
        }
        return data;
    }

    private static Document Version(string name, int seconds) => new()
    {
        Name = name,
        UpdateTime = At(seconds),
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

    private Task MergeAsync(Dictionary<string, object?> data, bool readsFirst) => database.Db.RunTransactionAsync(async transaction =>
    {
        if (readsFirst)
        {
            await transaction.GetSnapshotAsync(document);
        }
        transaction.Set(document, data, SetOptions.MergeAll);
    });

    private Task<long> CountAsync(CancellationToken cancellationToken = default) =>
        CountAsync(database.Db, document, cancellationToken);
}
