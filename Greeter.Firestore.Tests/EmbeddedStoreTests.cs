using System.Text;
using Microsoft.Data.Sqlite;
using static Greeter.Firestore.Tests.Infrastructure.Writes;

namespace Greeter.Firestore.Tests;

/// <summary>The file of the embedded store: shared by processes, edited by hand, damaged, or gone. An acknowledged commit is never
/// lost.</summary>
[Collection(nameof(Alone))]
public sealed class EmbeddedStoreTests : IDisposable
{
    private const string Database = "projects/embedded/databases/(default)";

    private readonly TemporaryFolder folder = new();
    private readonly FakeTimeProvider clock = new(new DateTimeOffset(2026, 1, 31, 12, 0, 0, TimeSpan.Zero));

    private string FilePath => Path.Combine(folder.Path, "documents.db");

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Every_document_is_exactly_the_same_after_a_restart()
    {
        var values = new RandomValues(RandomValues.CreateRandom());
        var expected = new List<Document?>();
        using (var store = Open())
        {
            await CommitAsync(store, Set("sessions/0", ("x", Nest(20, String("there"), arrays: true)), ("y", Nest(20, Integer(1)))));
            expected.Add(await FindAsync(store, "0"));
            for (var i = 1; i < 500; i++)
            {
                var fields = values.Map(0).MapValue.Fields;
                await CommitAsync(store, Set($"sessions/{i}", [.. fields.Select(field => (field.Key, field.Value))]));
                expected.Add(await FindAsync(store, $"{i}"));
            }
            await CommitAsync(store, Delete("sessions/7"));
            expected[7] = null;
        }

        using var again = Open();

        for (var i = 0; i < expected.Count; i++)
        {
            (await FindAsync(again, $"{i}")).Should().Be(expected[i], $"document {i} is the same");
        }
    }

    [Fact]
    public async Task Row_is_readable()
    {
        using var store = Open();

        await CommitAsync(store, Set("sessions/a", ("greeting", String("Olá <Mundo>")), ("views", Integer(1))));

        Query("SELECT name, fields, create_time, update_time FROM documents").Should().Equal(
            $"{Database}/documents/sessions/a",
            """{ "greeting": { "stringValue": "Olá \u003cMundo\u003e" }, "views": { "integerValue": "1" } }""",
            "2026-01-31T12:00:00.000000Z",
            "2026-01-31T12:00:00.000000Z");
    }

    [Theory]
    [InlineData("UPDATE documents SET fields = json_set(fields, '$.views.integerValue', '41') WHERE name LIKE '%/a'", 41)]
    [InlineData("UPDATE documents SET fields = fields", 2)]
    [InlineData("UPDATE documents SET fields = replace(fields, '2', '41'), create_time = '', update_time = '2020-01-01T00:00:00Z'", 41)]
    [InlineData("UPDATE documents SET update_time = '9999-01-01T00:00:00Z'", 2)]
    [InlineData("DELETE FROM documents WHERE name LIKE '%/a'", null)]
    [InlineData("UPDATE documents SET name = replace(name, 'sessions/a', 'sessions/b')", null)]
    [InlineData("CREATE TEMP TABLE t AS SELECT * FROM documents; DELETE FROM documents; INSERT INTO documents SELECT * FROM t", 2)]
    [InlineData("REPLACE INTO documents (name, fields) SELECT name, '{\"views\": {\"integerValue\": 41}}' FROM documents", 41)]
    [InlineData("INSERT INTO documents SELECT * FROM documents WHERE true ON CONFLICT (name) DO UPDATE SET fields = fields", 2)]
    public async Task Edit_in_the_sqlite3_shell_counts_at_once(string sql, int? views)
    {
        Tool.SkipTestIf(Tool.IsOnPath("sqlite3") || Repository.IsOnCI ? null : "SQLite's shell is missing: install sqlite3.");
        using var store = Open();
        using var other = Open();
        await SetViewsAsync(store, "a", 1);
        var before = await SetViewsAsync(store, "a", 2);
        // Later than the shell's clock.
        clock.SetUtcNow(DateTimeOffset.UtcNow.AddDays(1));
        var last = await SetViewsAsync(store, "last", 1);

        await Command.RunAsync(folder.Path, "sqlite3", ["documents.db", sql]);

        foreach (var each in new[] { store, other })
        {
            (await ReadViewsAsync(each, "a")).Should().Be(views);
            (await FailAsync(() => CommitAsync(each, At(before, Set("sessions/a"))))).StatusCode
                .Should().Be(StatusCode.FailedPrecondition, "a cached document is stale");
        }
        var edited = (await FindAsync(store, "a"))?.UpdateTime;
        (edited is null || edited > last).Should().BeTrue("times never go back");
        var times = new[] { edited, await SetViewsAsync(other, "a", 3), await SetViewsAsync(store, "a", 4) };
        times.OfType<ProtoTimestamp>().Should().BeInAscendingOrder().And.OnlyHaveUniqueItems();
    }

