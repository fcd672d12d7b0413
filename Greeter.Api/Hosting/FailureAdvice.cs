namespace Greeter.Api.Hosting;

/// <summary>Says what to do about a failure of Firestore.</summary>
internal static class FailureAdvice
{
    /// <summary>Returns the status of the response, and what happened and what to do.</summary>
    public static (int Status, string Advice) Diagnose(this FirestoreDatabase database, Exception exception)
    {
        if (exception is not RpcException failure)
        {
            return (500, "Unexpected error. The stack trace shows where it happened.");
        }
        var reason = failure.Status.Detail;
        var isEmulator = database.Kind == DatabaseKind.Emulator;
        return failure.StatusCode switch
        {
            StatusCode.PermissionDenied => (500, "Firestore denied access. Enable the API (gcloud services enable "
                + "firestore.googleapis.com) and grant the app's service account roles/datastore.user."),
            // The words of Google's server for access tokens.
            StatusCode.Unauthenticated when reason.Contains("timeframe", StringComparison.Ordinal) => (500,
                "Google rejected the time of this machine. Correct its clock."),
            StatusCode.Unauthenticated when reason.Contains("does not contain a JSON object", StringComparison.Ordinal) => (500,
                "The server for access tokens isn't Google's. Correct token_uri in the credentials file, or the proxy in between."),
            StatusCode.Unauthenticated => (500, "Firestore rejected the app's credentials. Give the app a service account. On a "
                + "laptop, run gcloud auth application-default login."),
            StatusCode.NotFound => (500, "The database doesn't exist. Create it (gcloud firestore databases create --location=…) "
                + "or correct GOOGLE_CLOUD_PROJECT and Firestore__DatabaseId."),
            StatusCode.FailedPrecondition or StatusCode.InvalidArgument
                when isEmulator && reason.Contains("mode", StringComparison.OrdinalIgnoreCase) => (500,
                "The emulator's database isn't in Native mode. Restart the emulator without --database-mode=datastore-mode."),
            StatusCode.FailedPrecondition => (500, "The database isn't in Native mode. Create another one (gcloud firestore "
                + "databases create --database=… --location=…) and set Firestore__DatabaseId to its ID."),
            StatusCode.InvalidArgument => (500, "Firestore rejected the request as invalid. Check GOOGLE_CLOUD_PROJECT and "
                + "Firestore__DatabaseId."),
            StatusCode.Unimplemented => (500, "The server is not Firestore. Check FIRESTORE_EMULATOR_HOST and "
                + "Firestore__Endpoint."),
            _ => (503, database.Kind switch
            {
                DatabaseKind.Emulator => "Firestore failed. Check that the emulator in FIRESTORE_EMULATOR_HOST runs, or restart it.",
                DatabaseKind.Embedded => "The embedded store failed. If the reason doesn't say what to do, stop the app, and move the file "
                    + $"of {database.Server} away.",
                _ => "Firestore failed. If the reason doesn't say what to do, check the project's quotas and "
                    + "https://status.cloud.google.com.",
            }),
        };
    }
}
