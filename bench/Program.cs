using System.CommandLine;
using Greeter.Bench;
using Spectre.Console;

// The bench starts itself with one of these words, as a server to compare the app with.
switch (args)
{
    case [Limits.EmptyEndpoint, .. var rest]:
        Limits.RunEmptyEndpoint(rest);
        return 0;
    case [Limits.ClientAlone, .. var rest]:
        Limits.RunClientAlone(rest);
        return 0;
}

var command = Options.CreateCommand(async options =>
{
    try
    {
        await using var launcher = new Launcher();
        await new Bench(options, launcher).RunAsync();
        return 0;
    }
    catch (InvalidOperationException e)
    {
        AnsiConsole.WriteLine(e.Message);
        return 1;
    }
});
return await command.Parse(args).InvokeAsync();
