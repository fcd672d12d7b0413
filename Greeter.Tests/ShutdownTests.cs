using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Time.Testing;

namespace Greeter.Tests;

/// <summary>The end of the app after SIGTERM.</summary>
[Collection(nameof(Alone)), Trait("Category", "Slow")]
public class ShutdownTests
{
    private static readonly TimeSpan Delay = TimeSpan.FromSeconds(2);
    private static readonly byte[] Request =
        Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");

    [Fact]
    public async Task Every_request_sent_before_SIGTERM_or_in_the_first_half_of_the_delay_is_answered_whole()
    {
        var project = Emulator.NewProject();
        var firestore = await FirestoreProxy.SharedAsync();
        firestore.CallsOf(project).Before = async (_, _) =>
        {
            await Task.Delay(Random.Shared.Next(50));
            return false;
        };
        await using var app = await GreeterProcess.StartAsync(
            ("FIRESTORE_EMULATOR_HOST", firestore.Server.Authority), ("GOOGLE_CLOUD_PROJECT", project));
        var answers = new ConcurrentQueue<Answer>();
        var visitors = Enumerable.Range(0, 32).Select(number => Task.Run(async () =>
        {
            using var browser = new HttpClient { BaseAddress = app.Address };
            await VisitAsync(
                number % 2 == 0 ? () => SendOnNewConnectionAsync(app.Address) : () => browser.GetStringAsync("/"), answers);
        })).ToList();
        while (answers.Count < 500)
        {
            await Task.Delay(10);
        }

        var terminated = Stopwatch.GetTimestamp();
        app.Terminate();

        await Task.WhenAll(visitors).WaitAsync(TimeSpan.FromSeconds(20));
        (await app.WaitForExitAsync()).Should().Be(0);
        var halfTime = terminated + (Stopwatch.Frequency * Delay.TotalSeconds / 2);
        var promised = answers.Where(answer => answer.Sent < halfTime).ToList();
        promised.Where(answer => answer.Sent > terminated).Should().NotBeEmpty("the app still accepts requests");
        promised.Where(answer => !answer.IsWhole).Should().BeEmpty();
        answers.Except(promised).Where(answer => !answer.IsWhole && !answer.IsRefused).Should().BeEmpty();
    }

    [Fact]
    public async Task App_stops_without_a_delay_in_Development()
    {
        await using var app = await GreeterApp.StartAsync(_ => { }, new FakeTimeProvider());

        // A delay would end with an exception, after the shutdown timeout.
        await app.Services.GetRequiredService<IHost>().StopAsync().WaitAsync(TimeSpan.FromSeconds(30));
    }

    private static async Task VisitAsync(Func<Task<string>> send, ConcurrentQueue<Answer> answers)
    {
        Answer answer;
        do
        {
            answer = new Answer(Stopwatch.GetTimestamp(), await TryAsync(send));
            answers.Enqueue(answer);
        }
        while (!answer.IsRefused);
    }

    private static async Task<string> SendOnNewConnectionAsync(Uri app)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(app.Host, app.Port);
        await socket.GetStream().WriteAsync(Request);
        using var reader = new StreamReader(socket.GetStream());
        return await reader.ReadToEndAsync();
    }

    private static async Task<string?> TryAsync(Func<Task<string>> send)
    {
        try
        {
            return await send();
        }
        catch (Exception e) when (e is SocketException or IOException or HttpRequestException { StatusCode: null })
        {
            return null;
        }
    }

    /// <param name="Sent">The timestamp before the request was sent.</param>
    /// <param name="Text">The response; null if the connection was refused or reset, empty if it was closed.</param>
    private sealed record Answer(long Sent, string? Text)
    {
        public bool IsRefused => string.IsNullOrEmpty(Text);

        public bool IsWhole => Text is not null && Text.Contains(" views for ", StringComparison.Ordinal)
            && Text.EndsWith("</body>", StringComparison.Ordinal);
    }
}