    [Fact]
    public async Task Document_that_was_inserted_by_hand_is_served()
    {
        using var store = Open();

        Query($"INSERT INTO documents (name, fields) VALUES ('{Database}/documents/sessions/a', '{{\"views\": {{\"integerValue\": 5}}}}')");

        var document = (await FindAsync(store, "a"))!;
        document.Fields["views"].IntegerValue.Should().Be(5);
        document.CreateTime.Should().Be(document.UpdateTime);
        document.UpdateTime.ToDateTime().Should().BeCloseTo(DateTime.UtcNow, TimeSpan.FromMinutes(1));
        await CommitAsync(store, At(document.UpdateTime, Set("sessions/a", ("views", Integer(6)))));
    }

    [Fact]
    public async Task Times_rise_even_if_the_clock_stands_still_or_is_set_back_or_another_store_commits()
    {
        var times = new List<ProtoTimestamp>();
        using (var store = Open())
        {
            times.Add(await SetViewsAsync(store, "a", 1));
            times.Add(await SetViewsAsync(store, "a", 2));
            clock.Advance(TimeSpan.FromHours(1));
            times.Add(await SetViewsAsync(store, "a", 3));
            clock.AdjustTime(clock.GetUtcNow().AddHours(-2));
            using var other = Open();
            times.Add(await SetViewsAsync(other, "a", 4));
            times.Add(await SetViewsAsync(store, "b", 5));
            times.Add((await CommitAsync(store, Delete("sessions/a"), Delete("sessions/b"))).CommitTime);
            times.Add((await ReadAsync(other, "a")).ReadTime);
        }
        using (var store = Open())
        {
            times.Add(await SetViewsAsync(store, "a", 1));
            times.Add((await ReadAsync(store, "a")).ReadTime);
            clock.Advance(TimeSpan.FromHours(3));
            (await ReadAsync(store, "a")).ReadTime.ToDateTimeOffset().Should().Be(clock.GetUtcNow(), "the clock is used while it is ahead");
        }

        times.Should().BeInAscendingOrder();
        times.Distinct().Should().HaveCount(times.Count - 2, "only a read has the time of the change before it");
        (times[1] - times[0]).Nanos.Should().Be(1000, "the next microsecond is the next time");
        (times[2] - times[0]).Seconds.Should().Be(3600);
    }

    [Fact]
    public async Task Commits_of_several_stores_are_all_kept_and_see_each_other()
    {
        const int Stores = 4;
        const int Each = 100;
        await Task.WhenAll(Enumerable.Range(0, Stores).Select(_ => Task.Run(async () =>
        {
            using var store = Open();
            for (var i = 0; i < Each;)
            {
                var document = await FindAsync(store, "a");
                var write = Set("sessions/a", ("views", Integer((document?.Fields["views"].IntegerValue ?? 0) + 1)));
                try
                {
                    await CommitAsync(store, document is null ? Exists(false, write) : At(document.UpdateTime, write));
                    i++;
                }
                catch (RpcException e) when (e.StatusCode is StatusCode.FailedPrecondition or StatusCode.AlreadyExists)
                {
                    // A conflict with another store.
                }
            }
        })));

        using var last = Open();
        (await ReadViewsAsync(last, "a")).Should().Be(Stores * Each);
    }

