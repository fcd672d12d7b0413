using System.Globalization;
using System.Text;
using Spectre.Console;

namespace Greeter.Bench;

/// <summary>The results: medians of the rounds, and ratios within the rounds.</summary>
internal sealed class Report
{
    public const string Baseline = "baseline: ";
    public const string ClientAlone = "client alone";
    public const string ClientWithMetrics = "client alone, metrics collected";
    public const string EmptyEndpoint = "empty endpoint";
    public const string EmbeddedStore = "embedded store";

    private static readonly string[] Head =
    [
        "scenario", "requests/s", "p50 ms", "p99 ms", "slowest ms", "failures", "calls/view", "CPU µs/view", "MB resident",
    ];

    private readonly List<string[]> others = [];

    /// <summary>Gets the sides in the order of the table.</summary>
    public List<Side> Sides { get; } = [];

    /// <summary>Adds the result of a single measurement.</summary>
    public void Add(string name, string result) => others.Add([name, result]);

    public static double Median(IEnumerable<double> numbers)
    {
        var sorted = numbers.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>Prints the results, and writes them to <c>results.md</c> in the output folder.</summary>
    public async Task WriteAsync(Options options)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        var markdown = new StringBuilder();
        var setting = await DescribeSettingAsync(options);
        AnsiConsole.WriteLine();
        AnsiConsole.WriteLine(setting);
        markdown.Append(setting).Append('\n');
        Write(
            markdown,
            Head,
            [.. Sides.Select(FormatSide)]);
        Write(markdown, ["ratio within a round", "median", "least to greatest", "wanted"], [.. GetRatios()]);
        Write(markdown, ["measurement", "result"], others);
        Directory.CreateDirectory(options.Output);
        var file = Path.Combine(options.Output, "results.md");
        await File.WriteAllTextAsync(file, markdown.ToString());
        AnsiConsole.WriteLine(file);
    }

    private static async Task<string> DescribeSettingAsync(Options options)
    {
        var processor = File.ReadLines("/proc/cpuinfo")
            .FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal));
        var commit = "no git checkout";
        try
        {
            commit = (await Command.RunAsync(Repository.Root, "git", ["describe", "--always", "--dirty"])).Trim();
        }
        catch (InvalidOperationException)
        {
            // The sources may come without their history.
        }
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9;
        return $"Commit {commit}, .NET {Environment.Version}. {Environment.ProcessorCount} cores ({processor?.Split(": ")[^1]}) "
            + $"and {memory:0} GB that the app shares with Google's emulator and wrk. Rounds of {options.Time.TotalSeconds} s: "
            + $"{options.Rounds}; medians, the slowest response of all, the sum of failures. "
            + $"{Scenario.DefaultConnections} connections and {Scenario.Sessions:#,0} sessions unless stated.";
    }

    private static string[] FormatSide(Side side)
    {
        var measured = side.Measurements;
        string Format(Func<Measurement, double> value, string format) =>
            Median(measured.Select(value)).ToString(format, CultureInfo.InvariantCulture);
        return
        [
            side.Title,
            Format(one => one.PerSecond, "#,0"),
            Format(one => one.P50, "0.00"),
            Format(one => one.P99, "0.0"),
            // Loads of an earlier bench have no slowest response.
            measured.Max(one => one.Slowest) is > 0 and var slowest ? slowest.ToString("#,0", CultureInfo.InvariantCulture) : "",
            $"{measured.Sum(one => one.Failures)}",
            $"{side.CallsPerView:0.00}",
            Format(one => one.Processor, "0.0"),
            Format(one => one.Megabytes, "0"),
        ];
    }

    // The wanted ratios are the project's own goals.
    private IEnumerable<string[]> GetRatios()
    {
        var (client, empty, one) = (Find(ClientAlone), Find(EmptyEndpoint), Find("one session, 1 × 8"));
        var (first, returning) = (Find("first visits"), Find("returning visitors"));
        var crowded = Find("returning visitors, 500 sessions");
        var baselineClient = Find(Baseline + ClientAlone) ?? client;
        var ratios = new List<string[]?>
        {
            Compare("CPU", returning, first, each => each.Processor, "≤ 1.15"),
            Compare("CPU", crowded, first, each => each.Processor, "≤ 1.15"),
            Compare("CPU", Find(ClientWithMetrics), client, each => each.Processor, ""),
        };
        if (returning is not null && baselineClient is not null && empty is not null)
        {
            var sums = baselineClient.Measurements.Zip(empty.Measurements, (each, other) => each.Processor + other.Processor);
            var values = returning.Measurements.Zip(sums, (each, sum) => each.Processor / sum);
            ratios.Add(Format($"CPU: {returning.Title} / ({baselineClient.Title} + {EmptyEndpoint})", values, "≤ 1.15"));
        }
        var compared = Sides.Where(side => !IsBaseline(side)).ToList();
        foreach (var side in compared.Where(side => side.Phase == Phase.Instances && side != one))
        {
            ratios.Add(Compare("requests/s", side, one, each => each.PerSecond, "≥ 0.8"));
            var shares = side.Measurements.Select(each => each.LeastShare);
            ratios.Add(Format($"least share of an instance / equal share: {side.Title}", shares, "≥ 0.7"));
        }
        foreach (var side in compared)
        {
            var baseline = Find(Baseline + side.Title);
            ratios.Add(Compare("requests/s", side, baseline, each => each.PerSecond, IsEmbedded(side) ? "" : "≥ 0.97"));
            ratios.Add(Compare("CPU", side, baseline, each => each.Processor, ""));
        }
        return ratios.OfType<string[]>();
    }

    private static bool IsBaseline(Side side) => side.Title.StartsWith(Baseline, StringComparison.Ordinal);

    private static bool IsEmbedded(Side side) => side.Title.EndsWith(EmbeddedStore, StringComparison.Ordinal);

    private Side? Find(string title) => Sides.Find(side => side.Title == title);

    // Null if there is nothing to compare.
    private static string[]? Compare(string unit, Side? side, Side? other, Func<Measurement, double> value, string wanted)
    {
        if (side is null || other is null || side == other)
        {
            return null;
        }
        var ratios = side.Measurements.Zip(other.Measurements, (each, another) => value(each) / value(another));
        return Format($"{unit}: {side.Title} / {other.Title}", ratios, wanted);
    }

    private static string[] Format(string name, IEnumerable<double> ratios, string wanted)
    {
        var values = ratios.ToArray();
        return [name, $"{Median(values):0.00}", $"{values.Min():0.00} to {values.Max():0.00}", wanted];
    }

    private static void Write(StringBuilder markdown, string[] head, List<string[]> rows)
    {
        if (rows.Count == 0)
        {
            return;
        }
        var table = new Table().Border(TableBorder.Markdown);
        foreach (var title in head)
        {
            var alignment = title == head[0] ? Justify.Left : Justify.Right;
            table.AddColumn(new TableColumn(title) { Alignment = alignment, NoWrap = true });
        }
        markdown.Append('\n');
        AppendLine(markdown, head);
        AppendLine(markdown, [.. head.Select(title => title == head[0] ? "---" : "---:")]);
        foreach (var row in rows)
        {
            table.AddRow(row.Select(Markup.Escape).ToArray());
            AppendLine(markdown, row);
        }
        AnsiConsole.Write(table);
    }

    private static void AppendLine(StringBuilder markdown, string[] cells) =>
        markdown.Append("| ").AppendJoin(" | ", cells).Append(" |\n");
}
