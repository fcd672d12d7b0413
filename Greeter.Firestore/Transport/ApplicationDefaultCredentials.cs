using System.Net.Http.Headers;
using Google.Apis.Auth.OAuth2;
using Google.Apis.Auth.OAuth2.Responses;

namespace Greeter.Firestore.Transport;

/// <summary>
/// Who this process is for Google Cloud: a key file, the log-in of <c>gcloud auth application-default</c>, or the machine's
/// service account. Source: https://cloud.google.com/docs/authentication/application-default-credentials
/// </summary>
internal sealed class ApplicationDefaultCredentials
{
    private const string Scope = "https://www.googleapis.com/auth/datastore";
    private const string FileVariable = "GOOGLE_APPLICATION_CREDENTIALS";

    private readonly GoogleCredential credential;

    private ApplicationDefaultCredentials(GoogleCredential credential) => this.credential = credential;

    /// <summary>Finds them; asks the metadata server whether there is one where no file is named.</summary>
    /// <exception cref="InvalidOperationException">There are none, or they cannot be read.</exception>
    public static ApplicationDefaultCredentials Find()
    {
        var file = Environment.GetEnvironmentVariable(FileVariable);
        try
        {
            return new(GoogleCredential.GetApplicationDefaultAsync().GetAwaiter().GetResult().CreateScoped(Scope));
        }
        catch (Exception e) when (string.IsNullOrEmpty(file) && e is InvalidOperationException && e.InnerException is null)
        {
            throw new InvalidOperationException(
                "There is no place for the sessions: neither FIRESTORE_EMULATOR_HOST nor credentials for Cloud Firestore were found. "
                + "Run gcloud auth application-default login and set GOOGLE_CLOUD_PROJECT, "
                + "or set ASPNETCORE_ENVIRONMENT=Development to keep the sessions in a file.", e);
        }
        catch (Exception e)
        {
            var source = string.IsNullOrEmpty(file) ? "of gcloud auth application-default login" : $"in {file}, named by {FileVariable},";
            throw new InvalidOperationException(
                $"The credentials {source} cannot be read: {e.GetBaseException().Message.ReplaceLineEndings(" ").TrimEnd('.')}. "
                + "Make them anew, or set the variable to another file.", e);
        }
    }

    /// <summary>The project of the key, else of the machine, asked of its metadata server:
    /// https://cloud.google.com/compute/docs/metadata/querying-metadata</summary>
    /// <exception cref="InvalidOperationException">Neither has one.</exception>
    public string FindProjectId()
    {
        var projectId = credential.UnderlyingCredential switch
        {
            ServiceAccountCredential key => key.ProjectId,
            ComputeCredential => AskMetadataServer("project/project-id"),
            _ => null,
        };
        return string.IsNullOrEmpty(projectId)
            ? throw new InvalidOperationException("The credentials name no project: set GOOGLE_CLOUD_PROJECT to the one with the database.")
            : projectId;
    }

    /// <summary>Adds an access token, which is cached, and renewed before it ends.</summary>
    /// <exception cref="RpcException">UNAUTHENTICATED if Google does not take the credentials, UNAVAILABLE if it could not be
    /// asked.</exception>
    public async ValueTask AuthorizeAsync(Uri address, HttpRequestHeaders headers, CancellationToken cancellationToken)
    {
        try
        {
            var token = await ((ITokenAccessWithHeaders)credential).GetAccessTokenWithHeadersForRequestAsync(
                address.GetLeftPart(UriPartial.Authority), cancellationToken);
            headers.Authorization = new AuthenticationHeaderValue("Bearer", token.AccessToken);
            token.AddHeaders(headers);
        }
        catch (TokenResponseException e)
        {
            var code = e.StatusCode >= System.Net.HttpStatusCode.InternalServerError ? StatusCode.Unavailable : StatusCode.Unauthenticated;
            throw new RpcException(code, $"There is no access token: {e.Error?.Error} {e.Error?.ErrorDescription}".TrimEnd(), e);
        }
        catch (HttpRequestException e)
        {
            throw new RpcException(StatusCode.Unavailable, $"There is no access token: {e.GetBaseException().Message}", e);
        }
        catch (OperationCanceledException e)
        {
            throw new RpcException(StatusCode.Unavailable, "There is no access token yet: what gives them does not answer.", e);
        }
    }

    private static string? AskMetadataServer(string path)
    {
        var host = Environment.GetEnvironmentVariable("GCE_METADATA_HOST") is { Length: > 0 } set ? set : "169.254.169.254";
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
        using var request = new HttpRequestMessage(HttpMethod.Get, $"http://{host}/computeMetadata/v1/{path}");
        request.Headers.Add("Metadata-Flavor", "Google");
        try
        {
            using var response = client.Send(request).EnsureSuccessStatusCode();
            using var reader = new StreamReader(response.Content.ReadAsStream());
            return reader.ReadToEnd().Trim();
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
        {
            throw new InvalidOperationException(
                $"The metadata server at {host} does not tell the project id: {e.Message} Set GOOGLE_CLOUD_PROJECT.", e);
        }
    }
}
