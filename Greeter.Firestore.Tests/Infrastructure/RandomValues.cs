using static Greeter.Firestore.Tests.Infrastructure.Writes;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>Creates values of every type, edge cases often, in maps with a few names, so that the names repeat.</summary>
internal sealed class RandomValues(Random random)
{
    private static readonly double[] Doubles =
        [0.0, -0.0, 1, double.NaN, double.PositiveInfinity, double.NegativeInfinity, double.Epsilon, double.MaxValue];

    private static readonly string[] Strings = ["", "Hallo Welt", "Olá \"日本\" 😀", "\0\t\r\n\u2028\ufeff\ufffd</script>"];

    public static IReadOnlyList<string> Names { get; } = ["a", "b", "m", "with space", "`\\.", "日本"];

    /// <summary>Returns a generator whose seed is in the test's output. GREETER_TEST_SEED repeats a run.</summary>
    public static Random CreateRandom()
    {
        var seed = ReadSetting("GREETER_TEST_SEED") ?? Random.Shared.Next();
        TestContext.Current.TestOutputHelper!.WriteLine($"GREETER_TEST_SEED={seed}");
        return new Random(seed);
    }

    /// <summary>Returns an environment variable that is a number; null if it isn't set.</summary>
    public static int? ReadSetting(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    public T Pick<T>(params IReadOnlyList<T> values) => values[random.Next(values.Count)];

    public Value Map(int depth)
    {
        var names = Enumerable.Range(0, random.Next(4)).Select(_ => Pick(Names)).Distinct();
        return Writes.Map([.. names.Select(name => (name, Value(depth + 1)))]);
    }

    private Value Value(int depth) => random.Next(depth > 3 ? 10 : 14) switch
    {
        0 => Null(),
        1 => new Value { BooleanValue = random.Next(2) == 0 },
        2 => Integer(Pick(0, 1, -1, long.MinValue, long.MaxValue, random.NextInt64())),
        3 => Double(Pick(Doubles)),
        4 => Double(Pick(random.NextDouble(), BitConverter.Int64BitsToDouble(random.NextInt64()))),
        5 => Time(random.NextInt64(-62_135_596_800, 253_402_300_800), random.Next(1_000_000_000)),
        6 => String(Pick([.. Strings, new string('x', random.Next(2000))])),
        7 => Bytes([.. Enumerable.Range(0, random.Next(20)).Select(_ => (byte)random.Next(256))]),
        8 => Reference($"projects/{Pick("p", "other")}/databases/(default)/documents/{Pick("c/a", "c/a/e/日本")}"),
        9 => Point((random.NextDouble() * 180) - 90, (random.NextDouble() * 360) - 180),
        10 or 11 => Array([.. Elements(depth)]),
        _ => Map(depth),
    };

    private IEnumerable<Value> Elements(int depth) =>
        Enumerable.Range(0, random.Next(4)).Select(_ => Value(depth + 1)).Where(value => value.ArrayValue is null);
}
