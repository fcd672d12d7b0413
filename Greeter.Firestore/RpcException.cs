namespace Greeter.Firestore;

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
