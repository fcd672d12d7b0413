namespace Greeter.Api.Hosting;

/// <summary>Turns exceptions into responses: 500 for configuration errors, 503 for transient errors.</summary>
internal static class FailureResponses
{
    private const string TransientPage = "<body>We couldn't load your greeting right now. Please try again in a moment.</body>";
    private const string PermanentPage = "<body>We couldn't load your greeting. The operator of this site can find out why in its log.</body>";

    /// <summary>Logs the exception with advice, and answers with a page. Does nothing if the visitor has disconnected.</summary>
    public static void UseFailureResponses(this WebApplication app) => app.Use(async (context, next) =>
    {
        try
        {
            await next(context);
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            var hasTimedOut = context.HasTimedOut();
            var hasVisitorLeft = context.RequestAborted.IsCancellationRequested && !hasTimedOut;
            if (!hasVisitorLeft)
            {
                var (status, advice) = hasTimedOut ? (503, "Firestore took longer than the request timeout.") : Diagnose(e);
                // A canceled call has the error that the client was retrying inside.
                var reason = e.InnerException as RpcException ?? e;
                app.Logger.LogError(e, "{Advice} {Reason}", advice, reason.Message);
                await RespondAsync(context, status);
            }
        }
    });

    private static Task RespondAsync(HttpContext context, int status)
    {
        var isTransient = status == StatusCodes.Status503ServiceUnavailable;
        if (isTransient)
        {
            context.Response.Headers.RetryAfter = "1";
        }
        var page = isTransient ? TransientPage : PermanentPage;
        return TypedResults.Content(page, "text/html; charset=utf-8", contentEncoding: null, status).ExecuteAsync(context);
    }

    private static (int Status, string Advice) Diagnose(Exception e) => (e as RpcException)?.StatusCode switch
    {
        null => (500, "Greeter failed."),
        StatusCode.PermissionDenied => (500, "Firestore denied access. Enable the API (gcloud services enable "
            + "firestore.googleapis.com) and grant the app's service account roles/datastore.user."),
        StatusCode.Unauthenticated => (500, "Firestore rejected the app's credentials. Give the app a service account. On a laptop, "
            + "run gcloud auth application-default login."),
        StatusCode.NotFound => (500, "The database doesn't exist. Create it (gcloud firestore databases create --location=…), or "
            + "correct GOOGLE_CLOUD_PROJECT and Firestore__DatabaseId."),
        StatusCode.FailedPrecondition => (500, "The database isn't in Native mode. Create another one (gcloud firestore databases "
            + "create --database=… --location=…) and set Firestore__DatabaseId."),
        StatusCode.InvalidArgument => (500, "Firestore rejected the request as invalid. Check GOOGLE_CLOUD_PROJECT and "
            + "Firestore__DatabaseId."),
        StatusCode.Unimplemented => (500, "The server that answered is not Firestore. Check FIRESTORE_EMULATOR_HOST and "
            + "Firestore__Endpoint."),
        _ => (503, "Firestore failed."),
    };
}