    [Fact]
    public async Task Commit_that_fails_or_is_cancelled_does_not_affect_those_that_wait_with_it()
    {
        using var store = Open();
        using var source = new CancellationTokenSource();
        using var connection = Connect();
        Query("BEGIN IMMEDIATE", connection);
        var first = Task.Run(() => SetViewsAsync(store, "first", 1));
        await Task.Delay(100);
        var cancelled = store.CommitAsync(
            new CommitRequest { Database = Database, Writes = { Set("sessions/cancelled").In(Database) } }, source.Token);
        var failing = CommitAsync(store, Exists(true, Set("sessions/missing")));
        var last = SetViewsAsync(store, "last", 2);
        await source.CancelAsync();
        Query("ROLLBACK", connection);

        await Task.WhenAll(first, last);
        (await FailAsync(() => failing)).StatusCode.Should().Be(StatusCode.NotFound);
        await cancelled.Awaiting(task => task).Should().ThrowAsync<OperationCanceledException>();
        (await ReadViewsAsync(store, "first"), await ReadViewsAsync(store, "last")).Should().Be((1L, 2L));
        (await FindAsync(store, "cancelled")).Should().BeNull();
    }

    [Fact]
    public async Task While_another_program_locks_the_file_a_commit_fails_within_2_seconds_and_reads_work()
    {
        using var store = Open();
        await SetViewsAsync(store, "a", 1);
        using var connection = Connect();
        Query("BEGIN IMMEDIATE; UPDATE documents SET fields = fields", connection);

        var started = DateTime.UtcNow;
        var failure = await FailAsync(() => SetViewsAsync(store, "a", 2));

        (DateTime.UtcNow - started).Should().BeLessThan(TimeSpan.FromSeconds(2));
        failure.StatusCode.Should().Be(StatusCode.Unavailable);
        failure.Status.Detail.Should().Contain(FilePath).And.Contain("locked by another program");
        (await ReadViewsAsync(store, "a")).Should().Be(1);
        Query("ROLLBACK", connection);
        await SetViewsAsync(store, "a", 3);
    }

    [Theory]
    [InlineData("not a database", "not a database"), InlineData("cut off", "damaged")]
    [InlineData("overwritten in the middle", "damaged"), InlineData("another program's database", "not a database of this app")]
    [InlineData("another version's database", "not a database of this app"), InlineData("a folder", "can't be used")]
    [InlineData("in a file", "can't be used")]
    public async Task File_that_is_no_valid_database_stops_the_start_with_one_sentence(string what, string sentence)
    {
        using (var store = Open())
        {
            for (var i = 0; i < 100; i++)
            {
                await SetViewsAsync(store, $"{i}", i);
            }
        }
        // Without it, pages may still be in another file.
        Query("PRAGMA wal_checkpoint(TRUNCATE)");
        var bytes = await File.ReadAllBytesAsync(FilePath);
        switch (what)
        {
            case "not a database":
                await File.WriteAllLinesAsync(FilePath, Enumerable.Repeat("{\"commitTime\": \"2026-01-31T12:00:00Z\"}", 100));
                break;
            case "cut off":
                await File.WriteAllBytesAsync(FilePath, bytes[..(bytes.Length / 2)]);
                break;
            case "overwritten in the middle":
                bytes.AsSpan(bytes.Length / 2, 4096).Fill((byte)'x');
                await File.WriteAllBytesAsync(FilePath, bytes);
                break;
            case "another program's database":
                File.Delete(FilePath);
                Query("CREATE TABLE sessions (id)");
                break;
            case "another version's database":
                Query("ALTER TABLE documents RENAME COLUMN fields TO data");
                break;
            case "a folder":
                File.Delete(FilePath);
                Directory.CreateDirectory(FilePath);
                break;
            case "in a file":
                Directory.Delete(folder.Path, recursive: true);
                await File.WriteAllTextAsync(folder.Path, "");
                break;
        }
        var before = File.Exists(FilePath) ? await File.ReadAllBytesAsync(FilePath) : [];

        var start = Open;

        var message = start.Should().Throw<InvalidOperationException>().Which.Message;
        message.Should().StartWith(FilePath).And.Contain(sentence).And.EndWith("or set Firestore__EmbeddedFolder to another folder.");
        (File.Exists(FilePath) ? await File.ReadAllBytesAsync(FilePath) : []).Should().Equal(before, "a failed start changes nothing");
        if (what == "in a file")
        {
            File.Delete(folder.Path);
        }
    }

