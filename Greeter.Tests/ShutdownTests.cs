using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>How the app ends when a platform asks it to.</summary>
[Collection(nameof(Alone))]
public class ShutdownTests
{
    private static readonly byte[] Request = Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task After_SIGTERM_every_request_whose_headers_had_arrived_gets_its_whole_answer(int seed)
    {
        using var folder = new TemporaryFolder();
        await using var app = await GreeterProcess.StartAsync(
            ("DOTNET_ENVIRONMENT", "Development"), ("Firestore__EmbeddedFolder", folder.Path));
        var answers = new ConcurrentBag<string>();
        var visitors = Enumerable.Range(0, 32).Select(_ => Task.Run(() => VisitUntilRefusedAsync(app, answers))).ToList();
        await Task.Delay(500 + (seed * 37));

        app.Terminate();

        await Task.WhenAll(visitors).WaitAsync(TimeSpan.FromSeconds(20));
        (await app.WaitForExitAsync()).Should().Be(0);
        answers.Should().HaveCountGreaterThan(10);
        answers.Should().OnlyContain(answer =>
            answer.StartsWith("HTTP/1.1 200", StringComparison.Ordinal) && answer.EndsWith("</body>", StringComparison.Ordinal));
    }

    private static async Task VisitUntilRefusedAsync(GreeterProcess app, ConcurrentBag<string> answers)
    {
        while (true)
        {
            using var socket = new TcpClient();
            try
            {
                await socket.ConnectAsync(app.Address.Host, app.Address.Port);
            }
            catch (SocketException)
            {
                return;
            }
            answers.Add(await VisitAsync(socket));
        }
    }

    private static async Task<string> VisitAsync(TcpClient socket)
    {
        try
        {
            await socket.GetStream().WriteAsync(Request);
            using var reader = new StreamReader(socket.GetStream());
            return await reader.ReadToEndAsync();
        }
        catch (IOException e)
        {
            return e.Message;
        }
    }
}
