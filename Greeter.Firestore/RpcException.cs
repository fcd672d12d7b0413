namespace Greeter.Firestore;

/// <summary>How a gRPC call ended: https://grpc.github.io/grpc/core/md_doc_statuscodes.html</summary>
public enum StatusCode
{
    OK = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

/// <summary>The status of a gRPC call: its code, and what the server or the transport said of it.</summary>
public readonly record struct Status(StatusCode StatusCode, string Detail);

/// <summary>A call to Firestore that did not end with <see cref="StatusCode.OK"/>.</summary>
public sealed class RpcException(Status status, Exception? innerException = null)
    : Exception($"{status.StatusCode}: {status.Detail}", innerException)
{
    internal RpcException(StatusCode statusCode, string detail, Exception? innerException = null)
        : this(new Status(statusCode, detail), innerException)
    {
    }

    /// <summary>The code and the detail.</summary>
    public Status Status { get; } = status;

    /// <summary>The code alone.</summary>
    public StatusCode StatusCode => Status.StatusCode;
}
