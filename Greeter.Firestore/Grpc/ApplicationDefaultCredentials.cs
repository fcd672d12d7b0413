using System.Net.Http.Headers;
using Google.Apis.Auth.OAuth2;

namespace Greeter.Firestore.Grpc;

/// <summary>Who this process is for Google Cloud: https://cloud.google.com/docs/authentication/application-default-credentials</summary>
internal sealed class ApplicationDefaultCredentials(GoogleCredential credential)
{
    private const string Scope = "https://www.googleapis.com/auth/datastore";

    /// <exception cref="InvalidOperationException">There are none, or they cannot be read.</exception>
    public static ApplicationDefaultCredentials Find() => new(GoogleCredential.GetApplicationDefault().CreateScoped(Scope));

    /// <summary>The project of the credentials, else of the machine.</summary>
    /// <exception cref="InvalidOperationException">Neither has one.</exception>
    public string FindProjectId() => (credential.UnderlyingCredential as ServiceAccountCredential)?.ProjectId
        ?? throw new InvalidOperationException("No project id was found: set GOOGLE_CLOUD_PROJECT.");

    /// <summary>Adds an access token, which is cached, and renewed before it ends.</summary>
    public async ValueTask AuthorizeAsync(Uri address, HttpRequestHeaders headers, CancellationToken cancellationToken)
    {
        var token = await ((ITokenAccess)credential).GetAccessTokenForRequestAsync(address.GetLeftPart(UriPartial.Authority), cancellationToken);
        headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }
}
