using Microsoft.AspNetCore.Http.Timeouts;

namespace Greeter.Api.Hosting;

/// <summary>Limits the time of a request, and turns exceptions into responses: 500 for configuration errors, 503 for transient errors
/// and after the timeout.</summary>
internal static class FailureResponses
{
    private const string PageFor503 = "<body>We couldn't load your greeting right now. Please try again in a moment.</body>";
    private const string PageFor500 = "<body>We couldn't load your greeting. The log of this site tells its operator why.</body>";

    private const string TimeoutAdvice = "Firestore took longer than the request timeout. Check FIRESTORE_EMULATOR_HOST or "
        + "Firestore__Endpoint, and that the server runs, or raise Request__Timeout.";

    /// <summary>Adds the timeout of all requests.</summary>
    public static void AddRequestTimeout(this IServiceCollection services, Settings settings) => services.AddRequestTimeouts(
        options => options.DefaultPolicy = new RequestTimeoutPolicy { Timeout = settings.RequestTimeout });

    /// <summary>Logs an exception with advice, and responds with a page. Does nothing if the client has disconnected.</summary>
    /// <remarks>UseExceptionHandler doesn't fit: it handles a request that timed out as if its client had disconnected.</remarks>
    public static void UseFailureResponses(this WebApplication app) => app.Use(async (context, next) =>
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
                var (status, advice) = hasTimedOut ? (503, TimeoutAdvice) : Diagnose(e);
                app.Logger.LogError(e, "{Advice} {Reason}", advice, e.Reason());
                await RespondAsync(context, status);
            }
        }
    });

    /// <summary>Returns the reason of a failure, for the log.</summary>
    /// <remarks>If a request timed out while the client retried a call, the inner exception is the last failure of that call.</remarks>
    public static string Reason(this Exception exception) =>
        (exception as RpcException ?? exception.InnerException as RpcException)?.Status.Detail ?? exception.Message;

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

    private static (int Status, string Advice) Diagnose(Exception exception)
    {
        if (exception is not RpcException failure)
        {
            return (500, "Unexpected error. The stack trace shows where it happened.");
        }
        return failure.StatusCode switch
        {
            StatusCode.PermissionDenied => (500, "Firestore denied access. Enable the API (gcloud services enable "
                + "firestore.googleapis.com) and grant the app's service account roles/datastore.user."),
            StatusCode.Unauthenticated => (500, "Firestore rejected the app's credentials. Give the app a service account. On a "
                + "laptop, run gcloud auth application-default login."),
            StatusCode.NotFound => (500, "The database doesn't exist. Create it (gcloud firestore databases create --location=…) "
                + "or correct GOOGLE_CLOUD_PROJECT and Firestore__DatabaseId."),
            StatusCode.FailedPrecondition => (500, "The database isn't in Native mode. Create another one (gcloud firestore "
                + "databases create --database=… --location=…) and set Firestore__DatabaseId to its ID."),
            StatusCode.InvalidArgument => (500, "Firestore rejected the request as invalid. Check GOOGLE_CLOUD_PROJECT and "
                + "Firestore__DatabaseId."),
            StatusCode.Unimplemented => (500, "The server is not Firestore. Check FIRESTORE_EMULATOR_HOST and "
                + "Firestore__Endpoint."),
            _ => (503, "Firestore failed. If the reason doesn't say what to do, check the project's quotas and "
                + "https://status.cloud.google.com."),
        };
    }
}
