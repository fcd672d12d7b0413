using System.Globalization;

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

    /// <summary>Whether the client alone is a limit for it.</summary>
    public bool IsOnFirestore { get; init; } = true;

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

    /// <summary>Of each round's requests/s to the same round's of another: the median and the extremes.</summary>
    public static string FormatRatio(Row row, Row? other)
    {
        if (other is null || row == other || row.Run is null)
        {
            return "";
        }
        var ratios = row.Loads.Zip(other.Loads, (load, most) => load.PerSecond / most.PerSecond).ToArray();
        return $"{Median(ratios):0.00} ({ratios.Min():0.00} to {ratios.Max():0.00})";
    }

    private static string[] FormatRow(Row row, Row? client, Row? empty) =>
    [
        row.Title,
        FormatMedian(row, load => load.PerSecond, "#,0"),
        FormatMedian(row, load => load.P50, "0.00"),
        FormatMedian(row, load => load.P99, "0.0"),
        row.Loads.Count == 0 ? "" : $"{row.Loads.Sum(load => load.Failures)}",
        $"{row.CallsPerView:0.00}",
        row == empty || !row.IsOnFirestore ? "" : FormatRatio(row, client),
        row == client ? "" : FormatRatio(row, empty),
        row.Note,
    ];

    // A zero was not measured.
    private static string FormatMedian(Row row, Func<Load, double> number, string format) =>
        row.Loads.Count > 0 && Median(row.Loads.Select(number)) is > 0 and var median
            ? median.ToString(format, CultureInfo.InvariantCulture)
            : "";

    private static string FormatLine(string[] row, int[] widths) => string.Join("  ", row.Select((cell, column) =>
        column == 0 || column == row.Length - 1 ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column]))).TrimEnd();
}
