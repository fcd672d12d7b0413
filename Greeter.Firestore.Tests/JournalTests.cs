using System.Collections.Concurrent;
using System.Text;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Greeter.Firestore;
using Greeter.Firestore.Embedded;
using Greeter.Firestore.V1;
using static Greeter.Firestore.Tests.Infrastructure.Writes;

namespace Greeter.Firestore.Tests;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>The embedded store's file: what was acknowledged is in it, whatever happens.</summary>
[Collection(nameof(Alone))]
public sealed class JournalTests : IDisposable
{
    private const string Database = "projects/embedded/databases/(default)";

    private readonly TemporaryFolder folder = new();
    private readonly Clock clock = new();

    private string JournalPath => Path.Combine(folder.Path, "documents.jsonl");

    public void Dispose() => folder.Dispose();

    [Fact]
    public void What_was_committed_survives_a_new_start()
    {
        Timestamp updateTime;
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            updateTime = SetViews(store, "a", 2);
            SetViews(store, "b", 1);
            Commit(store, Delete("sessions/b"));
            Commit(store, Set("sessions/c", ("views", Integer(3))), Set("sessions/d", ("views", Integer(4))));
        }

        using var again = Open();

        Views(again, "a", "b", "c", "d").Should().Equal(2, null, 3, 4);
        Find(again, "a")!.UpdateTime.Should().Be(updateTime);
        Find(again, "a")!.CreateTime.Should().BeLessThan(updateTime);
    }

    [Fact]
    public void A_last_line_that_was_cut_off_at_any_byte_is_dropped()
    {
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            var greeted = Set("sessions/a", ("views", Integer(2)), ("greeting", String("Olá 😀")));
            Commit(store, greeted, Delete("sessions/b"), Set("sessions/c"));
        }
        var bytes = File.ReadAllBytes(JournalPath);
        var lastLine = bytes.AsSpan(0, bytes.Length - 1).LastIndexOf((byte)'\n') + 1;
        lastLine.Should().BePositive();

        for (var length = lastLine; length <= bytes.Length; length++)
        {
            File.WriteAllBytes(JournalPath, bytes[..length]);
            var isWhole = length >= bytes.Length - 1;
            using (var store = Open())
            {
                Views(store, "a").Should().Equal([isWhole ? 2 : 1], $"the file is cut off at byte {length} of {bytes.Length}");
                (Find(store, "c") is not null).Should().Be(isWhole, "a commit is there whole or not at all");
                SetViews(store, "a", 7);
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
    public void Another_damaged_line_stops_the_start_with_its_number(string damage)
    {
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            SetViews(store, "b", 1);
        }
        var lines = File.ReadAllLines(JournalPath);
        // Latin-1: ÿ becomes a byte that is no UTF-8.
        var damaged = Encoding.Latin1.GetBytes(damage.Replace("DB", $"{Database}/documents", StringComparison.Ordinal));
        foreach (var number in new[] { 2, 3 })
        {
            byte[][] parts = [.. lines.Select(Encoding.UTF8.GetBytes)];
            parts = [.. parts[..(number - 1)], damaged, .. parts[(number - 1)..]];
            byte[] file = [.. parts.SelectMany(line => line.Append((byte)'\n'))];
            File.WriteAllBytes(JournalPath, file);

            var start = () => Open();

            start.Should().Throw<InvalidOperationException>().WithMessage($"*documents.jsonl, line {number}, is damaged*");
            File.ReadAllBytes(JournalPath).Should().Equal(file, "nothing is lost by trying");
        }
    }

    [Fact]
    public void What_an_editor_leaves_is_read()
    {
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            SetViews(store, "b", 2);
        }
        var text = File.ReadAllText(JournalPath);
        text = $"\n  \n{text.Replace("\n", "\r\n\r\n", StringComparison.Ordinal).TrimEnd()}";
        File.WriteAllText(JournalPath, text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));

        using var again = Open();

        Views(again, "a", "b").Should().Equal(1, 2);
    }

    [Fact]
    public void What_was_edited_by_hand_is_served()
    {
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            SetViews(store, "b", 2);
            SetViews(store, "c", 3);
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
    public void Every_value_is_in_the_file_to_the_bit()
    {
        var seed = Random.Shared.Next();
        var values = new RandomValues(new Random(seed));
        using var encoder = new JournalLine();
        for (var i = 0; i < 2000; i++)
        {
            var request = new CommitRequest { Database = Database, Writes = { Expand(Set("c/a")), Expand(Delete("c/b")) } };
            request.Writes[0].Update.Fields.Add(values.Map(0).MapValue.Fields);
            DocumentRules.Check(request);
            (request.Writes[0].Update.CreateTime, request.Writes[0].Update.UpdateTime) = (Micros(i), Micros(999_999 + i));
            var entry = new JournalEntry { CommitTime = Micros(1_000_000 * i), Writes = { request.Writes } };

            var line = Encoding.UTF8.GetString(encoder.Encode(entry));

            line.Should().EndWith("\n");
            line.IndexOf('\n', StringComparison.Ordinal).Should().Be(line.Length - 1, "it is one line");
            JournalEntry.Parser.ParseJson(line).Should().Be(entry, $"value {i} of seed {seed} is the same");
            JournalEntry.Parser.ParseJson(JsonFormatter.Default.Format(entry)).Should().Be(entry, "protobuf's own writer agrees");
        }
    }

    [Fact]
    public void A_document_as_deep_as_can_be_is_read_again()
    {
        var deepest = Nest(20, String("there"), arrays: true);
        using (var store = Open())
        {
            Commit(store, Set("sessions/a", ("x", deepest), ("y", Nest(20, Integer(1)))));
        }

        using var again = Open();

        Find(again, "a")!.Fields["x"].Should().Be(deepest);
    }

    [Fact]
    public void A_start_leaves_one_line_a_document()
    {
        using (var store = Open())
        {
            File.ReadAllText(JournalPath).Should().BeEmpty("there is nothing to keep");
            for (var views = 1; views <= 100; views++)
            {
                SetViews(store, "a", views);
            }
        }
        File.ReadAllLines(JournalPath).Should().HaveCount(100);

        Open().Dispose();

        string[] line =
        [
            """{"commitTime":"2026-01-31T12:00:00.000099Z","writes":[{"update":""",
            """{"name":"DB/sessions/a","fields":{"views":{"integerValue":"100"}}""",
            ""","createTime":"2026-01-31T12:00:00Z","updateTime":"2026-01-31T12:00:00.000099Z"}}]}""",
        ];
        var text = string.Concat(line).Replace("DB", $"{Database}/documents", StringComparison.Ordinal);
        File.ReadAllText(JournalPath).Should().Be(text + "\n");
    }

    [Fact]
    public void A_long_file_is_compacted_while_it_is_used()
    {
        const int Threshold = 10_000;
        using (var store = Open(Threshold))
        {
            var longest = 0L;
            for (var views = 1; views <= 3000; views++)
            {
                SetViews(store, $"{views % 3}", views);
                longest = Math.Max(longest, new FileInfo(JournalPath).Length);
            }
            longest.Should().BeInRange(Threshold - 500, Threshold + 500);
        }
        using var again = Open();
        Views(again, "0", "1", "2").Should().Equal(3000, 2998, 2999);
    }

    [Fact]
    public void A_long_file_is_left_alone_while_a_quarter_of_it_lives()
    {
        const int Threshold = 10_000;
        using var store = Open(Threshold);
        for (var i = 0; i < 200; i++)
        {
            SetViews(store, $"{i}", 1);
            SetViews(store, $"{i}", 2);
            SetViews(store, $"{i}", 3);
        }

        new FileInfo(JournalPath).Length.Should().BeGreaterThan(3 * Threshold);
        File.ReadAllLines(JournalPath).Should().HaveCount(600);
    }

    [Fact]
    public void Documents_that_expired_more_than_a_day_ago_are_dropped()
    {
        Value In(TimeSpan time) => new() { TimestampValue = Timestamp.FromDateTimeOffset(clock.Now + time) };
        using (var store = Open())
        {
            Commit(store, Set("sessions/a", ("views", Integer(1)), ("expireAt", In(TimeSpan.FromHours(-25)))));
            Commit(store, Set("sessions/b", ("views", Integer(2)), ("expireAt", In(TimeSpan.FromHours(-23)))));
            Commit(store, Set("sessions/c", ("views", Integer(3)), ("expireAt", In(TimeSpan.FromHours(1)))));
            Commit(store, Set("sessions/d", ("views", Integer(4)), ("expireAt", String("2001-01-01T00:00:00Z"))));
            Views(store, "a").Should().Equal(1);
        }
        using (var again = Open())
        {
            Views(again, "a", "b", "c", "d").Should().Equal(null, 2, 3, 4);
        }
        File.ReadAllText(JournalPath).Should().NotContain("sessions/a");
    }

    [Fact]
    public void Large_document_among_small_ones_does_not_make_each_commit_rewrite_the_file()
    {
        using var store = Open(compactionSize: 10_000);
        var large = Set("sessions/large", ("views", Integer(1)), ("x", String(new string('x', 500_000))));
        Commit(store, [large, .. Enumerable.Range(0, 200).Select(i => Set($"sessions/{i}", ("views", Integer(1))))]);
        for (var i = 0; i < 200; i++)
        {
            SetViews(store, $"{i}", 2);
        }

        for (var views = 3; views < 20; views++)
        {
            var before = new FileInfo(JournalPath).Length;
            SetViews(store, "0", views);
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
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            SetViews(store, "b", 1);
        }
        var lines = File.ReadAllLines(JournalPath);
        lines[1] = Regex.Replace(lines[1], $"\"{field}\":( ?)\"[^\"]*\"", $"\"{field}\":$1\"{time}\"");
        lines[1].Should().Contain(time);
        File.WriteAllLines(JournalPath, lines);

        var start = () => Open();

        start.Should().Throw<InvalidOperationException>().WithMessage("*documents.jsonl, line 2, is damaged*year 9999*Fix the line*");
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
        using var store = Open();
        SetViews(store, "a", 1);
        SetViews(store, "b", 1);
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

        var commit = () => SetViews(store, "a", 2);

        for (var attempt = 0; attempt < 2; attempt++)
        {
            commit.Should().Throw<RpcException>().Where(e => e.StatusCode == StatusCode.DataLoss)
                .WithMessage($"*{JournalPath}*another program*Restart*");
        }
        Views(store, "a").Should().Equal([1], "the commit was not acknowledged");
        Directory.CreateDirectory(folder.Path);
        File.WriteAllBytes(JournalPath, bytes);
        commit();
        File.ReadAllLines(JournalPath).Should().HaveCount(3, "the file is as it was, so commits work again");
    }

    [Fact]
    public void Commit_is_in_the_file_at_the_path_although_an_editor_replaced_the_file_with_one_of_the_same_length()
    {
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            File.Copy(JournalPath, JournalPath + ".edited");
            File.Move(JournalPath + ".edited", JournalPath, overwrite: true);
            SetViews(store, "a", 2);
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

        using var store = Open();

        var document = Find(store, "a")!;
        document.Fields.Should().BeEquivalentTo(expected.Update.Fields);
        (document.CreateTime, document.UpdateTime).Should().Be(
            (new Timestamp { Seconds = 1_769_860_800 }, new Timestamp { Seconds = 1_769_860_800, Nanos = 99_000 }));
    }

    [Fact]
    public void A_start_after_a_compaction_that_was_killed_is_as_any_other()
    {
        using (var store = Open())
        {
            SetViews(store, "a", 1);
        }
        File.WriteAllText(JournalPath + ".new", "{\"commitTime\":\"2026-01-01T00:00:00Z\",\"wri");

        using var again = Open();

        Views(again, "a").Should().Equal(1);
        Directory.GetFiles(folder.Path).Select(Path.GetFileName).Should().BeEquivalentTo("documents.jsonl", "lock");
    }

    [Fact]
    public void Update_times_rise_although_the_clock_stands_still_or_is_set_back()
    {
        var times = new List<Timestamp>();
        using (var store = Open())
        {
            times.Add(SetViews(store, "a", 1));
            times.Add(SetViews(store, "a", 2));
            clock.Now += TimeSpan.FromHours(1);
            times.Add(SetViews(store, "a", 3));
            clock.Now -= TimeSpan.FromHours(2);
            times.Add(SetViews(store, "a", 4));
        }
        using (var store = Open())
        {
            times.Add(SetViews(store, "a", 5));
            times.Add(Commit(store, Delete("sessions/a")).CommitTime);
        }
        // The newest time is that of a deletion: it outlives compactions.
        Open().Dispose();
        using (var store = Open())
        {
            times.Add(SetViews(store, "a", 1));
        }

        times.Should().BeInAscendingOrder().And.OnlyHaveUniqueItems();
        (times[1] - times[0]).Nanos.Should().Be(1000, "the next microsecond is the next time");
        (times[2] - times[0]).Seconds.Should().Be(3600, "the clock counts where it can");
    }

    [Fact]
    public void A_second_opening_is_refused_and_told_what_to_set()
    {
        var store = Open();
        var second = () => Open();

        second.Should().Throw<InvalidOperationException>()
            .WithMessage($"*{folder.Path}*Firestore__EmbeddedFolder*FIRESTORE_EMULATOR_HOST*");

        SetViews(store, "a", 1);
        store.Dispose();
        using var third = Open();
        Views(third, "a").Should().Equal(1);
    }

    [Fact]
    public async Task A_second_process_is_refused_in_one_sentence()
    {
        await using var first = await GreeterProcess.StartAsync(Settings);

        var (exitCode, output) = await GreeterProcess.RunAsync(["--urls", "http://127.0.0.1:0"], Settings);

        exitCode.Should().Be(1);
        output.Should().Contain(folder.Path).And.Contain("Firestore__EmbeddedFolder").And.NotContain("   at ");
    }

    [Theory]
    [InlineData("file/below")]
    [InlineData("file")]
    [InlineData("lock is a folder")]
    [InlineData("documents.jsonl is a folder")]
    [InlineData("documents.jsonl.new is a folder")]
    public void A_folder_that_cannot_be_written_is_a_clear_error(string what)
    {
        File.WriteAllText(Path.Combine(folder.Path, "file"), "");
        if (what.EndsWith("is a folder", StringComparison.Ordinal))
        {
            Directory.CreateDirectory(Path.Combine(folder.Path, what, what.Split(' ')[0]));
        }

        var start = () => new DocumentStore(Journal.Open(Path.Combine(folder.Path, what)), clock);

        start.Should().Throw<InvalidOperationException>().WithMessage($"*{Path.Combine(folder.Path, what)}* cannot be used: *");
    }

    [Fact]
    public void On_a_full_disk_nothing_is_lost_and_later_commits_work()
    {
        using (var store = Open())
        {
            SetViews(store, "a", 1);
            for (var room = 0; room < 1000; room += 90)
            {
                using (new FileSizeLimit(new FileInfo(JournalPath).Length + room))
                {
                    var commit = () => Commit(store, Set("sessions/a", ("x", String(new string('x', 20_000)))));
                    commit.Should().Throw<RpcException>().Where(e => e.StatusCode == StatusCode.ResourceExhausted)
                        .WithMessage($"*{JournalPath} cannot be written*");
                    commit.Should().Throw<RpcException>();
                    Views(store, "a").Should().Equal([room + 1], "what failed is not there");
                }
                ReadCopy().Should().Equal(room + 1);
                // Some of these lines are shorter than what was cut off, of some a part stays behind them.
                SetViews(store, "a", room + 91);
                ReadCopy().Should().Equal(room + 91);
            }
        }
        using var again = Open();
        Views(again, "a").Should().Equal(1081);

        // What a start would find now.
        long?[] ReadCopy()
        {
            using var copy = new TemporaryFolder();
            File.Copy(JournalPath, Path.Combine(copy.Path, "documents.jsonl"));
            using var store = new DocumentStore(Journal.Open(copy.Path), clock);
            return Views(store, "a");
        }
    }

    [Fact]
    public void A_compaction_that_fails_leaves_everything_as_it_was()
    {
        const int Threshold = 5_000;
        using (var store = Open(Threshold))
        {
            Commit(store, Set("sessions/large", ("views", Integer(1)), ("x", String(new string('x', 100_000)))));
        }
        using (var store = Open(Threshold))
        {
            for (var views = 1; new FileInfo(JournalPath).Length < 400_000; views++)
            {
                Commit(store, Set("sessions/a", ("views", Integer(views)), ("x", String(new string('x', 10_000)))));
            }
        }
        var before = File.ReadAllBytes(JournalPath);

        using (new FileSizeLimit(50_000))
        {
            var start = () => Open(Threshold);
            start.Should().Throw<InvalidOperationException>().WithMessage($"{JournalPath} cannot be used: *");
        }

        File.ReadAllBytes(JournalPath).Should().Equal(before);
        File.Exists(JournalPath + ".new").Should().BeFalse();
        using var again = Open(Threshold);
        Views(again, "large").Should().Equal(1);
        before.Length.Should().BeGreaterThan((int)new FileInfo(JournalPath).Length);
    }

    [Fact]
    public void A_commit_is_acknowledged_although_the_compaction_behind_it_fails()
    {
        const int Threshold = 5_000;
        var obstacle = JournalPath + ".new";
        using (var store = Open(Threshold))
        {
            Directory.CreateDirectory(obstacle);
            for (var views = 1; views <= 100; views++)
            {
                SetViews(store, "a", views);
            }
            new FileInfo(JournalPath).Length.Should().BeGreaterThan(2 * Threshold);
            Directory.Delete(obstacle);
            for (var views = 101; views <= 300; views++)
            {
                SetViews(store, "a", views);
            }
            new FileInfo(JournalPath).Length.Should().BeLessThan(2 * Threshold, "it was tried again");
        }
        using var again = Open();
        Views(again, "a").Should().Equal(300);
    }

    [Fact]
    public async Task Commits_from_many_threads_are_all_there_and_read_whole()
    {
        const int Threads = 8;
        const int Each = 300;
        using (var store = Open(compactionSize: 20_000))
        {
            SetViews(store, "shared", 0);
            var writers = Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
            {
                for (var views = 1; views <= Each; views++)
                {
                    AddGuarded(store, $"{thread}", views);
                }
            })));
            while (!writers.IsCompleted)
            {
                var views = Views(store, ["shared", .. Enumerable.Range(0, Threads).Select(thread => $"{thread}")]);
                views.Skip(1).Sum().Should().Be(views[0], "each commit is seen whole");
            }
            await writers;
            Views(store, "shared").Should().Equal(Threads * Each);
        }
        using var again = Open();
        Views(again, "shared").Should().Equal(Threads * Each);
        Views(again, [.. Enumerable.Range(0, Threads).Select(thread => $"{thread}")]).Should().AllBeEquivalentTo(Each);
    }

    [Fact]
    public async Task No_acknowledged_view_is_lost_when_the_app_is_killed()
    {
        var acknowledged = new ConcurrentDictionary<int, (string Id, long Views)>();
        for (var round = 0; round < 3; round++)
        {
            await using var app = await GreeterProcess.StartAsync(Settings);
            using var client = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = app.Address };
            using var stop = new CancellationTokenSource();
            var enough = new TaskCompletionSource();
            var visitors = Enumerable.Range(0, 16).Select(async visitor =>
            {
                while (!stop.IsCancellationRequested)
                {
                    try
                    {
                        await ViewAsync(client, acknowledged, visitor);
                        if (acknowledged[visitor].Views > 100 * (round + 1))
                        {
                            enough.TrySetResult();
                        }
                    }
                    catch (Exception e) when (e is HttpRequestException or System.Net.Sockets.SocketException)
                    {
                        // It is dead.
                        return;
                    }
                }
            }).ToList();
            await enough.Task.WaitAsync(TimeSpan.FromSeconds(60));

            await app.KillAsync();

            await stop.CancelAsync();
            await Task.WhenAll(visitors);
        }
        await using var last = await GreeterProcess.StartAsync(Settings);
        using var lastClient = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = last.Address };
        foreach (var visitor in acknowledged.Keys)
        {
            await ViewAsync(lastClient, acknowledged, visitor);
        }
        acknowledged.Should().HaveCount(16);
    }

    private (string, string)[] Settings => [("DOTNET_ENVIRONMENT", "Development"), ("Firestore__EmbeddedFolder", folder.Path)];

    /// <summary>The number must be above all that were acknowledged; only a view whose answer was lost may lie between.</summary>
    private static async Task ViewAsync(
        HttpClient client, ConcurrentDictionary<int, (string Id, long Views)> acknowledged, int visitor)
    {
        var (id, before) = acknowledged.GetValueOrDefault(visitor);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/");
        request.Headers.Add("Cookie", $"session_id={id}");
        using var response = await client.SendAsync(request);
        var visit = await Visit.ReadAsync(response);
        visit.Views.Should().BeInRange(before + 1, before + 2);
        acknowledged[visitor] = (visit.Id!, visit.Views);
    }

    private static void AddGuarded(DocumentStore store, string own, int views)
    {
        while (true)
        {
            var shared = Find(store, "shared")!;
            var sum = shared.Fields["views"].IntegerValue;
            try
            {
                Commit(
                    store,
                    At(shared.UpdateTime, Set("sessions/shared", ("views", Integer(sum + 1)))),
                    Set($"sessions/{own}", ("views", Integer(views))));
                return;
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.FailedPrecondition)
            {
                // Another thread was faster.
            }
        }
    }

    private static Timestamp Micros(long microseconds) =>
        new() { Seconds = 1_700_000_000 + (microseconds / 1_000_000), Nanos = (int)(microseconds % 1_000_000) * 1000 };

    private static Write Expand(Write write)
    {
        var name = write.Name().Replace("DB", Database, StringComparison.Ordinal);
        return write.Update is null
            ? new Write(write) { Delete = name }
            : new Write(write) { Update = new Document(write.Update) { Name = name } };
    }

    private static CommitResponse Commit(DocumentStore store, params Write[] writes) =>
        store.Commit(new CommitRequest { Database = Database, Writes = { writes.Select(Expand) } });

    private static Timestamp SetViews(DocumentStore store, string id, long views) =>
        Commit(store, Set($"sessions/{id}", ("views", Integer(views)))).WriteResults[0].UpdateTime.Clone();

    private static Document? Find(DocumentStore store, string id) => ReadTogether(store, id)[0].Found;

    private static long?[] Views(DocumentStore store, params string[] ids) =>
        [.. ReadTogether(store, ids).Select(answer => answer.Found?.Fields["views"].IntegerValue)];

    private static List<BatchGetDocumentsResponse> ReadTogether(DocumentStore store, params string[] ids)
    {
        var names = ids.Select(id => $"{Database}/documents/sessions/{id}");
        return store.BatchGet(new BatchGetDocumentsRequest { Database = Database, Documents = { names } });
    }

    private DocumentStore Open(long compactionSize = 16 << 20) => new(Journal.Open(folder.Path), clock, compactionSize);

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
