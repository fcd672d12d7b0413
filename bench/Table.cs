namespace Greeter.Bench;

/// <summary>One line of the table.</summary>
/// <param name="title">The scenario.</param>
/// <param name="run">Makes its load for a time; null if it is not run by turns with the others.</param>
internal sealed class Row(string title, Func<TimeSpan, Task<Load>>? run = null)
{
    public string Title => title;

    public Func<TimeSpan, Task<Load>>? Run => run;

    /// <summary>What came of it, one for each round.</summary>
    public List<Load> Loads { get; } = [];

    public double? CallsPerView { get; set; }

    public string Note { get; set; } = "";
}

/// <summary>Medians of the rounds, as text.</summary>
internal static class Table
{
    private static readonly string[] Head =
        ["scenario", "requests/s", "p50 ms", "p99 ms", "failures", "calls/view", "/ client alone", "/ empty endpoint", ""];

    public static string Format(IEnumerable<Row> rows, Row? client, Row? empty)
    {
        var cells = rows.Select(row => FormatRow(row, client, empty)).Prepend(Head).ToList();
        var widths = Enumerable.Range(0, Head.Length).Select(column => cells.Max(row => row[column].Length)).ToArray();
        return string.Join('\n', cells.Select(row => FormatLine(row, widths)));
    }

    public static double Median(IEnumerable<double> numbers)
    {
        var sorted = numbers.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    public static string FormatSpread(IEnumerable<double> ratios)
    {
        var all = ratios.ToArray();
        return all.Length == 0 ? "" : $"{Median(all):0.00} ({all.Min():0.00} to {all.Max():0.00})";
    }

    private static string[] FormatRow(Row row, Row? client, Row? empty) =>
    [
        row.Title,
        FormatMedian(row, load => load.PerSecond, "#,0"),
        FormatMedian(row, load => load.P50, "0.00"),
        FormatMedian(row, load => load.P99, "0.0"),
        row.Loads.Count == 0 ? "" : $"{row.Loads.Sum(load => load.Failures)}",
        $"{row.CallsPerView:0.00}",
        FormatRatio(row, client),
        FormatRatio(row, empty),
        row.Note,
    ];

    // A zero was not measured.
    private static string FormatMedian(Row row, Func<Load, double> number, string format) =>
        row.Loads.Count > 0 && Median(row.Loads.Select(number)) is > 0 and var median
            ? median.ToString(format, System.Globalization.CultureInfo.InvariantCulture)
            : "";

    // Of each round to the same round of the limit.
    private static string FormatRatio(Row row, Row? limit) => limit is null || row == limit || row.Run is null
        ? ""
        : FormatSpread(row.Loads.Zip(limit.Loads, (load, most) => load.PerSecond / most.PerSecond));

    private static string FormatLine(string[] row, int[] widths) => string.Join("  ", row.Select((cell, column) =>
        column == 0 || column == row.Length - 1 ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column]))).TrimEnd();
}
