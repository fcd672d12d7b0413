using System.Diagnostics;
using System.Net;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;
using Greeter.Tests.Infrastructure;
using Microsoft.Extensions.Logging;

namespace Greeter.Tests;

/// <summary>The responses and log entries when Firestore fails.</summary>
[Collection(nameof(Alone))]
public class FailureTests
{
    [Theory]
    [InlineData(7, "Missing or insufficient permissions.", "gcloud services enable firestore.googleapis.com")]
    [InlineData(16, "Request had invalid authentication credentials.", "gcloud auth application-default login")]
    [InlineData(5, "The database (default) does not exist.", "gcloud firestore databases create")]
    [InlineData(9, "The Cloud Firestore API is not available for Datastore Mode.", "isn't in Native mode")]
    [InlineData(3, "Invalid project id.", "Check GOOGLE_CLOUD_PROJECT and Firestore__DatabaseId")]
    [InlineData(12, "Method not found.", "Check FIRESTORE_EMULATOR_HOST and Firestore__Endpoint")]
    public async Task Configuration_error_returns_500_and_logs_advice(int status, string detail, string advice)
    {
        await using var app = await StartFailingAsync(status, detail);
        using var visitor = app.CreateVisitor();

        using var response = await visitor.GetAsync("/");

        response.StatusCode.Should().Be(HttpStatusCode.InternalServerError);
        await ShouldBeAPageForTheVisitorAsync(response);
        var error = app.Log.Texts(LogLevel.Error).Should().ContainSingle().Subject;
        error.Should().Contain(advice).And.Contain(detail);
        app.Calls.Methods.Should().Equal(["Commit"], "a retry would fail again");
    }

    [Theory]
    [InlineData(14, "The service is currently unavailable.")]
    [InlineData(8, "Quota exceeded.")]
    [InlineData(10, "Too much contention on these documents.")]
    [InlineData(13, "Internal error encountered.")]
    [InlineData(2, "Unknown.")]
    [InlineData(4, "Deadline expired before operation could complete.")]
    public async Task Transient_error_returns_503_within_the_request_timeout_and_logs_one_error(int status, string detail)
    {
        await using var app = await StartFailingAsync(status, detail);

        await ShouldBe503InTimeAsync(app, detail);
    }

    [Fact]
    public async Task Unresponsive_Firestore_returns_503_within_the_request_timeout()
    {
        await using var app = await StartFailingAsync(async (_, cancellationToken) =>
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return null;
        });

