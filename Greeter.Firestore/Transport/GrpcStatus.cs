using System.Globalization;
using System.Net.Http.Headers;

namespace Greeter.Firestore.Transport;

/// <summary>Finds the status of a call in a response, or derives one from HTTP or from an exception.</summary>
internal static class GrpcStatus
{
    public const string Name = "grpc-status";
    public const string MessageName = "grpc-message";

    /// <summary>Throws unless the response is a gRPC response. A proxy's error page is not.</summary>
    /// <exception cref="RpcException">The HTTP version, status or content type is not gRPC's.</exception>
    public static void ThrowIfNotGrpc(HttpResponseMessage response)
    {
        if (response.Version.Major < 2)
        {
            throw new RpcException(StatusCode.Internal, $"The response came over HTTP/{response.Version}. gRPC needs HTTP/2.");
        }
        if ((int)response.StatusCode != 200)
        {
            var status = (int)response.StatusCode;
            throw new RpcException(FromHttp(status), $"The response has HTTP status {status}.");
        }
        var mediaType = response.Content.Headers.ContentType?.MediaType;
        if (mediaType != "application/grpc" && mediaType?.StartsWith("application/grpc+", StringComparison.Ordinal) != true)
        {
            throw new RpcException(StatusCode.Unknown, $"The response has type '{mediaType}', not application/grpc.");
        }
    }

    /// <summary>Returns whether the headers or trailers have a status, which then is OK.</summary>
    /// <exception cref="RpcException">The status is not OK.</exception>
    public static bool ThrowIfFailed(HttpResponseHeaders headers)
    {
        if (!headers.TryGetValues(Name, out var values))
        {
            return false;
        }
        var text = string.Join(',', values);
        var isKnown = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var code)
            && Enum.IsDefined((StatusCode)code);
        if (isKnown && code == (int)StatusCode.OK)
        {
            return true;
        }
        // Percent-encoded UTF-8: "Status-Message" in https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
        var detail = headers.TryGetValues(MessageName, out var texts) ? Uri.UnescapeDataString(string.Join(',', texts)) : "";
        throw isKnown
            ? new RpcException((StatusCode)code, detail)
            : new RpcException(StatusCode.Unknown, $"The response has grpc-status '{text}'. {detail}");
    }

    /// <summary>Returns the status of a call that ended with an exception of the transport.</summary>
    public static StatusCode FromTransport(Exception exception)
    {
        for (var e = exception; e is not null; e = e.InnerException)
        {
            if (e is HttpProtocolException protocol)
            {
                return FromHttp2Error(protocol.ErrorCode);
            }
        }
        return exception is EndOfStreamException
            or HttpRequestException { HttpRequestError: HttpRequestError.VersionNegotiationError }
            ? StatusCode.Internal
            : StatusCode.Unavailable;
    }

    // "Errors" in https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; codes: RFC 9113, section 7
    private static StatusCode FromHttp2Error(long code) => code switch
    {
        0x7 => StatusCode.Unavailable,
        0x8 => StatusCode.Cancelled,
        0xb => StatusCode.ResourceExhausted,
        0xc => StatusCode.PermissionDenied,
        _ => StatusCode.Internal,
    };

    // https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    private static StatusCode FromHttp(int status) => status switch
    {
        400 => StatusCode.Internal,
        401 => StatusCode.Unauthenticated,
        403 => StatusCode.PermissionDenied,
        404 => StatusCode.Unimplemented,
        429 or 502 or 503 or 504 => StatusCode.Unavailable,
        _ => StatusCode.Unknown,
    };
}
