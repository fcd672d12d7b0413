namespace Greeter.Api.Hosting;

/// <summary>Reads one document when the app starts, so that no visitor waits for the connection to Firestore.</summary>
internal sealed class WarmUp(FirestoreDb db, FirestoreDatabase database, ILogger<WarmUp> logger, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2);

    private volatile bool hasEnded;

    /// <summary>Gets whether the read has succeeded or failed. It fails after 2 seconds.</summary>
    public bool HasEnded => hasEnded;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Not sooner: the first line of the log takes longer than the rest of the start.
        logger.LogInformation(
            "Sessions are in {Server}, project {Project}, database {Database}", database.Server, db.ProjectId, db.DatabaseId);
        using var timeout = new CancellationTokenSource(Timeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, stoppingToken);
        try
        {
            await db.Collection("sessions").Document("warm-up").GetSnapshotAsync(linked.Token);
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            if (!stoppingToken.IsCancellationRequested)
            {
                logger.LogWarning(
                    "The first read of Firestore failed or took longer than 2 s. Each request tries again. {Reason}", e.Reason());
            }
        }
        finally
        {
            hasEnded = true;
        }
    }
}
