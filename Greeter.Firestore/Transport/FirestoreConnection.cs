using Microsoft.Extensions.Logging;

namespace Greeter.Firestore.Transport;

/// <summary>A database with its connections or its embedded store, which it closes when it is disposed of.</summary>
/// <remarks><see cref="FirestoreDb"/> isn't disposable, because Google's isn't.</remarks>
internal sealed partial class FirestoreConnection(FirestoreDb database, FirestoreClient client, string location) : IDisposable
{
    public FirestoreDb Database { get; } = database;

    /// <summary>Gets a description of where the documents are, for the log.</summary>
    public string Location { get; } = location;

    public void Dispose() => client.Dispose();

    /// <summary>Registers a log message that says where the documents are, before the first call.</summary>
    /// <remarks>Not sooner: the first message of an app's log takes longer than everything else that this client does at start.</remarks>
    public void LogLocationOnFirstCall(ILogger logger) => client.OnFirstCall(() => LogLocation(logger, Location));

    [LoggerMessage(LogLevel.Information, "Documents are in {Location}")]
    private static partial void LogLocation(ILogger logger, string location);
}
