using System.Diagnostics;
using System.Diagnostics.Metrics;
using Greeter.Firestore;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Greeter.Bench;

/// <summary>The servers that the app is compared with. Each runs in a process of its own: this program, started with one of these
/// words.</summary>
internal static class Limits
{
    public const string EmptyEndpoint = "empty-endpoint";
    public const string ClientAlone = "client-alone";

    /// <summary>Runs the program of <c>dotnet new web</c>, with the log level that its appsettings.json sets.</summary>
    public static void RunEmptyEndpoint(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
        var app = builder.Build();
        app.MapGet("/", () => "Hello World!");
        app.Run();
    }

    /// <summary>Runs the Firestore client without the app: GET /run?seconds=N makes as many transactions as it can, 16 at once,
    /// and returns a <see cref="Load"/>. With &amp;metrics=true something listens to the client's metrics meanwhile.</summary>
    public static void RunClientAlone(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
        var app = builder.Build();
        var firestore = new FirestoreDbBuilder
        {
            EmulatorDetection = EmulatorDetection.EmulatorOnly,
            ProjectId = Launcher.Project,
        };
        var db = firestore.Build();
        var documents = Enumerable.Range(0, Scenario.Sessions)
            .Select(_ => db.Collection("client-alone").Document(Guid.NewGuid().ToString("N")))
            .ToArray();
        app.MapGet("/", () => "ready");
        app.MapGet("/run", async (double seconds, bool metrics = false) =>
        {
            using var listener = metrics ? ListenToMetrics() : null;
            return await LoopAsync(db, documents, TimeSpan.FromSeconds(seconds));
        });
        app.Run();
    }

    private static MeterListener ListenToMetrics()
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "Greeter.Firestore")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((_, _, _, _) => { });
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => { });
        listener.Start();
        return listener;
    }

    // The app's transaction for a returning visitor: the same read, the same three fields.
    private static Task ViewAsync(FirestoreDb db, DocumentReference document) => db.RunTransactionAsync(async transaction =>
    {
        var fields = (await transaction.GetSnapshotAsync(document)).ToDictionary();
        var views = fields?.GetValueOrDefault("views") as long? ?? 0;
        transaction.Set(document, new Dictionary<string, object>
        {
            ["greeting"] = "Hello World",
            ["views"] = views + 1,
            ["expireAt"] = Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow + TimeSpan.FromDays(31)),
        }, SetOptions.MergeAll);
    });

    private static async Task<Load> LoopAsync(FirestoreDb db, DocumentReference[] documents, TimeSpan time)
    {
        var (next, failures) = (-1, 0);
        var clock = Stopwatch.StartNew();
        async Task<List<double>> VisitAsync()
        {
            var latencies = new List<double>();
            while (clock.Elapsed < time)
            {
                var began = Stopwatch.GetTimestamp();
                try
                {
                    await ViewAsync(db, documents[Interlocked.Increment(ref next) % documents.Length]);
                }
                catch (RpcException)
                {
                    Interlocked.Increment(ref failures);
                }
                latencies.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            }
            return latencies;
        }
        var latencies = await Task.WhenAll(Enumerable.Range(0, Scenario.DefaultConnections).Select(_ => Task.Run(VisitAsync)));
        return Load.From([.. latencies.SelectMany(each => each)], Scenario.DefaultConnections, clock.Elapsed, failures);
    }
}
