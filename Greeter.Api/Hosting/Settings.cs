using System.Globalization;

namespace Greeter.Api.Hosting;

/// <summary>The app's own settings, for instance from the environment variable <c>Session__Lifetime</c>.</summary>
internal sealed class Settings
{
    /// <summary>Gets or sets how long a session and its cookie live after the last view. The default is 31 days, as for Flask's permanent
    /// sessions. The maximum is 400 days, because browsers keep no cookie longer.</summary>
    public TimeSpan SessionLifetime { get; set; }

    /// <summary>Gets or sets how long a request may take before it gets 503. The default is 5 seconds.</summary>
    public TimeSpan RequestTimeout { get; set; }

    /// <summary>Gets or sets how long the app accepts requests after SIGTERM. The default is 2 seconds, and 0 in Development.</summary>
    public TimeSpan ShutdownDelay { get; set; }
}

/// <summary>Reads and checks <see cref="Settings"/>.</summary>
internal static class SettingsExtensions
{
    /// <summary>Adds the settings, which are checked when the app starts.</summary>
    public static void AddSettings(this IServiceCollection services) => services.AddOptionsWithValidateOnStart<Settings>()
        .Configure<IConfiguration, IHostEnvironment>((settings, configuration, environment) =>
        {
            settings.SessionLifetime = Read(configuration["Session:Lifetime"]) ?? TimeSpan.FromDays(31);
            settings.RequestTimeout = Read(configuration["Request:Timeout"]) ?? TimeSpan.FromSeconds(5);
            settings.ShutdownDelay = Read(configuration["Shutdown:Delay"])
                ?? TimeSpan.FromSeconds(environment.IsDevelopment() ? 0 : 2);
        })
        .Validate(
            settings => settings.SessionLifetime >= TimeSpan.FromSeconds(1) && settings.SessionLifetime <= TimeSpan.FromDays(400),
            "Set Session__Lifetime to a time from 00:00:01 to 400.00:00:00, as [days.]hours:minutes:seconds.")
        .Validate(
            settings => settings.RequestTimeout >= TimeSpan.FromMilliseconds(100) && settings.RequestTimeout <= TimeSpan.FromMinutes(1),
            "Set Request__Timeout to a time from 00:00:00.1 to 00:01:00, as [days.]hours:minutes:seconds.")
        .Validate(
            settings => settings.ShutdownDelay >= TimeSpan.Zero && settings.ShutdownDelay <= TimeSpan.FromMinutes(1),
            "Set Shutdown__Delay to a time from 00:00:00 to 00:01:00, as [days.]hours:minutes:seconds.");

    // The framework would read 24:00:00 as 24 days, and put an invalid value, which may be a secret, into its message. Here it becomes
    // a time below every limit.
    private static TimeSpan? Read(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return null;
        }
        var isTime = TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out var time) && text.Count(':') != 1;
        return isTime ? time : TimeSpan.MinValue;
    }
}
