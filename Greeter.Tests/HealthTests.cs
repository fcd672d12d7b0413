using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Time.Testing;

namespace Greeter.Tests;

/// <summary>The health checks of the platforms.</summary>
public class HealthTests
{
    [Fact]
    public async Task Health_checks_return_200_without_a_session_or_a_call()
    {
        await using var app = await GreeterApp.StartAsync(Store.Emulator);
        await app.WarmUpAsync();
        using var probe = app.CreateVisitor();

        foreach (var path in new[] { "/health/live", "/health/ready" })
        {
            using var response = await probe.GetAsync(path);
            response.StatusCode.Should().Be(HttpStatusCode.OK);
            response.Headers.Contains("Set-Cookie").Should().BeFalse();
        }
        app.Calls.Methods.Should().BeEmpty();
    }

    [Fact]
    public async Task App_is_ready_once_the_warm_up_read_has_ended()
    {
        var latch = new TaskCompletionSource<bool>();
        await using var app = await GreeterApp.StartAsync(calls => calls.Before = (_, _) => latch.Task, new FakeTimeProvider());
        using var probe = app.CreateVisitor();

        (await probe.GetAsync("/health/ready")).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        (await probe.GetAsync("/health/live")).StatusCode.Should().Be(HttpStatusCode.OK);

        latch.SetResult(false);
        await app.WarmUpAsync();
        app.Log.Texts(LogLevel.Warning).Should().BeEmpty();
    }

    [Fact]
    public async Task App_is_ready_after_2_seconds_even_if_Firestore_does_not_respond()
    {
        var (time, reading) = (new FakeTimeProvider(), new TaskCompletionSource());
        await using var app = await GreeterApp.StartAsync(
            calls => calls.Before = (_, context) =>
            {
                reading.TrySetResult();
                return FirestoreCalls.HangAsync(context);
            },
            time);
        using var probe = app.CreateVisitor();
        await reading.Task.WaitAsync(TimeSpan.FromSeconds(30));
        (await probe.GetAsync("/health/ready")).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);

        time.Advance(TimeSpan.FromSeconds(2));

        // By itself, the client would give up after 60 s.
        await app.WarmUpAsync().WaitAsync(TimeSpan.FromSeconds(30));
        app.Log.Texts(LogLevel.Warning).Should().ContainSingle().Which.Should().Contain("first read of Firestore");
    }

    [Fact]
    public async Task App_is_not_ready_while_it_stops()
    {
        await using var app = await GreeterApp.StartAsync();
        await app.WarmUpAsync();
        using var probe = app.CreateVisitor();
        HttpStatusCode? whileStopping = null;
        var lifetime = app.Services.GetRequiredService<IHostApplicationLifetime>();
        lifetime.ApplicationStopping.Register(() =>
            whileStopping = probe.GetAsync("/health/ready").GetAwaiter().GetResult().StatusCode);

        lifetime.StopApplication();

        whileStopping.Should().Be(HttpStatusCode.ServiceUnavailable);
    }
}
