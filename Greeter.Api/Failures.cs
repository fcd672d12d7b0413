using Microsoft.AspNetCore.Http.Timeouts;

namespace Greeter.Api;

/// <summary>What a visitor gets, and the log says, when Firestore fails.</summary>
internal static class Failures
{
    /// <summary>Middleware: 500 where somebody must mend something, which the log names; else 503 and try again. Nothing for a
    /// visitor who has left.</summary>
    public static async Task AnswerAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context);
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            var timeout = context.Features.Get<IHttpRequestTimeoutFeature>();
            var isOverBudget = timeout?.RequestTimeoutToken.IsCancellationRequested == true;
            var hasVisitorLeft = context.RequestAborted.IsCancellationRequested && !isOverBudget;
            if (!hasVisitorLeft)
            {
                await AnswerAsync(context, e, isOverBudget);
            }
        }
    }

    private static Task AnswerAsync(HttpContext context, Exception e, bool isOverBudget)
    {
        var (status, advice) = isOverBudget ? (503, "Firestore took longer than the budget") : Diagnose(e);
        var reason = e.InnerException as RpcException ?? e;
        context.RequestServices.GetRequiredService<ILogger<Program>>().LogError(e, "{Advice}. {Reason}", advice, reason.Message);
        if (status == StatusCodes.Status503ServiceUnavailable)
        {
            context.Response.Headers.RetryAfter = "1";
        }
        var page = status == StatusCodes.Status503ServiceUnavailable
            ? "<body>Your greeting cannot be looked up right now, please try again in a moment.</body>"
            : "<body>Your greeting cannot be looked up: the site is not set up right, its log says what to do.</body>";
        return Results.Content(page, "text/html; charset=utf-8", contentEncoding: null, status).ExecuteAsync(context);
    }

    private static (int Status, string Advice) Diagnose(Exception e) => (e as RpcException)?.StatusCode switch
    {
        null => (500, "Greeter failed"),
        StatusCode.PermissionDenied => (500, "Firestore refuses: enable its API (gcloud services enable "
            + "firestore.googleapis.com) and grant the app's service account roles/datastore.user"),
        StatusCode.Unauthenticated => (500, "Firestore does not know the app: give it a service account, or on a laptop run "
            + "gcloud auth application-default login"),
        StatusCode.NotFound => (500, "There is no such database: create it (gcloud firestore databases create --location=…), or "
            + "check GOOGLE_CLOUD_PROJECT and Firestore__DatabaseId"),
        StatusCode.FailedPrecondition => (500, "The database is not in Native mode: use another one (gcloud firestore databases "
            + "create --database=… and Firestore__DatabaseId)"),
        StatusCode.InvalidArgument => (500, "Firestore calls the request invalid: check GOOGLE_CLOUD_PROJECT and "
            + "Firestore__DatabaseId"),
        StatusCode.Unimplemented => (500, "What answers is not Firestore: check FIRESTORE_EMULATOR_HOST or "
            + "Firestore__Endpoint"),
        _ => (503, "Firestore failed"),
    };
}
