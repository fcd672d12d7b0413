using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;

namespace Greeter.Tests.Infrastructure;

/// <summary>Visitors who reload until they are stopped, with a pause after a failure.</summary>
public sealed class Load : IDisposable
{
    private readonly HttpClient client = new(new SocketsHttpHandler { UseCookies = false });
    private readonly Uri app;
    private readonly CancellationTokenSource stopping = new();
    private readonly ConcurrentQueue<Answer> answers = [];
    private readonly List<Task> visitors;

    public Load(Uri address, int visitors)
    {
        app = address;
        this.visitors = [.. Enumerable.Range(0, visitors).Select(_ => Task.Run(ReloadAsync))];
    }

    public sealed record Answer(HttpStatusCode Status, TimeSpan Duration);

    /// <summary>Waits until a visit that starts from now on gets this status code.</summary>
    public async Task UntilAsync(HttpStatusCode status)
    {
        var before = answers.Count + visitors.Count;
        var started = Stopwatch.GetTimestamp();
        while (!answers.Skip(before).Any(answer => answer.Status == status))
        {
            if (Stopwatch.GetElapsedTime(started) > TimeSpan.FromSeconds(60))
            {
                throw new TimeoutException($"No visit got {status}.");
            }
            await Task.Delay(100);
        }
    }

    public async Task<IReadOnlyCollection<Answer>> StopAsync()
    {
        await stopping.CancelAsync();
        await Task.WhenAll(visitors);
        return answers;
    }

    public void Dispose()
    {
        stopping.Cancel();
        stopping.Dispose();
        client.Dispose();
    }

    private async Task ReloadAsync()
    {
        string? id = null;
        while (!stopping.IsCancellationRequested)
        {
            var started = Stopwatch.GetTimestamp();
            var visit = await Visit.SendAsync(client, app, id);
            answers.Enqueue(new Answer(visit.Status, Stopwatch.GetElapsedTime(started)));
            id = visit.Id ?? id;
            if (visit.Status != HttpStatusCode.OK)
            {
                await Task.Delay(50);
            }
        }
    }
}
