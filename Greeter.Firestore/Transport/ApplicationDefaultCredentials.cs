using System.Net;
using Google.Apis.Auth.OAuth2;
using Google.Apis.Auth.OAuth2.Responses;

namespace Greeter.Firestore.Transport;

/// <summary>The credentials of this process for Google Cloud: a key file, the ones of
/// <c>gcloud auth application-default login</c>, or those of the machine's service account.</summary>
/// <remarks>Source: https://cloud.google.com/docs/authentication/application-default-credentials</remarks>
internal sealed class ApplicationDefaultCredentials(GoogleCredential credential)
{
    private const string Scope = "https://www.googleapis.com/auth/datastore";
    private const string FileVariable = "GOOGLE_APPLICATION_CREDENTIALS";

    /// <summary>Finds the credentials. Without a file, this asks the metadata server whether the machine has some.</summary>
    /// <exception cref="InvalidOperationException">There are no credentials, or they can't be read.</exception>
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
                "The client found neither FIRESTORE_EMULATOR_HOST nor credentials for Cloud Firestore. "
                + $"Run gcloud auth application-default login, or set {FileVariable} to the path of a key file.{ProxyAdvice}", e);
        }
        // The library's messages, which are left out, have parts of the variable or the file. Either may be a key.
        catch (Exception) when (string.IsNullOrEmpty(file))
        {
            throw new InvalidOperationException(
                "The credentials of gcloud auth application-default login can't be read. Run the command again.");
        }
        catch (Exception) when (!File.Exists(file))
        {
            throw new InvalidOperationException(IsPath(file!)
                ? $"Could not find file {file}. Set {FileVariable} to the path of a key file."
                : $"{FileVariable} isn't the path of a file. Write the key to a file, and set the variable to its path.");
        }
        catch (Exception)
        {
            throw new InvalidOperationException($"The credentials file {file} can't be read, or isn't a key. "
                + $"Create a new key, or point {FileVariable} at another file.");
        }
    }

    /// <summary>Returns the project of the key, or the machine's project from the metadata server.</summary>
    /// <remarks>Source: https://cloud.google.com/compute/docs/metadata/querying-metadata</remarks>
    /// <exception cref="InvalidOperationException">The credentials don't name a project.</exception>
    public string FindProjectId()
    {
        var projectId = credential.UnderlyingCredential switch
        {
            ServiceAccountCredential key => key.ProjectId,
            ComputeCredential => Platform.Instance().ProjectId,
            _ => null,
        };
        return string.IsNullOrEmpty(projectId)
            ? throw new InvalidOperationException(
                $"The {(credential.UnderlyingCredential is ComputeCredential ? "metadata server doesn't" : "credentials don't")} name a "
                + $"project. Set GOOGLE_CLOUD_PROJECT to the project that contains the database.{ProxyAdvice}")
            : projectId;
    }

    /// <summary>Creates the credentials of a call. Tokens are cached, and renewed before they expire.</summary>
    public CallCredentials ToCallCredentials() => CallCredentials.FromInterceptor(AuthorizeAsync);

    /// <summary>Adds an access token to a call.</summary>
    /// <exception cref="RpcException">UNAUTHENTICATED: Google rejected the credentials. UNAVAILABLE: Google didn't
    /// respond.</exception>
    private async Task AuthorizeAsync(AuthInterceptorContext context, Metadata metadata)
    {
        try
        {
            var token = await ((ITokenAccessWithHeaders)credential)
                .GetAccessTokenWithHeadersForRequestAsync(context.ServiceUrl, context.CancellationToken).ConfigureAwait(false);
            metadata.Add("authorization", $"Bearer {token.AccessToken}");
            foreach (var (name, value) in token.Headers.SelectMany(header => header.Value, (header, value) => (header.Key, value)))
            {
                metadata.Add(name, value);
            }
        }
        catch (TokenResponseException e)
        {
            var isTransient = e.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests
                or >= HttpStatusCode.InternalServerError;
            var code = isTransient ? StatusCode.Unavailable : StatusCode.Unauthenticated;
            var reason = $"{e.Error?.Error} {e.Error?.ErrorDescription}".Trim();
            throw new RpcException(new Status(code, $"Google didn't issue an access token: {reason}"));
        }
        catch (HttpRequestException e)
        {
            throw new RpcException(new Status(
                StatusCode.Unavailable, $"The server for access tokens can't be reached: {e.GetBaseException().Message}"));
        }
        catch (OperationCanceledException)
        {
            throw new RpcException(new Status(StatusCode.Unavailable, "The server for access tokens doesn't answer."));
        }
    }

    // Google's library asks the metadata server through a proxy.
    private static string ProxyAdvice => Environment.GetEnvironmentVariables().Keys.Cast<string>().Any(
        name => name.Equals("HTTP_PROXY", StringComparison.OrdinalIgnoreCase))
            ? " On a machine of Google Cloud, add the metadata server, 169.254.169.254, to NO_PROXY."
            : "";

    // Not a key, which people set here by mistake.
    private static bool IsPath(string text) =>
        Path.IsPathRooted(text) && text.Length < 256 && !text.Any(c => char.IsControl(c) || c is '"' or '{' or '}');
}
