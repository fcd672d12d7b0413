using System.CommandLine;
using System.CommandLine.Parsing;

namespace Greeter.Bench;

/// <summary>The command line.</summary>
/// <param name="Only">The names of the scenarios to run.</param>
/// <param name="Rounds">The number of rounds.</param>
/// <param name="Time">The duration of one measurement.</param>
/// <param name="Warm">The number of views that warm up each instance of the app.</param>
/// <param name="Peers">Other servers that run the scenarios of one instance.</param>
/// <param name="Baseline">The folder of another published app; null for none.</param>
/// <param name="BaselineBench">The folder of another built bench; null for none.</param>
/// <param name="Output">The folder for the results.</param>
internal sealed record Options(
    IReadOnlyList<string> Only,
    int Rounds,
    TimeSpan Time,
    int Warm,
    IReadOnlyList<(string Name, Uri Url)> Peers,
    string? Baseline,
    string? BaselineBench,
    string Output)
{
    /// <summary>Creates the command that runs the bench with the options that it parses.</summary>
    public static RootCommand CreateCommand(Func<Options, Task<int>> run)
    {
        var only = new Option<string[]>("--only")
        {
            Description = $"The scenarios to run, separated by commas; all by default: {string.Join(", ", Scenario.Names)}",
            HelpName = "NAMES",
            CustomParser = ParseOnly,
        };
        var rounds = CreateNumber("--rounds", "How often each server is measured, alternately with the others", 5);
        var seconds = CreateNumber("--seconds", "The duration of one measurement", 10);
        var warm = CreateNumber("--warm", "The number of views that first warm up each instance of the app", 30_000);
        var peers = new Option<(string, Uri)[]>("--peer")
        {
            Description = "Another server to measure, for instance main.py=http://127.0.0.1:8080. Repeat it for several servers",
            HelpName = "NAME=URL",
            CustomParser = result => [.. result.Tokens.Select(token => ParsePeer(token.Value, result))],
        };
        var baseline = CreateFolder(
            "--baseline", "The Greeter.Api of another commit, published, to measure alternately with this one", "Greeter.Api.dll");
        var baselineBench = CreateFolder(
            "--baseline-bench", "The bench of another commit, built for Release, for its client alone", "Greeter.Bench.dll");
        var output = new Option<string>("--output")
        {
            Description = "Where to write results.md, with the tables; bench/bin/results by default",
            HelpName = "FOLDER",
        };
        var command = new RootCommand(
            "Measures Greeter under load, beside the Firestore client alone and an empty endpoint. Starts Google's Firestore "
            + "emulator, unless FIRESTORE_EMULATOR_HOST names one. Needs wrk, and a machine that does nothing else.")
        {
            only, rounds, seconds, warm, baseline, baselineBench, peers, output,
        };
        command.SetAction(result => run(new Options(
            result.GetValue(only) is { Length: > 0 } names ? names : [.. Scenario.Names],
            result.GetValue(rounds),
            TimeSpan.FromSeconds(result.GetValue(seconds)),
            result.GetValue(warm),
            result.GetValue(peers) ?? [],
            result.GetValue(baseline),
            result.GetValue(baselineBench),
            result.GetValue(output) ?? Path.Combine(Repository.Root, "bench", "bin", "results"))));
        return command;
    }

    /// <summary>Returns whether a scenario runs.</summary>
    public bool Runs(string scenario) => Only.Contains(scenario);

    private static Option<int> CreateNumber(string name, string description, int standard)
    {
        var option = new Option<int>(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => standard };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && (!int.TryParse(result.Tokens[0].Value, out var number) || number < 1))
            {
                result.AddError($"{name} must be a whole number from 1.");
            }
        });
        return option;
    }

    private static Option<string?> CreateFolder(string name, string description, string program)
    {
        var option = new Option<string?>(name) { Description = description, HelpName = "FOLDER" };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && !File.Exists(Path.Combine(result.Tokens[0].Value, program)))
            {
                result.AddError($"{name}: there is no {program} in {result.Tokens[0].Value}.");
            }
        });
        return option;
    }

    private static string[] ParseOnly(ArgumentResult result)
    {
        var names = result.Tokens.SelectMany(token => token.Value.Split(',')).ToArray();
        if (names.Except(Scenario.Names).FirstOrDefault() is { } unknown)
        {
            result.AddError($"--only: there is no scenario {unknown}. Choose from {string.Join(", ", Scenario.Names)}.");
        }
        return names;
    }

    private static (string Name, Uri Url) ParsePeer(string text, ArgumentResult result)
    {
        if (text.Split('=', 2) is [var name, var address]
            && Uri.TryCreate(address, UriKind.Absolute, out var url) && url.Scheme == "http")
        {
            return (name, url);
        }
        result.AddError($"--peer: {text} is not NAME=URL with an http URL.");
        return default;
    }
}
