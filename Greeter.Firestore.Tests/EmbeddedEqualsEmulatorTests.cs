using static Greeter.Firestore.Tests.Infrastructure.Writes;

namespace Greeter.Firestore.Tests;

using Step = Func<RawDatabase, Task<string>>;
/// <summary>The embedded store gives the same responses as Google's emulator, statuses and update times included.</summary>
[Trait("Category", "Slow")]
public sealed class EmbeddedEqualsEmulatorTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Kinds => ["names", "fields", "values", "masks", "preconditions", "commits"];

    [Theory, MemberData(nameof(Kinds))]
    public async Task Both_give_the_same_responses_in_special_cases(string kind) => await CompareAsync(kind switch
    {
        "names" => NameCases(),
        "fields" => FieldCases(),
        "values" => ValueCases(),
        "masks" => MaskCases(),
        "preconditions" => PreconditionCases(),
        _ => CommitCases(),
    });

    /// <summary>GREETER_TEST_SEED repeats a run, GREETER_TEST_OPERATIONS makes it longer or shorter.</summary>
    [Fact]
    public async Task Random_operations_have_the_same_effect()
    {
        var operations = new RandomOperations(RandomValues.CreateRandom());
        var project = Emulator.NewProject();
        using var embedded = RawDatabase.OpenEmbedded(project, folder.Path);
        using var emulator = await RawDatabase.OpenEmulatorAsync(project);
        var kinds = new HashSet<string>();

        for (var i = 0; i < (RandomValues.ReadSetting("GREETER_TEST_OPERATIONS") ?? (Repository.IsOnCI ? 4000 : 1000)); i++)
        {
            var (name, step) = operations.Next();
            var expected = await step(emulator);
            (await step(embedded)).Should().Be(expected, $"operation {i}, {name}, has the same effect");
            kinds.Add($"{name.Split(' ')[0]} {(Enum.TryParse<StatusCode>(expected, out var status) ? status : StatusCode.OK)}");
        }

        kinds.Should().Contain(["get OK", "commit OK", "commit FailedPrecondition"]);
        var everything = RandomOperations.Paths.ToArray();
        (await embedded.GetAsync(everything)).Should().Be(await emulator.GetAsync(everything));
    }

    /// <summary>By the documentation, Firestore refuses names that the emulator accepts.</summary>
    [Fact]
    public async Task Document_of_another_database_is_refused_as_documented()
    {
        using var database = RawDatabase.OpenEmbedded("mine", folder.Path);

        (await database.GetAsync("DB", ["projects/other/databases/(default)/documents/c/a"])).Should().Be("InvalidArgument");
        (await database.CommitAsync(new Write { Delete = "DBx/documents/c/a" })).Should().Be("InvalidArgument");
        (await database.GetAsync("DB", ["DB/documents/c/a"])).Should().EndWith("is missing");
    }

    private async Task CompareAsync(IEnumerable<(string Name, Step[] Steps)> cases)
    {
        var differences = new List<string>();
        var results = new HashSet<string>();
        var access = new Lock();
        await Parallel.ForEachAsync(cases, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (each, _) =>
        {
            var project = Emulator.NewProject();
            using var embedded = RawDatabase.OpenEmbedded(project, Path.Combine(folder.Path, project));
            using var emulator = await RawDatabase.OpenEmulatorAsync(project);
            foreach (var step in each.Steps.Append(database => database.GetAsync("c/a")))
            {
                var (expected, actual) = (await step(emulator), await step(embedded));
                lock (access)
                {
                    results.Add(expected);
                    if (actual != expected)
                    {
                        differences.Add($"{each.Name}: {Cut(expected)} from the emulator, {Cut(actual)} from the embedded store");
                    }
                }
            }
        });
        differences.Should().BeEmpty();
        results.Should().Contain("t1").And.Contain("InvalidArgument", "successes and failures were compared");
    }

    private static string Cut(string text) => text.Length < 300 ? text : $"{text[..300]}…";

    private static IEnumerable<(string, Step[])> NameCases()
    {
        string[] names =
        [
            "", "garbage", "DB", "DB/documents", "DB/documents/", "DBx/documents/c/a", "/DB/documents/c/a", "DB/documentsx/c/a",
            "projects//databases/(default)/documents/c/a", "projects/p/databases//documents/c/a",
            "DB/documents/c", "DB/documents/c/a/b", "DB/documents/c/", "DB/documents//a", "DB/documents/c//a/b",
            "DB/documents/c/a/",
            "DB/documents/c/.", "DB/documents/c/..", "DB/documents/./a", "DB/documents/../a", "DB/documents/c/...",
            "DB/documents/c/__x__", "DB/documents/__x__/a", "DB/documents/c/__x", "DB/documents/c/__", "DB/documents/c/___",
            "DB/documents/c/____", "DB/documents/c/_____", "DB/documents/c/__\n__", "DB/documents/c/__id__",
            "DB/documents/c/__id7__", "DB/documents/c/__id-7__", "DB/documents/c/__id0__", "DB/documents/__id7__/a",
            "DB/documents/c/__id99999999999999999999__",
            "DB/documents/c/ ", "DB/documents/c/*", "DB/documents/c/a\0b", "DB/documents/c/日本😀", "DB/documents/c/a/d/b",
            $"DB/documents/c/{new string('a', 1500)}", $"DB/documents/c/{new string('a', 1501)}",
            $"DB/documents/c/{new string('é', 750)}", $"DB/documents/c/{new string('é', 751)}",
            $"DB/documents/{new string('a', 1501)}/a",
            $"DB/documents/{string.Join('/', Enumerable.Repeat("c/a", 100))}",
            $"DB/documents/{string.Join('/', Enumerable.Repeat("c/a", 101))}",
        ];
        foreach (var name in names.Where(name => !name.StartsWith("DBx", StringComparison.Ordinal)))
        {
            yield return ($"the document's name {Cut(name)}",
            [
                database => database.GetAsync("DB", [name]),
                database => database.CommitAsync(new Write { Update = new Document { Name = name } }),
                database => database.GetAsync("DB", [name]),
                database => database.CommitAsync(new Write { Delete = name }),
                database => database.GetAsync("DB", [name]),
            ]);
        }
        foreach (var name in names)
        {
            yield return ($"a reference to {Cut(name)}", [Commit(Set("c/a", ("x", Reference(name))))]);
        }
        string[] databases =
            ["", "garbage", "projects/p", "projects//databases/d", "projects/p/databases/", "DB/documents", "DB/", "DB/x"];
        foreach (var name in databases)
        {
            yield return ($"the database {name}",
                [database => database.GetAsync(name, []), database => database.GetAsync(name, ["DB/documents/c/a"])]);
        }
        yield return ("a document twice in a read", [Commit(Set("c/a")), Get("c/a", "c/b", "c/a", "c/b")]);
        yield return ("a bad name among good ones",
            [Commit(Set("c/a")), database => database.GetAsync("DB", ["DB/documents/c/a", "bad"])]);
    }

    private static IEnumerable<(string, Step[])> FieldCases()
    {
        string[] names =
        [
            "", "__x__", "____", "_____", "___", "__", "__name__", "__\n__", "a.b", "a`b", "a\\b", "a/b", "a\0b", "*~[]", " ",
            "1", "日本😀", new('a', 1496), new('a', 1497), new('a', 1498), new('a', 1499), new('a', 1500), new('a', 1501),
            new('é', 749), new('é', 750),
        ];
        foreach (var name in names)
        {
            var escaped = name.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("`", "\\`", StringComparison.Ordinal);
            var quoted = $"`{escaped}`";
            yield return ($"field {Cut(name)}", [Commit(Set("c/a", (name, Integer(1))))]);
            yield return ($"field {Cut(name)} in a map", [Commit(Set("c/a", ("m", Map((name, Integer(1))))))]);
            yield return ($"field {Cut(name)} around a map", [Commit(Set("c/a", (name, Map(("m", Map())))))]);
            yield return ($"field {Cut(name)} in an array", [Commit(Set("c/a", ("m", Array(Map((name, Integer(1)))))))]);
            yield return ($"mask {Cut(name)}", [Commit(Merge("c/a", [quoted], (name, Integer(1))))]);
            yield return ($"mask {Cut(name)} in a map", [Commit(Merge("c/a", [$"m.{quoted}"], ("m", Map((name, Integer(1))))))]);
            yield return ($"mask {Cut(name)} in a map, unset", [Commit(Merge("c/a", [$"m.{quoted}"]))]);
        }
        string[] paths =
        [
            "", ".", "a.", ".a", "a..b", "1", "a1", "_", "_1", "a-b", "a b", "é", "*", "a\\b", "a[0]", "`a", "a`", "`a`b",
            "`a``b`", "`a`.b", "`a\\x`", "`a\\\\b`", "`a\\`b`", "`a\\", "`a\\`", "a.`b", "``", "a.``", "``.a", "`\n`",
            "`a`.`b.c`", "a.b", "`a.b`", "a.b.", "a.b.c",
        ];
        foreach (var path in paths)
        {
            var map = Map(("b", Integer(1)), ("b.c", Integer(2)));
            yield return ($"mask path {path}",
                [Commit(Merge("c/a", [path], ("a", map), ("ab", Integer(3)), ("a.b", Integer(4))))]);
        }
        yield return ("reserved field outside the mask", [Commit(Merge("c/a", ["x"], ("__x__", Integer(1))))]);
        for (var depth = 18; depth <= 22; depth++)
        {
            var path = string.Join('.', Enumerable.Repeat("m", depth));
            yield return ($"mask path of {depth}", [Commit(Merge("c/a", [path], ("m", Nest(depth - 1, Integer(1)))))]);
            yield return ($"mask path of {depth}, unset", [Commit(Merge("c/a", [path]))]);
        }
    }

    private static IEnumerable<(string, Step[])> ValueCases()
    {
        var values = new Dictionary<string, Value>
        {
            ["of no type"] = new(),
            ["of no type in an array"] = Array(new Value()),
            ["of no type in a map"] = Map(("y", new Value())),
            ["array in an array"] = Array(Array(Integer(1))),
            ["empty array in an array"] = Array(Array()),
            ["array in a map in an array"] = Array(Map(("y", Array(Integer(1))))),
            ["latitude 90"] = Point(90, -180),
            ["latitude 90.1"] = Point(90.1, 0),
            ["latitude NaN"] = Point(double.NaN, 0),
            ["longitude -180.1"] = Point(0, -180.1),
            ["empty point"] = new() { GeoPointValue = new LatLng() },
            ["infinity"] = Double(double.PositiveInfinity),
            ["negative infinity"] = Double(double.NegativeInfinity),
            ["epsilon"] = Double(double.Epsilon),
            ["another NaN"] = Double(BitConverter.Int64BitsToDouble(-1)),
            ["bytes"] = Bytes(0, 10, 13, 255),
            ["string"] = String("a\0\r\n\"\\\u2028\ud83d\ude00é"),
            ["nanoseconds of a whole second"] = Time(1, 1_000_000_000),
            ["negative nanoseconds"] = Time(1, -1),
            ["first time"] = Time(-62_135_596_800, 0),
            ["time before that"] = Time(-62_135_596_801, 0),
            ["last time"] = Time(253_402_300_799, 999_999_999),
            ["time after that"] = Time(253_402_300_800, 0),
            ["time before 1970"] = Time(-1, 123_456_999),
            ["longest string"] = String(new string('a', 1_048_487)),
            ["too long string"] = String(new string('a', 1_048_488)),
            ["too long string in other letters"] = String(new string('é', 524_244)),
            ["too long string in a map"] = Map(("y", String(new string('a', 1_048_488)))),
            ["longest bytes"] = new() { BytesValue = ByteString.CopyFrom(new byte[1_048_487]) },
            ["too long bytes"] = new() { BytesValue = ByteString.CopyFrom(new byte[1_048_488]) },
        };
        foreach (var (name, value) in values)
        {
            yield return ($"value {name}", [Commit(Set("c/a", ("x", value))), Commit(Merge("c/a", ["x"], ("x", value)))]);
        }
        for (var depth = 18; depth <= 22; depth++)
        {
            foreach (var leaf in new[] { Integer(1), Map(), Array(), Array(Integer(1)), Point(1, 2), Time(1, 0) })
            {
                yield return ($"{depth} maps around {leaf}", [Commit(Set("c/a", ("x", Nest(depth, leaf))))]);
                var mixed = Nest(depth, Map(("y", leaf)), arrays: true);
                yield return ($"{depth} arrays and maps around {leaf}", [Commit(Set("c/a", ("x", mixed)))]);
            }
        }
        // Each pair is written one after the other. A write that changes nothing keeps the update time.
        (Value, Value)[] pairs =
        [
            (Integer(1), Integer(1)), (Integer(0), Double(0)), (Double(0.0), Double(-0.0)),
            (Double(double.NaN), Double(double.NaN)), (Double(double.NaN), Double(BitConverter.Int64BitsToDouble(-1))),
            (Time(1, 123_456_789), Time(1, 123_456_000)),
            (Array(Time(1, 999)), Array(Time(1, 0))), (Point(0, 0), Point(-0.0, 0)), (Array(), Map()), (String(""), Null()),
            (Map(("a", Integer(1)), ("b", Integer(2))), Map(("b", Integer(2)), ("a", Integer(1)))),
        ];
        foreach (var (first, second) in pairs)
        {
            yield return ($"{first} and {second}",
            [
                Commit(Set("c/a", ("x", first))), Commit(Set("c/a", ("x", second))), Get("c/a"),
                Commit(Merge("c/a", ["x"], ("x", first))),
            ]);
        }
        var half = String(new string('a', 600_000));
        yield return ("a document of two halves that are too large", [Commit(Set("c/a", ("x", half), ("y", half)))]);
        yield return ("a document that becomes too large",
            [Commit(Set("c/a", ("x", half))), Commit(Merge("c/a", ["y"], ("y", half)))]);
        yield return ("a document that is too large for a moment",
            [Commit(Set("c/a", ("x", half))), Commit(Merge("c/a", ["y"], ("y", half)), Set("c/a"))]);
        yield return ("a document that is too large, after a precondition that fails",
            [Commit(Exists(true, Set("c/a", ("x", half), ("y", half))))]);
    }

    private static IEnumerable<(string, Step[])> MaskCases()
    {
        var existing = new Dictionary<string, Step[]>
        {
            ["a missing document"] = [],
            ["an integer"] = [Commit(Set("c/a", ("m", Integer(1))))],
            ["null"] = [Commit(Set("c/a", ("m", Null())))],
            ["an array"] = [Commit(Set("c/a", ("m", Array(Map(("x", Integer(1)))))))],
            ["an empty map"] = [Commit(Set("c/a", ("m", Map())))],
            ["a map"] = [Commit(Set("c/a", ("m", Map(("x", Integer(1)), ("y", Integer(2))))))],
            ["a deep map"] = [Commit(Set("c/a", ("m", Map(("n", Map(("x", Integer(1)), ("y", Integer(2))))))))],
            ["another field"] = [Commit(Set("c/a", ("o", Integer(1))))],
        };
        string[][] masks =
        [
            [], ["m"], ["m.x"], ["m.n"], ["m.n.x"], ["m", "m.x"], ["m.x", "m"], ["m.x", "m.n.x"], ["m", "m"], ["`m`", "m"], ["o"],
        ];
        (string, Value)[][] given =
        [
            [], [("m", Integer(5))], [("m", Map())], [("m", Map(("q", Integer(6))))],
            [("m", Map(("x", Integer(7)), ("q", Integer(6))))], [("m", Map(("n", Map(("x", Integer(8))))))],
            [("m", Map(("n", Map())))], [("m", Map(("n", Integer(9))))],
        ];
        foreach (var (name, before) in existing)
        {
            foreach (var mask in masks)
            {
                IEnumerable<Step> Try((string, Value)[] fields) =>
                    [Commit(Delete("c/a")), .. before, Commit(Merge("c/a", mask, fields)), Get("c/a")];
                yield return ($"mask [{string.Join(", ", mask)}] over {name}", [.. given.SelectMany(Try)]);
            }
        }
        foreach (var mask in new string[][] { [], ["a"], ["a."] })
        {
            yield return ("a mask on a deletion", [Commit(Set("c/a", ("a", Integer(1)))), Commit(WithMask(Delete("c/a"), mask))]);
        }
        var timed = Set("c/a", ("a", Integer(1)));
        (timed.Update.CreateTime, timed.Update.UpdateTime) = (new ProtoTimestamp { Seconds = 5 }, new ProtoTimestamp { Nanos = -5 });
        yield return ("times in the written document", [Commit(timed), Commit(timed)]);
    }

    private static IEnumerable<(string, Step[])> PreconditionCases()
    {
        Write[] writes =
            [Set("c/a", ("x", Integer(2))), Set("c/a", ("x", Integer(1))), Merge("c/a", ["y"]), Merge("c/a", []), Delete("c/a")];
        foreach (var isPresent in new[] { true, false })
        {
            foreach (var write in writes)
            {
                Step[] Case(Func<RawDatabase, Write> conditional) =>
                [
                    Commit(Set("c/b", ("x", Integer(1)))),
                    Commit(Set(isPresent ? "c/a" : "c/b", ("x", Integer(1)))),
                    Commit(Set("c/d", ("x", Integer(1)))),
                    database => database.CommitAsync(conditional(database)),
                    database => database.CommitAsync(conditional(database)),
                ];
                var name = $"{write}, {(isPresent ? "existing" : "missing")}";
                yield return ($"{name}, must exist", Case(_ => Exists(true, write)));
                yield return ($"{name}, must be missing", Case(_ => Exists(false, write)));
                yield return ($"{name}, an empty precondition", Case(_ => WithPrecondition(new(), write)));
                foreach (var number in Enumerable.Range(1, 3))
                {
                    yield return ($"{name}, the time t{number}", Case(database => At(database.Time(number), write)));
                }
                yield return ($"{name}, a later time", Case(database => At(new(database.Time(3)) { Nanos = 999_999_000 }, write)));
                yield return ($"{name}, in nanoseconds", Case(_ => At(new ProtoTimestamp { Seconds = 1, Nanos = 1 }, write)));
                yield return ($"{name}, an invalid time", Case(_ => At(new ProtoTimestamp { Nanos = -1000 }, write)));
                yield return ($"{name}, the time 1970-01-01", Case(_ => At(new ProtoTimestamp(), write)));
            }
        }
        yield return ("a version that was deleted",
            [Commit(Set("c/a")), Commit(Delete("c/a")), database => database.CommitAsync(At(database.Time(1), Set("c/a")))]);
        var earlier = new ProtoTimestamp { Seconds = 9 };
        Write[] refused =
        [
            new(), Set("c/b", ("x", new Value())), Set("c/b", ("x", String(new string('a', 1_048_488)))),
            Set("c/b", ("__x__", Null())), Merge("c/b", ["a."]), Set("c"), Set("c/b", ("x", Array(Array()))),
            Exists(false, Set("c/d")), Exists(true, Set("c/b")), At(earlier, Set("c/d")),
        ];
        foreach (var bad in refused)
        {
            yield return ($"which failure counts, {Cut(bad.ToString())} or another",
            [
                Commit(Set("c/d")),
                Commit(Exists(true, Set("c/z")), bad), Commit(bad, Exists(true, Set("c/z"))),
                Commit(Exists(false, Set("c/d")), bad), Commit(bad, Exists(false, Set("c/d"))),
                Commit(At(earlier, Delete("c/d")), bad), Commit(bad, At(earlier, Delete("c/d"))),
                Commit(Set("c/a"), bad), Commit(bad, Set("c/a")),
                Get("c/d", "c/z"),
            ]);
        }
    }

    private static IEnumerable<(string, Step[])> CommitCases()
    {
        yield return ("no write", [Commit()]);
        yield return ("no operation", [Commit(new Write()), Commit(Exists(true, new Write()))]);
        yield return ("501 writes", [Commit([.. Enumerable.Range(0, 501).Select(i => Set($"c/a{i}"))]), Get("c/a500")]);
        yield return ("two documents, one unchanged",
            [Commit(Set("c/a"), Set("c/b")), Commit(Set("c/a"), Set("c/b", ("x", Integer(1)))), Get("c/a", "c/b")]);
        yield return ("one document between two writes to another",
            [Commit(Set("c/a", ("x", Integer(1))), Set("c/b"), Merge("c/a", ["y"], ("y", Integer(1)))), Get("c/a", "c/b")]);
        yield return ("changed and changed back",
            [Commit(Set("c/a", ("x", Integer(1)))), Commit(Set("c/a", ("x", Integer(2))), Set("c/a", ("x", Integer(1))))]);
        yield return ("deleted and created again",
            [Commit(Set("c/a")), Commit(Delete("c/a"), Set("c/a")), Get("c/a")]);
        yield return ("contradictory preconditions and another failure",
            [Commit(Exists(true, Set("c/z")), Set("c/a"), Exists(false, Set("c/a")))]);
        Write[] writes = [Set("c/a", ("x", Integer(2))), Merge("c/a", ["y"], ("y", Integer(3))), Merge("c/a", []), Delete("c/a")];
        // The quick form takes another third of the preconditions for each pair of writes.
        var (step, number) = (Repository.IsOnCI ? 1 : 3, 0);
        foreach (var first in writes)
        {
            foreach (var second in writes)
            {
                foreach (var (kinds, isPresent) in Enumerable.Range(0, 25).SelectMany(i => new[] { (i, true), (i, false) }))
                {
                    if (number++ % step != 0)
                    {
                        continue;
                    }
                    yield return ($"{first}, {second}, {kinds / 5} and {kinds % 5}, {(isPresent ? "existing" : "missing")}",
                    [
                        Commit(Set("c/b")),
                        Commit(Set(isPresent ? "c/a" : "c/b", ("x", Integer(1)))),
                        database => database.CommitAsync(Require(database, kinds / 5, first), Require(database, kinds % 5, second)),
                    ]);
                }
            }
        }
    }

    private static Write Require(RawDatabase database, int kind, Write write) => kind switch
    {
        0 => write,
        1 or 2 => Exists(kind == 1, write),
        _ => At(database.Time(kind - 2), write),
    };

    private static Step Commit(params Write[] writes) => database => database.CommitAsync(writes);

    private static Step Get(params string[] paths) => database => database.GetAsync(paths);

    /// <summary>Creates operations on a few documents, so that they conflict.</summary>
    private sealed class RandomOperations(Random random)
    {
        private readonly RandomValues values = new(random);

        public static IReadOnlyList<string> Paths { get; } = ["c/a", "c/b", "c/d", "c/a/e/f", "sessions/0123456789abcdef"];

        public (string Name, Step Step) Next() => random.Next(3) == 0 ? Get() : Commit();

        private (string, Step) Get()
        {
            var paths = Enumerable.Range(0, random.Next(4)).Select(_ => values.Pick(Paths)).ToArray();
            return ($"get {string.Join(' ', paths)}", database => database.GetAsync(paths));
        }

        private (string, Step) Commit()
        {
            var writes = Enumerable.Range(0, random.Next(5) == 0 ? random.Next(2, 5) : 1)
                .Select(_ => values.Pick(Paths))
                .Select(path => (Path: path, Write: Write(path), Precondition: random.Next(8), Back: random.Next(2)))
                .ToList();
            return (
                $"commit {string.Join(", ", writes)}",
                database => database.CommitAsync([.. writes.Select(write => write.Precondition switch
                {
                    0 => Exists(true, write.Write),
                    1 => Exists(false, write.Write),
                    2 or 3 => At(database.Version(write.Path, write.Back), write.Write),
                    _ => write.Write,
                })]));
        }

        private Write Write(string path)
        {
            var fields = values.Map(0).MapValue.Fields.Select(field => (field.Key, field.Value)).ToArray();
            return random.Next(6) switch
            {
                0 => Delete(path),
                1 or 2 => Set(path, fields),
                3 => Merge(path, [.. fields.Select(field => FieldPath.Append(null, field.Key))], fields),
                _ => Merge(path, [.. Enumerable.Range(0, random.Next(4)).Select(_ => Mask(random.Next(1, 4)))], fields),
            };
        }

        private string Mask(int depth) =>
            Enumerable.Range(0, depth).Select(_ => Name()).Aggregate((string?)null, FieldPath.Append)!;

        private string Name() => values.Pick(RandomValues.Names);
    }
}
