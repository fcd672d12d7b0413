using System.Text.Json;
using Greeter.Api.Logging;

namespace Greeter.Api.Hosting;

/// <summary>Creates the app's builder.</summary>
internal static class GreeterApplication
{
    /// <summary>Creates a builder with the settings from the arguments, the environment, and <c>appsettings.json</c>. From here on, an
    /// exception that ends the process is one log entry.</summary>
    /// <exception cref="SettingException">An argument, a settings file, or the environment is invalid.</exception>
    public static WebApplicationBuilder CreateBuilder(string[] args)
    {
        FatalErrors.LogUnhandledExceptions(args);
        CheckArguments(args);
        // Without the added argument, the app would watch its folder and all subfolders for changed settings. It comes first, because a
        // last argument without a value would take it as its value. The slim builder leaves out what this app doesn't use, so that it
        // starts faster.
        var builder = Create(["--hostBuilder:reloadConfigOnChange=false", .. args]);
        CheckEnvironment(builder.Environment.EnvironmentName);
        return builder;
    }

    private static WebApplicationBuilder Create(string[] args)
    {
        try
        {
            return WebApplication.CreateSlimBuilder(args);
        }
        catch (InvalidDataException e)
        {
            // The message has the path of the file. The inner exceptions' messages have parts of the file, which may be secret.
            var line = e.GetBaseException() is JsonException { LineNumber: { } number } ? $" Look at line {number + 1}." : "";
            throw new SettingException($"{e.Message} It must be one valid JSON object, without a key that occurs twice.{line}");
        }
        catch (DirectoryNotFoundException e)
        {
            // The message is the path.
            var folder = SettingException.IsPath(e.Message) ? $" {e.Message}" : "";
            throw new SettingException(
                $"The content root{folder} doesn't exist. Set ASPNETCORE_CONTENTROOT or --contentRoot to the folder of the settings.");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new SettingException($"{e.Message} Allow the app to read its settings.");
        }
    }

    // The framework throws an exception for some of these arguments, and ignores the others.
    private static void CheckArguments(string[] args)
    {
        for (var i = 0; i < args.Length; i++)
        {
            var name = args[i].Split('=')[0];
            var hasValue = name != args[i];
            if (name.StartsWith("--", StringComparison.Ordinal) || name.StartsWith('/'))
            {
                // The next argument is its value.
                i += hasValue ? 0 : 1;
            }
            else if (name.StartsWith('-') || !hasValue)
            {
                // Anything else may be a value, and so a secret.
                var described = name.StartsWith('-') && name.Length < 30 ? $"Argument {i + 1}, {name}," : $"Argument {i + 1}";
                throw new SettingException($"{described} is invalid. Write each argument as --name=value, with two hyphens.");
            }
        }
    }

    // Production must not become Development, and so use the embedded store, by a variable that another program set.
    private static void CheckEnvironment(string name)
    {
        string?[] variables =
            [Environment.GetEnvironmentVariable("ASPNETCORE_ENVIRONMENT"), Environment.GetEnvironmentVariable("DOTNET_ENVIRONMENT")];
        if (variables.Where(value => value is not null).Distinct(StringComparer.OrdinalIgnoreCase).Count() > 1)
        {
            throw new SettingException("ASPNETCORE_ENVIRONMENT and DOTNET_ENVIRONMENT differ. Unset one of them.");
        }
        if (name.Length > 64 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
        {
            throw new SettingException("Set ASPNETCORE_ENVIRONMENT to Development, Production, or another word.");
        }
    }
}
