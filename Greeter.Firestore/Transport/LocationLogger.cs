using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Greeter.Firestore.Transport;

/// <summary>Logs where the documents are when the app starts.</summary>
/// <remarks>In the background, because the first message in the log takes longer than everything else that this client does when
/// the app starts.</remarks>
internal sealed partial class LocationLogger(FirestoreConnection connection, ILogger<FirestoreDb> logger) : BackgroundService
{
    /// <inheritdoc/>
    protected override Task ExecuteAsync(CancellationToken stoppingToken)
    {
        LogLocation(connection.Location);
        return Task.CompletedTask;
    }

    [LoggerMessage(LogLevel.Information, "Documents are in {Location}")]
    private partial void LogLocation(string location);
}
