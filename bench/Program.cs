using Greeter.Bench;

switch (args)
{
    case [Limits.Empty, .. var rest]:
        Limits.RunEmptyEndpoint(rest);
        return 0;
    case [Limits.Client, .. var rest]:
        Limits.RunClientAlone(rest);
        return 0;
}
try
{
    var options = Options.Parse(args);
    Repository.Check();
    var table = await new Scenarios(options).RunAsync();
    Console.WriteLine();
    Console.WriteLine(table);
    return 0;
}
catch (BenchException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
