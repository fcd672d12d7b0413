using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.Extensions.Options;

namespace Greeter.Api.Hosting;

/// <summary>Limits the time of a request, and turns exceptions into responses: 500 for configuration errors, 503 for transient errors
/// and after the timeout.</summary>
internal static class FailureResponses
{
    private const string PageFor503 = "<body>We couldn't load your greeting right now. Please try again in a moment.</body>";
    private const string PageFor500 = "<body>We couldn't load your greeting. The log of this site tells its operator why.</body>";

    private const string TimeoutAdvice = "Firestore took longer than the request timeout. Check that the server in the reason runs and is "
        + "the right one (FIRESTORE_EMULATOR_HOST or Firestore__Endpoint), or raise Request__Timeout.";

    /// <summary>Adds the timeout of all requests.</summary>
    public static void AddRequestTimeout(this IServiceCollection services)
    {
        services.AddRequestTimeouts();
        services.AddOptions<RequestTimeoutOptions>().Configure<IOptions<Settings>>((options, settings) =>
            options.DefaultPolicy = new RequestTimeoutPolicy { Timeout = settings.Value.RequestTimeout });
    }

    /// <summary>Logs an exception with advice, and responds with a page. Does nothing if the client has disconnected.</summary>
    /// <remarks>UseExceptionHandler doesn't fit: it handles a request that timed out as if its client had disconnected.</remarks>
    public static void UseFailureResponses(this WebApplication app)
    {
        var database = app.Services.GetRequiredService<FirestoreDatabase>();
        app.Use(async (context, next) =>
        {
            try
            {
                await next(context);
            }
            catch (Exception e) when (!context.Response.HasStarted)
            {
                var timeout = context.Features.Get<IHttpRequestTimeoutFeature>();
                var hasTimedOut = timeout is not null && timeout.RequestTimeoutToken.IsCancellationRequested;
                var hasDisconnected = !hasTimedOut && context.RequestAborted.IsCancellationRequested;
                if (!hasDisconnected)
                {
                    var (status, advice) = hasTimedOut ? (503, TimeoutAdvice) : database.Diagnose(e);
                    // In Development, the stack trace of Firestore's failure would hide the sentence that says what to do.
                    var isBug = e is not RpcException && !hasTimedOut;
                    var trace = isBug || !app.Environment.IsDevelopment() ? e : null;
                    app.Logger.LogError(trace, "{Advice} {Reason}", advice, e.Reason());
                    await RespondAsync(context, status);
                }
            }
        });
    }

    /// <summary>Returns the reason of a failure, for the log.</summary>
    /// <remarks>If a request timed out while the client retried a call, the inner exception is the last failure of that call.</remarks>
    public static string Reason(this Exception exception) => (exception as RpcException ?? exception.InnerException as RpcException) switch
    {
        { StatusCode: StatusCode.Cancelled } when exception is OperationCanceledException => "There was no response.",
        { Status.Detail.Length: > 0 } failure => failure.Status.Detail,
        { } failure => $"The status is {failure.StatusCode}.",
        null => exception.Message,
    };

    private static Task RespondAsync(HttpContext context, int status)
    {
        var isTransient = status == StatusCodes.Status503ServiceUnavailable;
        if (isTransient)
        {
            context.Response.Headers.RetryAfter = "1";
        }
        var page = TypedResults.Content(isTransient ? PageFor503 : PageFor500, "text/html; charset=utf-8", statusCode: status);
        return page.ExecuteAsync(context);
    }
}
