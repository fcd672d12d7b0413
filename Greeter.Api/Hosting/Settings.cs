using System.Globalization;

namespace Greeter.Api.Hosting;

/// <summary>Reads the app's own settings, for instance from the environment variable <c>Session__Lifetime</c>.</summary>
internal sealed class Settings
{
    /// <summary>Reads and checks the settings.</summary>
    /// <exception cref="InvalidOperationException">A setting is invalid. The message says what to do.</exception>
    public Settings(IConfiguration configuration, IHostEnvironment environment)
    {
        if (configuration["Request:Budget"] is not null)
        {
            throw new InvalidOperationException(
                "The setting Request:Budget is now Request:Timeout. Set Request__Timeout instead of Request__Budget.");
        }
        SessionLifetime = Read(
            configuration, "Session:Lifetime", TimeSpan.FromDays(31), TimeSpan.FromSeconds(1), TimeSpan.FromDays(400));
        RequestTimeout = Read(
            configuration, "Request:Timeout", TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));
        var delay = environment.IsDevelopment() ? TimeSpan.Zero : TimeSpan.FromSeconds(2);
        ShutdownDelay = Read(configuration, "Shutdown:Delay", delay, TimeSpan.Zero, TimeSpan.FromMinutes(1));
    }

    /// <summary>Gets how long a session and its cookie live after the last view. The default is 31 days, as for Flask's permanent
    /// sessions. The maximum is 400 days, because browsers keep no cookie longer.</summary>
    public TimeSpan SessionLifetime { get; }

    /// <summary>Gets how long a request may take before it gets 503. The default is 5 seconds.</summary>
    public TimeSpan RequestTimeout { get; }

    /// <summary>Gets how long the app accepts requests after SIGTERM. The default is 2 seconds, and 0 in Development.</summary>
    public TimeSpan ShutdownDelay { get; }

    private static TimeSpan Read(IConfiguration configuration, string key, TimeSpan defaultValue, TimeSpan min, TimeSpan max)
    {
        var text = configuration[key];
        if (string.IsNullOrEmpty(text))
        {
            return defaultValue;
        }
        if (TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max)
        {
            return value;
        }
        var variable = key.Replace(":", "__", StringComparison.Ordinal);
        throw new InvalidOperationException(
            $"The setting {key} is '{text}'. Set {variable} to a time from {min} to {max}, as [days.]hours:minutes:seconds.");
    }
}
