using System.Globalization;
using System.Text;
using Spectre.Console;

namespace Greeter.Bench;

/// <summary>The results: medians of the rounds, and ratios within the rounds.</summary>
internal sealed class Report
{
    public const string Baseline = "baseline: ";
    public const string ClientAlone = "client alone";
    public const string EmptyEndpoint = "empty endpoint";
    public const string EmbeddedStore = "embedded store";

    private readonly List<string[]> others = [];

    /// <summary>Gets the sides in the order of the table.</summary>
    public List<Side> Sides { get; } = [];

    /// <summary>Adds a result that is no load.</summary>
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
            ["scenario", "requests/s", "p50 ms", "p99 ms", "slowest ms", "failures", "calls/view", "processor µs/view", "memory MB"],
            [.. Sides.Select(FormatSide)]);
        Write(markdown, ["ratio within a round", "median", "least to greatest", "wanted"], [.. GetRatios()]);
        Write(markdown, ["", "result"], others);
        WriteChart(markdown, "Processor time per view in µs", side => side.Processor);
        WriteChart(markdown, "Requests per second", side => side.PerSecond);
        Directory.CreateDirectory(options.Output);
        var file = Path.Combine(options.Output, "results.md");
        await File.WriteAllTextAsync(file, markdown.ToString());
        AnsiConsole.WriteLine(file);
    }

    private static async Task<string> DescribeSettingAsync(Options options)
    {
        var processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal));
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
        return $"Commit {commit}, .NET {Environment.Version}, {Environment.ProcessorCount} cores ({processor?.Split(": ")[^1]}), "
            + $"{memory:0} GB; the app, Google's emulator and wrk share them. Medians of {options.Rounds} rounds of "
            + $"{options.Time.TotalSeconds} s; {Scenario.DefaultConnections} connections and {Scenario.Sessions:#,0} sessions unless stated.";
    }

    private static string[] FormatSide(Side side)
    {
        var measured = side.Measurements;
        string Format(Func<Measurement, double> value, string format) => Median(measured.Select(value)).ToString(format, CultureInfo.InvariantCulture);
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

    private IEnumerable<string[]> GetRatios()
    {
        const double PartOfBaseline = 0.97;
        const double PartOfOneInstance = 0.8;
        const double LeastShare = 0.7;
        const double Overhead = 1.15;
        var (client, empty) = (Find(ClientAlone), Find(EmptyEndpoint));
        var baselineClient = Find(Baseline + ClientAlone) ?? client;
        var (first, returning) = (Find("first visits"), Find("returning visitors"));
        var ratios = new List<string[]?>
        {
            Compare("processor: returning visitor / first visit", returning, first, one => one.Processor, $"≤ {Overhead}"),
            Compare("processor: returning visitor, 500 sessions / first visit", Find("returning visitors, 500 sessions"), first, one => one.Processor, ""),
        };
        if (returning is not null && baselineClient is not null && empty is not null)
        {
            var sums = baselineClient.Measurements.Zip(empty.Measurements, (one, other) => one.Processor + other.Processor);
            var values = returning.Measurements.Zip(sums, (one, sum) => one.Processor / sum);
            ratios.Add(Format($"processor: returning visitor / ({baselineClient.Title} + {EmptyEndpoint})", values, $"≤ {Overhead}"));
        }
        foreach (var side in Sides.Where(
            side => side.Phase == Phase.OneInstance && side != client && side != empty && !IsBaseline(side)))
        {
            var limit = IsEmbedded(side) ? empty : client;
            ratios.Add(Compare($"requests/s: {side.Title} / {limit?.Title}", side, limit, one => one.PerSecond, ""));
        }
        foreach (var side in Sides.Where(side => side.Phase == Phase.Instances && side.Title != "one session, 1 × 8"))
        {
            if (!IsBaseline(side))
            {
                ratios.Add(Compare(
                    $"requests/s: {side.Title} / 1 × 8", side, Find("one session, 1 × 8"), one => one.PerSecond, $"≥ {PartOfOneInstance}"));
            }
            ratios.Add(Format(
                $"{side.Title}: least share of an instance / equal share", side.Measurements.Select(one => one.LeastShare), $"≥ {LeastShare}"));
        }
        foreach (var side in Sides)
        {
            var baseline = Find(Baseline + side.Title);
            ratios.Add(Compare($"requests/s: {side.Title} / baseline", side, baseline, one => one.PerSecond, IsEmbedded(side) ? "" : $"≥ {PartOfBaseline}"));
            ratios.Add(Compare($"processor: {side.Title} / baseline", side, baseline, one => one.Processor, ""));
        }
        return ratios.OfType<string[]>();
    }

    private static bool IsBaseline(Side side) => side.Title.StartsWith(Baseline, StringComparison.Ordinal);

    private static bool IsEmbedded(Side side) => side.Title.EndsWith(EmbeddedStore, StringComparison.Ordinal);

    private Side? Find(string title) => Sides.Find(side => side.Title == title);

    private static string[]? Compare(string name, Side? side, Side? other, Func<Measurement, double> value, string wanted) =>
        side is null || other is null
            ? null
            : Format(name, side.Measurements.Zip(other.Measurements, (one, another) => value(one) / value(another)), wanted);

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
        for (var column = 0; column < head.Length; column++)
        {
            table.AddColumn(new TableColumn(head[column]) { Alignment = column == 0 ? Justify.Left : Justify.Right, NoWrap = true });
        }
        foreach (var row in rows)
        {
            table.AddRow(row.Select(Markup.Escape).ToArray());
        }
        AnsiConsole.Write(table);
        markdown.Append('\n').AppendJoin('\n', rows.Prepend([.. head.Select(_ => "---")]).Prepend(head).Select(row => $"| {string.Join(" | ", row)} |"))
            .Append('\n');
    }

    // The empty endpoint is so much faster that the other bars would be too short to compare.
    private void WriteChart(StringBuilder markdown, string title, Func<Measurement, double> value)
    {
        var sides = Sides.Where(side => side.Phase == Phase.OneInstance && side.Title != EmptyEndpoint
            && !IsBaseline(side)).ToList();
        if (sides.Count > 0)
        {
            var names = string.Join(", ", sides.Select(side => $"\"{side.Title}\""));
            var bars = string.Join(", ", sides.Select(side => $"{Median(side.Measurements.Select(value)):0}"));
            markdown.Append(CultureInfo.InvariantCulture, $"""

                ```mermaid
                xychart-beta horizontal
                  title "{title}"
                  x-axis [{names}]
                  y-axis "{title}" 0 --> {sides.Max(side => Median(side.Measurements.Select(value))) * 1.1:0}
                  bar [{bars}]
                ```

                """);
        }
    }
}