        await ShouldBe503InTimeAsync(app, "took longer than the request timeout");
    }

    [Fact]
    public async Task Malformed_response_from_Firestore_returns_503()
    {
        await using var app = await StartFailingAsync((_, _) =>
            Task.FromResult<HttpResponseMessage?>(new(HttpStatusCode.OK) { Content = new StringContent("<html>") }));

        await ShouldBe503InTimeAsync(app, "Firestore failed");
    }

    [Fact]
    public async Task Exception_that_is_not_a_Firestore_failure_returns_500_with_one_error()
    {
        // The client throws NotSupportedException for a value of no known type.
        var document = new Document { UpdateTime = new() { Seconds = 1 }, Fields = { ["greeting"] = new Value() } };
        var frame = GrpcFrame.Encode(new BatchGetDocumentsResponse { Found = document });
        await using var app = await StartFailingAsync((_, _) => Task.FromResult<HttpResponseMessage?>(new()
        {
            Version = HttpVersion.Version20,
            Content = new ByteArrayContent(frame) { Headers = { ContentType = GrpcFrame.ContentType } },
            TrailingHeaders = { { "grpc-status", "0" } },
        }));
        using var visitor = app.CreateVisitor(cookies: false);
        visitor.DefaultRequestHeaders.Add("Cookie", $"session_id={new string('a', 32)}");

        using var response = await visitor.GetAsync("/");

        response.StatusCode.Should().Be(HttpStatusCode.InternalServerError);
        await ShouldBeAPageForTheVisitorAsync(response);
        app.Log.Texts(LogLevel.Error).Should().ContainSingle().Which.Should().Contain("Firestore sent a value");
    }

    [Fact]
    public async Task App_recovers_as_soon_as_Firestore_does()
    {
        var isDown = true;
        await using var app = await StartFailingAsync((_, _) => Task.FromResult(isDown ? GrpcAnswer.Failure(13, "down") : null));
        (await app.VisitAsync()).Status.Should().Be(HttpStatusCode.ServiceUnavailable);

        isDown = false;

        (await app.VisitAsync()).Views.Should().Be(1);
    }

    [EmulatorFact]
    public async Task Every_response_is_200_or_503_in_time_while_the_emulator_restarts_and_freezes()
    {
        var port = Emulator.FreePort();
        var emulator = await Emulator.StartAsync(port);
        await using var app = await GreeterProcess.StartAsync(
            ("FIRESTORE_EMULATOR_HOST", emulator.Host), ("Request__Timeout", "00:00:02"));
        using var load = new Load(app.Address, visitors: 8);

        await load.UntilAsync(HttpStatusCode.OK);
        await emulator.DisposeAsync();
        await load.UntilAsync(HttpStatusCode.ServiceUnavailable);
        emulator = await Emulator.StartAsync(port);
        await load.UntilAsync(HttpStatusCode.OK);
        emulator.Freeze();
        await load.UntilAsync(HttpStatusCode.ServiceUnavailable);
        emulator.Thaw();
        await load.UntilAsync(HttpStatusCode.OK);
        var answers = await load.StopAsync();
        await emulator.DisposeAsync();

        answers.Select(answer => answer.Status).Distinct()
            .Should().BeSubsetOf([HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable]);
        answers.Max(answer => answer.Duration)
            .Should().BeLessThan(TimeSpan.FromSeconds(3), "that is the request timeout and 1 s");
        app.Output.Count(line => line.Contains("\"severity\":\"ERROR\"", StringComparison.Ordinal))
            .Should().BeLessThanOrEqualTo(answers.Count(answer => answer.Status == HttpStatusCode.ServiceUnavailable));
    }

    private static Task<GreeterApp> StartFailingAsync(int status, string detail) =>
        StartFailingAsync((_, _) => Task.FromResult<HttpResponseMessage?>(GrpcAnswer.Failure(status, detail)));

    private static async Task<GreeterApp> StartFailingAsync(Func<string, CancellationToken, Task<HttpResponseMessage?>> before)
    {
        var app = await GreeterApp.StartAsync(Store.Embedded, ("Request:Timeout", "00:00:01"));
        await app.WarmUpAsync();
        app.Calls.Before = before;
        return app;
    }

    private static async Task ShouldBe503InTimeAsync(GreeterApp app, string logged)
    {
        using var visitor = app.CreateVisitor();
        var started = Stopwatch.GetTimestamp();

        using var response = await visitor.GetAsync("/");

        Stopwatch.GetElapsedTime(started).Should().BeLessThan(TimeSpan.FromSeconds(2), "that is the request timeout and 1 s");
        response.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        response.Headers.RetryAfter!.ToString().Should().Be("1");
        await ShouldBeAPageForTheVisitorAsync(response);
        app.Log.Texts(LogLevel.Error).Should().ContainSingle().Which.Should().Contain(logged);
        app.Log.Texts(LogLevel.Warning).Should().BeEmpty();
    }

    private static async Task ShouldBeAPageForTheVisitorAsync(HttpResponseMessage response)
    {
        response.Headers.Contains("Set-Cookie").Should().BeFalse();
        response.Content.Headers.ContentType!.ToString().Should().Be("text/html; charset=utf-8");
        (await response.Content.ReadAsStringAsync()).Should().MatchRegex(@"^<body>[^<]+\.</body>$");
        AppTests.ShouldHaveSecurityHeaders(response);
    }
}
