using System.Globalization;
using System.Net;
using System.Net.Http.Headers;

namespace Greeter.Tests.Infrastructure;

internal static class GrpcAnswer
{
    /// <summary>Creates the response of a gRPC server to a failed call: a status without a body.</summary>
    public static HttpResponseMessage Failure(int status, string detail) => new(HttpStatusCode.OK)
    {
        Version = HttpVersion.Version20,
        Content = new ByteArrayContent([]) { Headers = { ContentType = new MediaTypeHeaderValue("application/grpc") } },
        Headers =
        {
            { "grpc-status", status.ToString(CultureInfo.InvariantCulture) },
            { "grpc-message", Uri.EscapeDataString(detail) },
        },
    };
}
