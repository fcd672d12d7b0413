namespace Greeter.Testing;

/// <summary>Records log messages.</summary>
public sealed class CapturingLoggerProvider : ILoggerProvider
{
    private readonly ConcurrentQueue<(LogLevel Level, string Text)> entries = [];

    /// <summary>Returns the messages of a level so far.</summary>
    public IReadOnlyList<string> Texts(LogLevel level) =>
        [.. entries.Where(entry => entry.Level == level).Select(entry => entry.Text)];

    public ILogger CreateLogger(string categoryName) => new Logger(this);

    public void Dispose()
    {
    }

    private sealed class Logger(CapturingLoggerProvider provider) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                provider.entries.Enqueue((logLevel, $"{formatter(state, exception)} {exception?.Message}".Trim()));
            }
        }
    }
}
