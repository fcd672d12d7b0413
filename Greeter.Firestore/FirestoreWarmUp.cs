using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Greeter.Firestore;

/// <summary>Says where the documents are, and opens the connection before the first visitor needs it.</summary>
internal sealed partial class FirestoreWarmUp(FirestoreDb database, FirestoreDbBuilder builder, ILogger<FirestoreDb> logger)
    : BackgroundService, IHealthCheck
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly TaskCompletionSource ended = new();

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(ended.Task.IsCompleted
            ? HealthCheckResult.Healthy()
            : HealthCheckResult.Unhealthy("The first read of Firestore has not ended yet."));

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        LogLocation(builder.Location);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        patience.CancelAfter(Patience);
        try
        {
            await database.Document("sessions/warm-up").GetSnapshotAsync(patience.Token);
        }
        catch (Exception) when (stoppingToken.IsCancellationRequested)
        {
            // The app ends before it has begun.
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            LogFailure(e.InnerException is RpcException last ? last.Message : e.Message);
        }
        finally
        {
            ended.TrySetResult();
        }
    }

    [LoggerMessage(LogLevel.Information, "Sessions are in {Location}")]
    private partial void LogLocation(string location);

    [LoggerMessage(LogLevel.Warning, "The first read of Firestore failed; requests will try again. {Reason}")]
    private partial void LogFailure(string reason);
}