    public static TheoryData<string> InvalidFields =>
    [
        "garbage", "", "[]", "{} {}", """{"views": 1}""", """{"views": {}}""", """{"views": {"integerValue": "many"}}""",
        """{"views": {"unknownValue": 1}}""", """{"views": {"arrayValue": {"values": [{"arrayValue": {}}]}}}""",
        """{"__views__": {"integerValue": 1}}""", """{"views": {"stringValue": "ÿ"}}""",
    ];

    [Theory, MemberData(nameof(InvalidFields))]
    public async Task Row_that_is_not_a_valid_document_fails_alone_and_works_again_when_it_is_corrected(string fields)
    {
        using var store = Open();
        await SetViewsAsync(store, "a", 1);
        await SetViewsAsync(store, "b", 1);
        // Latin-1 makes ÿ a byte that is not valid UTF-8.
        var bytes = Convert.ToHexString(Encoding.Latin1.GetBytes(fields));
        Query($"UPDATE documents SET fields = CAST(X'{bytes}' AS TEXT) WHERE name LIKE '%/a'");

        foreach (var failure in new[] { await FailAsync(() => ReadAsync(store, "a")), await FailAsync(() => SetViewsAsync(store, "a", 2)) })
        {
            failure.StatusCode.Should().Be(StatusCode.DataLoss);
            failure.Status.Detail.Should().StartWith(FilePath).And.Contain("sessions/a' that isn't valid: ").And.EndWith("delete the row.");
        }

        await SetViewsAsync(store, "b", 2);
        Query("UPDATE documents SET fields = '{\"views\": {\"integerValue\": 3}}' WHERE name LIKE '%/a'");
        (await ReadViewsAsync(store, "a")).Should().Be(3);
    }

    [Theory, InlineData("file deleted"), InlineData("file replaced"), InlineData("folder deleted"), InlineData("log deleted")]
    public async Task While_the_file_is_not_the_one_that_was_opened_nothing_is_acknowledged(string what)
    {
        using var elsewhere = new TemporaryFolder();
        using (var store = Open())
        {
            await SetViewsAsync(store, "a", 1);
            var files = what switch { "log deleted" => "documents.db-wal", "folder deleted" => "*", _ => "documents.db" };
            foreach (var file in Directory.GetFiles(folder.Path, files))
            {
                File.Move(file, Path.Combine(elsewhere.Path, Path.GetFileName(file)));
            }
            if (what == "file replaced")
            {
                await File.WriteAllTextAsync(FilePath, "");
            }
            else if (what == "folder deleted")
            {
                Directory.Delete(folder.Path);
            }

            foreach (var call in new Func<Task>[] { () => SetViewsAsync(store, "a", 2), () => ReadAsync(store, "a") })
            {
                var failure = await FailAsync(call);
                failure.StatusCode.Should().Be(StatusCode.DataLoss);
                failure.Status.Detail.Should().StartWith($"{FilePath} was deleted or replaced").And.Contain("Put it back");
            }

            Directory.CreateDirectory(folder.Path);
            foreach (var file in Directory.GetFiles(elsewhere.Path))
            {
                File.Move(file, Path.Combine(folder.Path, Path.GetFileName(file)), overwrite: true);
            }
            (await ReadViewsAsync(store, "a")).Should().Be(1, "the commit was not acknowledged, and the file is back");
            await SetViewsAsync(store, "a", 3);
        }
        using var again = Open();
        (await ReadViewsAsync(again, "a")).Should().Be(3);
    }

