namespace Greeter.Firestore;

/// <summary>The exception for a gRPC call that ended with a status other than <see cref="StatusCode.OK"/>.</summary>
/// <remarks>The inner exception is the status's <see cref="Status.DebugException"/>, so that logs show it.</remarks>
public class RpcException : Exception
{
    /// <summary>Creates an exception whose message is the status's code and text.</summary>
    /// <param name="status">The status of the call.</param>
    public RpcException(Status status)
        : this(status, status.ToString())
    {
    }

    /// <summary>Creates an exception.</summary>
    /// <param name="status">The status of the call.</param>
    /// <param name="message">The message.</param>
    public RpcException(Status status, string message)
        : base(message, status.DebugException) => Status = status;

    /// <summary>Creates an exception whose message is the code and the text.</summary>
    /// <param name="statusCode">The code.</param>
    /// <param name="detail">The text that explains it.</param>
    /// <param name="debugException">The cause; <c>null</c> if there is none.</param>
    internal RpcException(StatusCode statusCode, string detail, Exception? debugException = null)
        : this(new Status(statusCode, detail, debugException))
    {
    }

    /// <summary>Gets the status of the call.</summary>
    public Status Status { get; }

    /// <summary>Gets the status's code.</summary>
    public StatusCode StatusCode => Status.StatusCode;
}
