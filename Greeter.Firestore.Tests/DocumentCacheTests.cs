namespace Greeter.Firestore.Tests;

/// <summary>A cached document saves a call, and never the check of the commit.</summary>
public sealed class DocumentCacheTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly (string Name, Action<Transaction, DocumentReference, object> Write)[] Kinds =
    [
        ("Delete", (transaction, document, _) => transaction.Delete(document)),
        ("Set", (transaction, document, data) => transaction.Set(document, data)),
        ("MergeAll", (transaction, document, data) => transaction.Set(document, data, SetOptions.MergeAll)),
    ];

    private readonly TestDatabase database = TestDatabase.OpenEmbedded();
    private readonly DocumentReference document;

    public DocumentCacheTests() => document = Db.Document("sessions/one");

    private FirestoreDb Db => database.Db;

    private Wire Wire => database.Wire;

    /// <summary>Gets the document as another process writes it.</summary>
    private DocumentReference DocumentOfAnotherProcess => database.OpenAnother().Document("sessions/one");

    public void Dispose() => database.Dispose();

    [Fact]
    public async Task Stale_cached_document_is_read_again()
    {
        await Db.CreateAsync(document);
        await DocumentOfAnotherProcess.SetAsync(new { views = 100, more = "yes" });

        (await Db.CountAsync(document)).Should().Be(101);
        (await Db.CountAsync(document)).Should().Be(102);

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit, Wire.Commit);
        (await document.GetSnapshotAsync()).ToDictionary().Should().Contain("more", "yes");
    }

    [Fact]
    public async Task Each_document_of_a_commit_is_cached_with_its_own_update_time()
    {
        var config = Db.Document("config/global");
        await config.SetAsync(new { views = 7 });
        await Db.CreateAsync(document);
        await Db.RunTransactionAsync(async transaction =>
        {
            await transaction.GetSnapshotAsync(config);
            await transaction.CountAsync(document);
            // Firestore keeps the update time of a document that a write doesn't change.
            transaction.Set(config, new { views = 7 });
        });
        var before = Wire.Calls.Count();

        (await Db.CountAsync(config)).Should().Be(8);
        (await Db.CountAsync(document)).Should().Be(3);

        Wire.Calls.Skip(before).Should().Equal(Wire.Commit, Wire.Commit);
    }

    [Theory]
    [InlineData(StatusCode.Unavailable), InlineData(StatusCode.DeadlineExceeded)]
    [InlineData(StatusCode.Internal), InlineData(StatusCode.PermissionDenied)]
    public async Task Failed_commit_drops_the_cached_document(StatusCode status)
    {
        await Db.CreateAsync(document);
        Wire.Fail(Wire.Commit, status);

        try
        {
            await Db.CountAsync(document);
        }
        catch (RpcException)
        {
            await Db.CountAsync(document);
        }

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Cancelled_commit_or_write_outside_a_transaction_drops_the_cached_document(bool isCancelled)
    {
        await Db.CreateAsync(document);
        using var source = new CancellationTokenSource();
        if (isCancelled)
        {
            Wire.Cancel(Wire.Commit, source);
            await Db.Awaiting(db => db.CountAsync(document, source.Token)).Should().ThrowAsync<OperationCanceledException>();
        }
        else
        {
            await document.SetAsync(new { views = 1 });
        }

        (await Db.CountAsync(document)).Should().Be(2);

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public async Task Callback_that_fails_on_the_cached_document_runs_again_on_a_fresh_read()
    {
        await Db.CreateAsync(document);
        await DocumentOfAnotherProcess.SetAsync(new { views = 7 });
        var seen = new List<long>();

        await Db.Awaiting(db => db.RunTransactionAsync(async transaction =>
        {
            seen.Add((await transaction.GetSnapshotAsync(document)).Views());
            throw new InvalidOperationException("always");
        })).Should().ThrowAsync<InvalidOperationException>().WithMessage("always");

        seen.Should().Equal(1, 7);
    }

    [Fact]
    public async Task Cancelled_callback_does_not_run_again_on_a_fresh_read()
    {
        await Db.CreateAsync(document);
        using var source = new CancellationTokenSource();
        var attempts = 0;

        var run = () => Db.RunTransactionAsync(
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

    [Theory, InlineData(1), InlineData(2)]
    public async Task Transaction_without_writes_never_returns_a_cached_read(int documents)
    {
        await Db.CreateAsync(document);
        await DocumentOfAnotherProcess.SetAsync(new { views = 20 });

        var views = await Db.RunTransactionAsync(async transaction =>
        {
            if (documents == 2)
            {
                await transaction.GetSnapshotAsync(Db.Document("sessions/two"));
            }
            return (await transaction.GetSnapshotAsync(document)).Views();
        });

        views.Should().Be(20);
    }

    [Theory, InlineData(false, true), InlineData(true, false)]
    public async Task Document_is_not_cached_if_the_commit_response_has_no_times(bool hasCommitTime, bool hasUpdateTime)
    {
        Wire.Respond = (_, _, _) => Task.FromResult<object?>(new CommitResponse
        {
            CommitTime = hasCommitTime ? At(1) : null,
            WriteResults = { new V1.WriteResult { UpdateTime = hasUpdateTime ? At(1) : null } },
        });
        await Db.CreateAsync(document);
        Wire.Respond = null;

        await Db.CountAsync(document);

        Wire.Calls.Should().Equal(Wire.Commit, Wire.Read, Wire.Commit);
    }

    [Fact]
    public void Earlier_version_does_not_replace_a_later_one()
    {
        var cache = new DocumentCache();
        cache.Store(Version("a", 2), At(2));
        cache.Store(Version("a", 1), At(1));

        cache.Find("a")!.Read()!.Found.UpdateTime.Should().Be(At(2));
    }

    [Theory, Trait("Category", "Slow"), InlineData(300, 1 << 20), InlineData(200_000, 600)]
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
        var other = database.OpenAnother();
        var random = new Random(1);

        var same = await CallsPerViewAsync("same", _ => Db);
        var either = await CallsPerViewAsync("random", _ => random.Next(2) == 0 ? Db : other);
        var alternating = await CallsPerViewAsync("alternating", view => view % 2 == 0 ? Db : other);

        same.Should().BeLessThanOrEqualTo(1.05);
        either.Should().BeLessThanOrEqualTo(2.1);
        alternating.Should().BeLessThanOrEqualTo(2.1);
    }

    [Fact]
    public async Task Document_that_is_only_read_does_not_keep_the_cache_from_being_used_again()
    {
        const int Transactions = 64;
        await Db.CountAsync(document);
        for (var i = 0; i < 30; i++)
        {
            // A stale hit.
            await DocumentOfAnotherProcess.SetAsync(new { views = 0 });
            await Db.CountAsync(document);
        }
        var onlyRead = Db.Document("settings/one");
        var before = Wire.Reads.Count;

        for (var i = 0; i < Transactions; i++)
        {
            await Db.RunTransactionAsync(async transaction =>
            {
                await transaction.GetSnapshotAsync(document);
                await transaction.GetSnapshotAsync(onlyRead);
                await transaction.CountAsync(document);
            });
        }

        (Wire.Reads.Count - before).Should().BeLessThan(2 * Transactions);
    }

    [Fact]
    public async Task Intermediate_write_of_a_transaction_is_never_read_from_the_cache()
    {
        await Db.CountAsync(document);
        var (hasResponded, isOver) = (false, false);
        Wire.AfterResponse = (method, earlier) =>
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
                await Db.CountAsync(document);
            }
        });

        await Db.RunTransactionAsync(async transaction =>
        {
            var views = (await transaction.GetSnapshotAsync(document)).Views();
            var intermediate = Enumerable.Range(0, 100).ToDictionary(i => $"field{i}", i => (object)i);
            intermediate["views"] = -1_000_000;
            for (var write = 0; write < 400; write++)
            {
                transaction.Set(document, intermediate);
            }
            transaction.Set(document, new { views = views + 1 });
        });
        isOver = true;
        await counting.WaitAsync(Patience);

        (await Db.CountAsync(document)).Should().BeGreaterThan(0);
    }

    [Fact]
    public async Task Read_that_ends_after_the_commit_was_sent_does_not_reach_the_cache()
    {
        await document.SetAsync(new { views = 1 });
        var (hasRead, isChanged) = (new TaskCompletionSource(), new TaskCompletionSource());
        Task<DocumentSnapshot>? read = null;
        Wire.AfterResponse = async (method, _) =>
        {
            if (method == Wire.Read && !isChanged.Task.IsCompleted)
            {
                hasRead.TrySetResult();
                await isChanged.Task.WaitAsync(Patience);
            }
        };
        Wire.Respond = async (method, earlier, _) =>
        {
            // Between the read and the commit another process changes the document; then the read ends.
            if (method == Wire.Commit && earlier == 1)
            {
                await hasRead.Task.WaitAsync(Patience, CancellationToken.None);
                await DocumentOfAnotherProcess.SetAsync(new { views = 100 }, cancellationToken: CancellationToken.None);
                isChanged.SetResult();
                await read!.WaitAsync(Patience, CancellationToken.None);
            }
            return null;
        };

        await Db.WriteAsync(transaction =>
        {
            read = transaction.GetSnapshotAsync(document);
            transaction.Set(document, new { more = true }, SetOptions.MergeAll);
            transaction.Set(Db.Document("sessions/two"), new { views = 1 });
        });

        (await Db.CountAsync(document)).Should().Be(101);
    }

    [Fact]
    public async Task Only_allowed_attempt_never_starts_from_the_cache()
    {
        await Db.CreateAsync(document);
        await DocumentOfAnotherProcess.SetAsync(new { views = 10 });

        var views = await Db.RunTransactionAsync(
            transaction => transaction.CountAsync(document), TransactionOptions.ForMaxAttempts(1));

        views.Should().Be(11);
    }

    [Fact]
    public async Task Only_the_first_attempt_starts_from_the_cache()
    {
        await Db.CreateAsync(document);
        await DocumentOfAnotherProcess.SetAsync(new { views = 10 });
        var attempts = 0;

        var views = await Db.RunTransactionAsync(async transaction =>
        {
            if (++attempts == 2)
            {
                await Db.CountAsync(document);
            }
            return await transaction.CountAsync(document);
        });

        (views, attempts).Should().Be((12, 2));
        Wire.Calls.Skip(2).Should().Equal(
            [Wire.Commit, Wire.Read, Wire.Commit, Wire.Read, Wire.Commit], "the second attempt ignores the cache");
    }

    /// <summary>GREETER_TEST_SEED repeats a run.</summary>
    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator), Trait("Category", "Slow")]
    public async Task Cached_document_equals_a_fresh_read_after_any_sequence_of_writes(Store store)
    {
        using var shared = await TestDatabase.OpenAsync(store);
        var random = RandomValues.CreateRandom();
        var written = shared.Db.Document("sessions/one");
        var cached = 0;

        for (var round = 0; round < (Repository.IsOnCI ? 1000 : 100); round++)
        {
            var writes = Enumerable.Range(0, random.Next(1, 5))
                .Select(_ => (Kind: Kinds[Math.Min(random.Next(4), 2)], Data: RandomData(random, depth: 0))).ToList();
            var (readsFirst, first) = (random.Next(4) > 0, RandomData(random, depth: 0));
            await shared.Db.RunTransactionAsync(async transaction =>
            {
                if (!(await (readsFirst ? transaction.GetSnapshotAsync(written) : written.GetSnapshotAsync())).Exists)
                {
                    transaction.Create(written, first);
                }
                writes.ForEach(write => write.Kind.Write(transaction, written, write.Data));
            });
            var seen = new List<DocumentSnapshot>();

            // A transaction without writes runs again on a fresh read if its first read is cached.
            await shared.Db.RunTransactionAsync(async transaction => seen.Add(await transaction.GetSnapshotAsync(written)));

            var because = $"of round {round}: {string.Join(", ", writes.Select(write => write.Kind.Name))}";
            seen[0].Exists.Should().Be(seen[^1].Exists, because);
            seen[0].Should().Be(seen[^1], because);
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
        await Db.CreateAsync(document);
        var seen = new List<DocumentSnapshot>();

        await Db.RunTransactionAsync(async transaction => seen.Add(await transaction.GetSnapshotAsync(document)));

        seen.Should().HaveCount(2);
        seen[0].ReadTime.Should().Be(seen[1].UpdateTime!.Value).And.BeLessThan(seen[1].ReadTime);
    }

    private async Task<double> CallsPerViewAsync(string prefix, Func<int, FirestoreDb> instance)
    {
        const int Views = 1000, Visitors = 50;
        var before = Wire.Calls.Count();
        for (var view = 0; view < Views; view++)
        {
            await instance(view / Visitors).CountAsync(Db.Document($"sessions/{prefix}-{view % Visitors}"));
        }
        return (double)(Wire.Calls.Count() - before) / Views;
    }

    private static ProtoTimestamp At(int seconds) => new() { Seconds = seconds };

    private static Document Version(string name, int seconds) => new() { Name = name, UpdateTime = At(seconds) };

    private static Dictionary<string, object?> RandomData(Random random, int depth)
    {
        string[] names = ["a", "b", "c.d"];
        var data = new Dictionary<string, object?>();
        for (var i = random.Next(4); i > 0; i--)
        {
            data[names[random.Next(3)]] = random.Next(depth < 2 ? 5 : 3) switch
            {
                0 => random.Next(3),
                1 => new[] { "x", "y" },
                2 => BitConverter.Int64BitsToDouble(-1), // A NaN that Firestore changes.
                _ => RandomData(random, depth + 1),
            };
        }
        return data;
    }
}
