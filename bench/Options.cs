using System.Globalization;

namespace Greeter.Bench;

/// <summary>The command line.</summary>
/// <param name="Rounds">How often each side of a comparison runs.</param>
/// <param name="Seconds">How long each time.</param>
/// <param name="Warm">How many views come before.</param>
/// <param name="Only">The scenarios to run.</param>
/// <param name="Peers">Other servers that the HTTP scenarios run against.</param>
internal sealed record Options(
    int Rounds, int Seconds, int Warm, IReadOnlyList<string> Only, IReadOnlyList<(string Name, Uri Url)> Peers)
{
    private const string Usage = """
        dotnet run -c Release --project bench -- [OPTION VALUE]…

          --rounds, --seconds   how often each side of a comparison runs, by turns with the others, and how long: 5, 10
          --warm                views on the emulator before anything is measured: 30000
          --only                some of, with commas: returning first one-connection one-session (one visitor, over 1 and
                                over 16 connections) embedded start memory relay wandering
          --peer                run the HTTP scenarios against another server too (may be repeated), for instance
                                main.py=http://127.0.0.1:8080

        Google's emulator is started, unless FIRESTORE_EMULATOR_HOST names one that runs already.
        """;

    public const string OneConnection = "one-connection", Returning = "returning", First = "first", OneSession = "one-session",
        Embedded = "embedded", Start = "start", Memory = "memory", Relay = "relay", Wandering = "wandering";

    private static readonly string[] All =
        [OneConnection, Returning, First, OneSession, Embedded, Start, Memory, Relay, Wandering];

    /// <exception cref="BenchException">It cannot be understood.</exception>
    public static Options Parse(string[] args)
    {
        var options = new Options(5, 10, 30_000, All, []);
        foreach (var pair in args.Chunk(2))
        {
            options = pair switch
            {
                ["--rounds", var value] => options with { Rounds = ParseNumber(value) },
                ["--seconds", var value] => options with { Seconds = ParseNumber(value) },
                ["--warm", var value] => options with { Warm = ParseNumber(value) },
                ["--only", var value] => options with { Only = ParseScenarios(value) },
                ["--peer", var value] => options with { Peers = [.. options.Peers, ParsePeer(value)] },
                _ => throw new BenchException(Usage),
            };
        }
        return options;
    }

    public bool Runs(string scenario) => Only.Contains(scenario);

    private static int ParseNumber(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number
            : throw new BenchException(Usage);

    private static string[] ParseScenarios(string text) =>
        text.Split(',') is var names && names.All(All.Contains) ? names : throw new BenchException(Usage);

    private static (string Name, Uri Url) ParsePeer(string text) =>
        text.Split('=', 2) is [var name, var address]
            && Uri.TryCreate(address, UriKind.Absolute, out var url) && url.Scheme == "http"
            ? (name, url)
            : throw new BenchException(Usage);
}
