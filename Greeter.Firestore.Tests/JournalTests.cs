using System.Text;
using System.Text.RegularExpressions;
using Greeter.Firestore;
using Greeter.Firestore.Embedded;
using Greeter.Firestore.V1;
using static Greeter.Firestore.Tests.Infrastructure.Writes;

namespace Greeter.Firestore.Tests;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>The file of the embedded store keeps every acknowledged commit.</summary>
[Collection(nameof(Alone))]
public sealed class JournalTests : IDisposable
{
    private const string Database = "projects/embedded/databases/(default)";

    private readonly TemporaryFolder folder = new();
    private readonly Clock clock = new();

    private string JournalPath => Path.Combine(folder.Path, "documents.jsonl");

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Committed_documents_survive_a_restart()
    {
        Timestamp updateTime;
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            updateTime = SetViews(documents, "a", 2);
            SetViews(documents, "b", 1);
            Commit(documents, Delete("sessions/b"));
            Commit(documents, Set("sessions/c", ("views", Integer(3))), Set("sessions/d", ("views", Integer(4))));
        }

        using var again = Open();

        Views(again, "a", "b", "c", "d").Should().Equal(2, null, 3, 4);
        Find(again, "a")!.UpdateTime.Should().Be(updateTime);
        Find(again, "a")!.CreateTime.Should().BeLessThan(updateTime);
    }

    [Fact]
    public void Last_line_that_was_cut_off_at_any_byte_is_dropped()
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            var greeted = Set("sessions/a", ("views", Integer(2)), ("greeting", String("Olá 😀")));
            Commit(documents, greeted, Delete("sessions/b"), Set("sessions/c"));
        }
        var bytes = File.ReadAllBytes(JournalPath);
        var lastLine = bytes.AsSpan(0, bytes.Length - 1).LastIndexOf((byte)'\n') + 1;
        lastLine.Should().BePositive();

        for (var length = lastLine; length <= bytes.Length; length++)
        {
            File.WriteAllBytes(JournalPath, bytes[..length]);
            var isWhole = length >= bytes.Length - 1;
            using (var documents = Open())
            {
                Views(documents, "a").Should().Equal([isWhole ? 2 : 1], $"the file is cut off at byte {length} of {bytes.Length}");
                (Find(documents, "c") is not null).Should().Be(isWhole, "a commit is applied whole or not at all");
                SetViews(documents, "a", 7);
            }
            File.ReadAllBytes(JournalPath).Should().EndWith((byte)'\n');
        }
        using var again = Open();
        Views(again, "a").Should().Equal(7);
    }

    [Theory]
    [InlineData("{\"commitTime\":")]
    [InlineData("garbage")]
    [InlineData("[]")]
    [InlineData("{\"writes\":[{}]}")]
    [InlineData("{\"writes\":[{\"unknown\":1}]}")]
    [InlineData("{\"writes\":[{\"delete\":\"sessions/a\"}]}")]
    [InlineData("{\"writes\":[{\"update\":{\"fields\":{\"views\":{\"integerValue\":\"1\"}}}}]}")]
    [InlineData("{\"writes\":[{\"update\":{\"name\":\"DB/sessions/a\",\"fields\":{\"views\":{\"integerValue\":\"many\"}}}}]}")]
    [InlineData("{\"writes\":[{\"update\":{\"name\":\"DB/sessions/a\",\"fields\":{\"views\":{}}}}]}")]
    [InlineData("{\"commitTime\":\"yesterday\"}")]
    [InlineData("{\"writes\":[]}{\"writes\":[]}")]
    [InlineData("{\"writes\":[{\"update\":{\"name\":\"DB/sessions/a\",\"fields\":{\"x\":{\"stringValue\":\"\u00ff\"}}}}]}")]
    public void Damaged_line_stops_the_start_with_its_number(string damage)
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            SetViews(documents, "b", 1);
        }
        var lines = File.ReadAllLines(JournalPath);
        // Latin-1 makes ÿ a byte that is not valid UTF-8.
        var damaged = Encoding.Latin1.GetBytes(damage.Replace("DB", $"{Database}/documents", StringComparison.Ordinal));
        foreach (var number in new[] { 2, 3 })
        {
            byte[][] parts = [.. lines.Select(Encoding.UTF8.GetBytes)];
            parts = [.. parts[..(number - 1)], damaged, .. parts[(number - 1)..]];
            byte[] file = [.. parts.SelectMany(line => line.Append((byte)'\n'))];
            File.WriteAllBytes(JournalPath, file);

            var start = () => Open();

            start.Should().Throw<InvalidOperationException>()
                .WithMessage($"*documents.jsonl, line {number}, is damaged*Fix the line*");
            File.ReadAllBytes(JournalPath).Should().Equal(file, "a failed start changes nothing");
        }
    }

    [Fact]
    public void Byte_order_mark_and_blank_lines_and_Windows_line_ends_are_allowed()
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            SetViews(documents, "b", 2);
        }
        var text = File.ReadAllText(JournalPath);
        text = $"\n  \n{text.Replace("\n", "\r\n\r\n", StringComparison.Ordinal).TrimEnd()}";
        File.WriteAllText(JournalPath, text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));

        using var again = Open();

        Views(again, "a", "b").Should().Equal(1, 2);
    }

    [Fact]
    public void Documents_that_were_edited_by_hand_are_served()
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            SetViews(documents, "b", 2);
            SetViews(documents, "c", 3);
        }
        var lines = File.ReadAllLines(JournalPath).ToList();
        lines.RemoveAll(line => line.Contains("sessions/b", StringComparison.Ordinal));
        lines[0] = lines[0].Replace("\"1\"", "\"41\"", StringComparison.Ordinal);
        const string Added = """{ "writes": [{ "update": { "name": "DB/sessions/d", "fields": {"views":{"integerValue":5}},"""
            + """ "createTime": "2020-01-01T00:00:00.123456789Z" }}]}""";
        lines.Add(Added.Replace("DB", $"{Database}/documents", StringComparison.Ordinal));
        File.WriteAllLines(JournalPath, lines);

        using var again = Open();

        Views(again, "a", "b", "c", "d").Should().Equal(41, null, 3, 5);
        Find(again, "d")!.UpdateTime.Should().BeGreaterThan(Find(again, "c")!.UpdateTime, "it is newer than all before");
        Find(again, "d")!.CreateTime.Nanos.Should().Be(123_456_000, "Firestore's times are in microseconds");
        foreach (var name in new[] { "a", "d" })
        {
            Commit(again, At(Find(again, name)!.UpdateTime, Set($"sessions/{name}", ("views", Integer(6)))));
        }
        Views(again, "a", "d").Should().Equal(6, 6);
    }

    [Fact]
    public void Every_value_is_exactly_the_same_after_a_restart()
    {
        var seed = Random.Shared.Next();
        var values = new RandomValues(new Random(seed));
        var expected = new List<Document>();
        using (var documents = Open())
        {
            for (var i = 0; i < 2000; i++)
            {
                Commit(documents, Set($"sessions/{i}", [.. values.Map(0).MapValue.Fields.Select(field => (field.Key, field.Value))]));
                expected.Add(Find(documents, $"{i}")!.Clone());
            }
        }
        File.ReadAllLines(JournalPath).Should().HaveCount(2000, "a commit is one line");

        using var again = Open();

        for (var i = 0; i < 2000; i++)
        {
            Find(again, $"{i}").Should().Be(expected[i], $"value {i} of seed {seed} is the same");
        }
    }

    [Fact]
    public void Document_of_the_greatest_depth_survives_a_restart()
    {
        var deepest = Nest(20, String("there"), arrays: true);
        using (var documents = Open())
        {
            Commit(documents, Set("sessions/a", ("x", deepest), ("y", Nest(20, Integer(1)))));
        }

        using var again = Open();

        Find(again, "a")!.Fields["x"].Should().Be(deepest);
    }

    [Fact]
    public void Start_compacts_the_file_to_one_line_a_document()
    {
        using (var documents = Open())
        {
            File.ReadAllText(JournalPath).Should().BeEmpty("there are no documents");
            for (var views = 1; views <= 100; views++)
            {
                SetViews(documents, "a", views);
            }
        }
        File.ReadAllLines(JournalPath).Should().HaveCount(100);

        Open().Dispose();

        var text = """
            { "commitTime": "2026-01-31T12:00:00.000099Z", "writes": [ { "update":
             { "name": "DB/sessions/a", "fields": { "views": { "integerValue": "100" } },
             "createTime": "2026-01-31T12:00:00Z", "updateTime": "2026-01-31T12:00:00.000099Z" } } ] }
            """.ReplaceLineEndings("").Replace("DB", $"{Database}/documents", StringComparison.Ordinal);
        File.ReadAllText(JournalPath).Should().Be(text + "\n");
    }

    [Fact]
    public void Long_file_is_compacted_while_it_is_in_use()
    {
        const int Threshold = 10_000;
        using (var documents = Open(Threshold))
        {
            var longest = 0L;
            for (var views = 1; views <= 3000; views++)
            {
                SetViews(documents, $"{views % 3}", views);
                longest = Math.Max(longest, new FileInfo(JournalPath).Length);
            }
            longest.Should().BeInRange(Threshold - 500, Threshold + 500);
        }
        using var again = Open();
        Views(again, "0", "1", "2").Should().Equal(3000, 2998, 2999);
    }

    [Fact]
    public void Compactions_get_rarer_as_the_documents_grow()
    {
        using var documents = Open(compactionSize: 1_000);
        var (compactions, length) = (0, 0L);
        for (var i = 0; i < 1000; i++)
        {
            SetViews(documents, $"{i / 2}", i);
            var longer = new FileInfo(JournalPath).Length;
            compactions += longer < length ? 1 : 0;
            length = longer;
        }

        compactions.Should().BeInRange(3, 12, "the length doubles from one to the next");
    }

    [Fact]
    public void Large_document_among_small_ones_does_not_make_each_commit_rewrite_the_file()
    {
        using var documents = Open(compactionSize: 10_000);
        var large = Set("sessions/large", ("views", Integer(1)), ("x", String(new string('x', 500_000))));
        Commit(documents, [large, .. Enumerable.Range(0, 200).Select(i => Set($"sessions/{i}", ("views", Integer(1))))]);
        for (var i = 0; i < 200; i++)
        {
            SetViews(documents, $"{i}", 2);
        }

        for (var views = 3; views < 20; views++)
        {
            var before = new FileInfo(JournalPath).Length;
            SetViews(documents, "0", views);
            new FileInfo(JournalPath).Length.Should().BeGreaterThan(before, "a commit appends a line");
        }
    }

    [Theory]
    [InlineData("commitTime", "9999-01-01T00:00:00Z")]
    [InlineData("commitTime", "9999-12-31T23:59:59.999999Z")]
    [InlineData("updateTime", "9999-12-31T23:59:59.999998Z")]
    [InlineData("createTime", "9999-12-31T23:59:59.999999999Z")]
    public void Time_that_leaves_no_room_for_later_commits_stops_the_start_with_the_line(string field, string time)
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            SetViews(documents, "b", 1);
        }
        var lines = File.ReadAllLines(JournalPath);
        lines[1] = Regex.Replace(lines[1], $"\"{field}\":( ?)\"[^\"]*\"", $"\"{field}\":$1\"{time}\"");
        lines[1].Should().Contain(time);
        File.WriteAllLines(JournalPath, lines);

        var start = () => Open();

        start.Should().Throw<InvalidOperationException>()
            .WithMessage("*documents.jsonl, line 2, is damaged*year 9999*Fix the line*");
        File.ReadAllLines(JournalPath).Should().Equal(lines);
    }

    [Theory]
    [InlineData("deleted")]
    [InlineData("deleted with its folder")]
    [InlineData("emptied")]
    [InlineData("shortened")]
    [InlineData("grown")]
    [InlineData("replaced")]
    public void Commit_fails_while_the_file_is_not_the_one_that_the_process_wrote(string change)
    {
        using var documents = Open();
        SetViews(documents, "a", 1);
        SetViews(documents, "b", 1);
        var bytes = File.ReadAllBytes(JournalPath);
        switch (change)
        {
            case "deleted":
                File.Delete(JournalPath);
                break;
            case "deleted with its folder":
                Directory.Delete(folder.Path, recursive: true);
                break;
            case "emptied":
                File.WriteAllText(JournalPath, "");
                break;
            case "shortened":
                File.WriteAllBytes(JournalPath, bytes[..^1]);
                break;
            case "grown":
                File.AppendAllText(JournalPath, "\n");
                break;
            case "replaced":
                File.WriteAllBytes(JournalPath + ".edited", [.. bytes, (byte)'\n']);
                File.Move(JournalPath + ".edited", JournalPath, overwrite: true);
                break;
        }

        var commit = () => SetViews(documents, "a", 2);

        for (var attempt = 0; attempt < 2; attempt++)
        {
            commit.Should().Throw<RpcException>().Where(e => e.StatusCode == StatusCode.DataLoss)
                .WithMessage($"*{JournalPath}*another program*Restart*");
        }
        Views(documents, "a").Should().Equal([1], "the commit was not acknowledged");
        Directory.CreateDirectory(folder.Path);
        File.WriteAllBytes(JournalPath, bytes);
        commit();
        File.ReadAllLines(JournalPath).Should().HaveCount(3, "the file is as it was, so commits work again");
    }

    [Fact]
    public void Commit_is_in_the_file_at_the_path_although_an_editor_replaced_the_file_with_one_of_the_same_length()
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            File.Copy(JournalPath, JournalPath + ".edited");
            File.Move(JournalPath + ".edited", JournalPath, overwrite: true);
            SetViews(documents, "a", 2);
        }

        using var again = Open();

        Views(again, "a").Should().Equal(2);
    }

    [Fact]
    public void File_in_compact_json_is_read()
    {
        const string Lines = """
            {"commitTime":"2026-01-31T12:00:00Z","writes":[
              {"update":{"name":"DB/sessions/a","fields":{"views":{"integerValue":"1"}},
              "createTime":"2026-01-31T12:00:00Z","updateTime":"2026-01-31T12:00:00Z"}},{"delete":"DB/sessions/b"}]}
            {"commitTime":"2026-01-31T12:00:00.000099Z","writes":[{"update":{"name":"DB/sessions/a","fields":{
              "views":{"integerValue":"2"},"greeting":{"stringValue":"Olá <\"日本\"> 😀"},"n":{"nullValue":null},
              "b":{"booleanValue":true},"d":{"doubleValue":-0},"inf":{"doubleValue":"-Infinity"},"e":{"doubleValue":5E-324},
              "t":{"timestampValue":"1969-12-31T23:59:59.123456Z"},"y":{"bytesValue":"AAoN/w=="},
              "r":{"referenceValue":"DB/sessions/b"},"p":{"geoPointValue":{"latitude":1.5,"longitude":-2}},
              "l":{"arrayValue":{"values":[{"integerValue":"3"},{"mapValue":{"fields":{}}}]}}},
              "createTime":"2026-01-31T12:00:00Z","updateTime":"2026-01-31T12:00:00.000099Z"}}]}

            """;
        var compact = Lines.Replace("\n  ", "", StringComparison.Ordinal);
        File.WriteAllText(JournalPath, compact.Replace("DB", $"{Database}/documents", StringComparison.Ordinal));
        var expected = Set(
            "sessions/a",
            ("views", Integer(2)), ("greeting", String("Olá <\"日本\"> 😀")), ("n", Null()), ("b", new() { BooleanValue = true }),
            ("d", Double(-0.0)), ("inf", Double(double.NegativeInfinity)), ("e", Double(double.Epsilon)),
            ("t", Time(-1, 123_456_000)), ("y", Bytes(0, 10, 13, 255)),
            ("r", Reference($"{Database}/documents/sessions/b")), ("p", Point(1.5, -2)), ("l", Array(Integer(3), Map())));

        using var documents = Open();

        var document = Find(documents, "a")!;
        document.Fields.Should().BeEquivalentTo(expected.Update.Fields);
        (document.CreateTime, document.UpdateTime).Should().Be(
            (new Timestamp { Seconds = 1_769_860_800 }, new Timestamp { Seconds = 1_769_860_800, Nanos = 99_000 }));
    }

    [Fact]
    public void Compaction_that_was_killed_leaves_nothing_behind_after_a_restart()
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
        }
        File.WriteAllText(JournalPath + ".new", "{\"commitTime\":\"2026-01-01T00:00:00Z\",\"wri");

        using var again = Open();

        Views(again, "a").Should().Equal(1);
        Directory.GetFiles(folder.Path).Select(Path.GetFileName).Should().BeEquivalentTo("documents.jsonl", "lock");
    }

    [Fact]
    public void Update_times_rise_even_if_the_clock_stands_still_or_is_set_back()
    {
        var times = new List<Timestamp>();
        using (var documents = Open())
        {
            times.Add(SetViews(documents, "a", 1));
            times.Add(SetViews(documents, "a", 2));
            clock.Now += TimeSpan.FromHours(1);
            times.Add(SetViews(documents, "a", 3));
            clock.Now -= TimeSpan.FromHours(2);
            times.Add(SetViews(documents, "a", 4));
        }
        using (var documents = Open())
        {
            times.Add(SetViews(documents, "a", 5));
            times.Add(Commit(documents, Delete("sessions/a")).CommitTime);
        }
        // The newest time is that of a deletion, and survives compactions.
        Open().Dispose();
        using (var documents = Open())
        {
            times.Add(SetViews(documents, "a", 1));
        }

        times.Should().BeInAscendingOrder().And.OnlyHaveUniqueItems();
        (times[1] - times[0]).Nanos.Should().Be(1000, "the next microsecond is the next time");
        (times[2] - times[0]).Seconds.Should().Be(3600, "the clock is used while it is ahead");
    }

    [Fact]
    public void Read_time_is_the_current_time_but_never_before_the_last_commit()
    {
        using var documents = Open();
        ReadTogether(documents, "a")[0].ReadTime.ToDateTimeOffset().Should().Be(clock.Now);
        clock.Now += TimeSpan.FromHours(1);
        var commitTime = SetViews(documents, "a", 1);

        clock.Now += TimeSpan.FromHours(1);
        ReadTogether(documents, "a")[0].ReadTime.ToDateTimeOffset().Should().Be(clock.Now);

        clock.Now -= TimeSpan.FromHours(2);
        ReadTogether(documents, "a")[0].ReadTime.Should().Be(commitTime);
    }

    [Fact]
    public void Second_process_cannot_open_the_folder_and_is_told_what_to_set()
    {
        var documents = Open();
        var second = () => Open();

        second.Should().Throw<InvalidOperationException>()
            .WithMessage($"*{folder.Path}*Firestore__EmbeddedFolder*FIRESTORE_EMULATOR_HOST*");

        SetViews(documents, "a", 1);
        documents.Dispose();
        using var third = Open();
        Views(third, "a").Should().Equal(1);
    }

    [Theory]
    [InlineData("file/below")]
    [InlineData("file")]
    [InlineData("lock is a folder")]
    [InlineData("documents.jsonl is a folder")]
    [InlineData("documents.jsonl.new is a folder")]
    public void Folder_that_cannot_be_written_is_a_clear_error(string what)
    {
        File.WriteAllText(Path.Combine(folder.Path, "file"), "");
        if (what.EndsWith("is a folder", StringComparison.Ordinal))
        {
            Directory.CreateDirectory(Path.Combine(folder.Path, what, what.Split(' ')[0]));
        }

        var start = () => new DocumentStore(Journal.Open(Path.Combine(folder.Path, what)), clock);

        start.Should().Throw<InvalidOperationException>().WithMessage($"*{Path.Combine(folder.Path, what)}* can't be used: *");
    }

    [Fact]
    public void On_a_full_disk_nothing_is_lost_and_later_commits_work()
    {
        using (var documents = Open())
        {
            SetViews(documents, "a", 1);
            for (var free = 0; free < 1000; free += 90)
            {
                using (new FileSizeLimit(new FileInfo(JournalPath).Length + free))
                {
                    var commit = () => Commit(documents, Set("sessions/a", ("x", String(new string('x', 20_000)))));
                    commit.Should().Throw<RpcException>().Where(e => e.StatusCode == StatusCode.ResourceExhausted)
                        .WithMessage($"*{JournalPath} can't be written*");
                    commit.Should().Throw<RpcException>();
                    Views(documents, "a").Should().Equal([free + 1], "a failed commit changes nothing");
                }
                ReadCopy().Should().Equal(free + 1);
                SetViews(documents, "a", free + 91);
                ReadCopy().Should().Equal(free + 91);
            }
        }
        using var again = Open();
        Views(again, "a").Should().Equal(1081);

        // Reads the documents that a restart would load.
        long?[] ReadCopy()
        {
            using var copy = new TemporaryFolder();
            File.Copy(JournalPath, Path.Combine(copy.Path, "documents.jsonl"));
            using var documents = new DocumentStore(Journal.Open(copy.Path), clock);
            return Views(documents, "a");
        }
    }

    [Fact]
    public void Failed_compaction_leaves_the_file_as_it_was()
    {
        const int Threshold = 5_000;
        using (var documents = Open(Threshold))
        {
            Commit(documents, Set("sessions/large", ("views", Integer(1)), ("x", String(new string('x', 100_000)))));
        }
        using (var documents = Open(Threshold))
        {
            for (var views = 1; new FileInfo(JournalPath).Length < 400_000; views++)
            {
                Commit(documents, Set("sessions/a", ("views", Integer(views)), ("x", String(new string('x', 10_000)))));
            }
        }
        var before = File.ReadAllBytes(JournalPath);

        using (new FileSizeLimit(50_000))
        {
            var start = () => Open(Threshold);
            start.Should().Throw<InvalidOperationException>().WithMessage($"{JournalPath} can't be used: *");
        }

        File.ReadAllBytes(JournalPath).Should().Equal(before);
        File.Exists(JournalPath + ".new").Should().BeFalse();
        using var again = Open(Threshold);
        Views(again, "large").Should().Equal(1);
        before.Length.Should().BeGreaterThan((int)new FileInfo(JournalPath).Length);
    }

    [Fact]
    public void Commit_is_acknowledged_although_the_compaction_after_it_fails()
    {
        const int Threshold = 5_000;
        var obstacle = JournalPath + ".new";
        using (var documents = Open(Threshold))
        {
            Directory.CreateDirectory(obstacle);
            for (var views = 1; views <= 100; views++)
            {
                SetViews(documents, "a", views);
            }
            new FileInfo(JournalPath).Length.Should().BeGreaterThan(2 * Threshold);
            Directory.Delete(obstacle);
            for (var views = 101; views <= 300; views++)
            {
                SetViews(documents, "a", views);
            }
            new FileInfo(JournalPath).Length.Should().BeLessThan(2 * Threshold, "the compaction was tried again");
        }
        using var again = Open();
        Views(again, "a").Should().Equal(300);
    }

    [Fact]
    public async Task Commits_of_many_threads_are_all_kept_and_never_read_in_part()
    {
        const int Threads = 8;
        const int Each = 300;
        using (var documents = Open(compactionSize: 20_000))
        {
            SetViews(documents, "shared", 0);
            var writers = Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
            {
                for (var views = 1; views <= Each; views++)
                {
                    AddOptimistically(documents, $"{thread}", views);
                }
            })));
            while (!writers.IsCompleted)
            {
                var views = Views(documents, ["shared", .. Enumerable.Range(0, Threads).Select(thread => $"{thread}")]);
                views.Skip(1).Sum().Should().Be(views[0], "a read sees whole commits");
            }
            await writers;
            Views(documents, "shared").Should().Equal(Threads * Each);
        }
        using var again = Open();
        Views(again, "shared").Should().Equal(Threads * Each);
        Views(again, [.. Enumerable.Range(0, Threads).Select(thread => $"{thread}")]).Should().AllBeEquivalentTo(Each);
    }

    private static void AddOptimistically(DocumentStore documents, string own, int views)
    {
        while (true)
        {
            var shared = Find(documents, "shared")!;
            var sum = shared.Fields["views"].IntegerValue;
            try
            {
                Commit(
                    documents,
                    At(shared.UpdateTime, Set("sessions/shared", ("views", Integer(sum + 1)))),
                    Set($"sessions/{own}", ("views", Integer(views))));
                return;
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.FailedPrecondition)
            {
                // A conflict with another thread.
            }
        }
    }

    private static Write Expand(Write write)
    {
        var name = write.Name().Replace("DB", Database, StringComparison.Ordinal);
        return write.Update is null
            ? new Write(write) { Delete = name }
            : new Write(write) { Update = new Document(write.Update) { Name = name } };
    }

    private static CommitResponse Commit(DocumentStore documents, params Write[] writes) =>
        documents.Commit(new CommitRequest { Database = Database, Writes = { writes.Select(Expand) } });

    private static Timestamp SetViews(DocumentStore documents, string id, long views) =>
        Commit(documents, Set($"sessions/{id}", ("views", Integer(views)))).WriteResults[0].UpdateTime.Clone();

    private static Document? Find(DocumentStore documents, string id) => ReadTogether(documents, id)[0].Found;

    private static long?[] Views(DocumentStore documents, params string[] ids) =>
        [.. ReadTogether(documents, ids).Select(response => response.Found?.Fields["views"].IntegerValue)];

    private static List<BatchGetDocumentsResponse> ReadTogether(DocumentStore documents, params string[] ids)
    {
        var names = ids.Select(id => $"{Database}/documents/sessions/{id}");
        return documents.BatchGet(new BatchGetDocumentsRequest { Database = Database, Documents = { names } });
    }

    private DocumentStore Open(long compactionSize = 16 << 20) => new(Journal.Open(folder.Path), clock, compactionSize);

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
