using System.Diagnostics;

namespace Greeter.Api.Hosting;

/// <summary>Reads one document when the app starts, so that no visitor waits for the connection to Firestore.</summary>
internal sealed class WarmUp(FirestoreDb db, ILogger<WarmUp> logger, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2);

    private volatile bool hasEnded;

    /// <summary>Gets whether the read has succeeded or failed. It fails after 2 seconds.</summary>
    public bool HasEnded => hasEnded;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        LogDatabase();
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
                var reason = e.InnerException as RpcException ?? e;
                logger.LogWarning(
                    "The first read of Firestore failed or took longer than 2 s. Each request tries again. {Reason}",
                    reason.Message);
            }
        }
        finally
        {
            hasEnded = true;
        }
    }

    // Greeter.Firestore logs this itself.
    [Conditional("OFFICIAL_PACKAGES")]
    private void LogDatabase() => logger.LogInformation(
        "Sessions are in Firestore, project {Project}, database {Database}", db.ProjectId, db.DatabaseId);
}