    [Fact]
    public async Task After_the_file_was_deleted_the_next_start_creates_an_empty_one()
    {
        using (var store = Open())
        {
            await SetViewsAsync(store, "a", 1);
            File.Delete(FilePath);
        }

        using var again = Open();

        (await ReadViewsAsync(again, "a")).Should().BeNull();
        await SetViewsAsync(again, "a", 1);
    }

    [Fact]
    public async Task On_a_full_disk_nothing_is_lost_and_later_commits_work()
    {
        using (var store = Open())
        {
            await SetViewsAsync(store, "a", 1);
            for (var free = 0; free < 40_000; free += 3000)
            {
                using (new FileSizeLimit(new FileInfo($"{FilePath}-wal").Length + free))
                {
                    var failure = await FailAsync(() => CommitAsync(store, Set("sessions/a", ("x", String(new string('x', 200_000))))));
                    failure.StatusCode.Should().Be(StatusCode.ResourceExhausted);
                    failure.Status.Detail.Should().StartWith(FilePath).And.Contain("Make room");
                    (await ReadViewsAsync(store, "a")).Should().Be(free + 1, "a failed commit changes nothing");
                }
                await SetViewsAsync(store, "a", free + 3001);
            }
        }
        using var again = Open();
        (await ReadViewsAsync(again, "a")).Should().Be(42_001);
    }

    [Fact]
    public async Task Stores_that_start_at_the_same_time_share_one_new_file()
    {
        var path = Path.Combine(folder.Path, "new", "folder");
        var stores = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => EmbeddedFirestore.Open(path, clock))));

        for (var i = 0; i < stores.Length; i++)
        {
            await SetViewsAsync(stores[i], "a", i);
            (await ReadViewsAsync(stores[^(i + 1)], "a")).Should().Be(i);
        }

        System.Array.ForEach(stores, store => store.Dispose());
        if (!OperatingSystem.IsWindows())
        {
            const UnixFileMode OnlyUser = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            File.GetUnixFileMode(path).Should().Be(OnlyUser | UnixFileMode.UserExecute, "session IDs are like passwords");
            File.GetUnixFileMode(Path.Combine(path, "documents.db")).Should().Be(OnlyUser);
        }
    }

    private static Task<CommitResponse> CommitAsync(EmbeddedFirestore store, params Write[] writes) => store.CommitAsync(
        new CommitRequest { Database = Database, Writes = { writes.Select(write => write.In(Database)) } }, CancellationToken.None);

    private static async Task<ProtoTimestamp> SetViewsAsync(EmbeddedFirestore store, string id, long views) =>
        (await CommitAsync(store, Set($"sessions/{id}", ("views", Integer(views))))).WriteResults[0].UpdateTime;

    private static Task<BatchGetDocumentsResponse> ReadAsync(EmbeddedFirestore store, string id) => store.BatchGetDocumentsAsync(
        new BatchGetDocumentsRequest { Database = Database, Documents = { $"{Database}/documents/sessions/{id}" } },
        CancellationToken.None);

    private static async Task<Document?> FindAsync(EmbeddedFirestore store, string id) => (await ReadAsync(store, id)).Found;

    private static async Task<long?> ReadViewsAsync(EmbeddedFirestore store, string id) =>
        (await FindAsync(store, id))?.Fields["views"].IntegerValue;

    private static async Task<RpcException> FailAsync(Func<Task> call) => (await call.Should().ThrowAsync<RpcException>()).Which;

    private EmbeddedFirestore Open() => EmbeddedFirestore.Open(folder.Path, clock);

    /// <summary>Connects to the file as another program does.</summary>
    private SqliteConnection Connect()
    {
        var connection = new SqliteConnection($"Data Source={FilePath};Pooling=False");
        connection.Open();
        return connection;
    }

    private string[] Query(string sql, SqliteConnection? connection = null)
    {
        using var own = connection is null ? Connect() : null;
        using var command = new SqliteCommand(sql, connection ?? own);
        using var row = command.ExecuteReader();
        return row.Read() ? [.. Enumerable.Range(0, row.FieldCount).Select(row.GetString)] : [];
    }
}
