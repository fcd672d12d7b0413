namespace Greeter.Firestore;

/// <summary>The status of a gRPC call: a code, and a text that explains it.</summary>
/// <remarks>Source: https://grpc.io/docs/guides/status-codes/</remarks>
public readonly struct Status
{
    /// <summary>Creates a status.</summary>
    /// <param name="statusCode">The code.</param>
    /// <param name="detail">The text that explains it, for people.</param>
    public Status(StatusCode statusCode, string detail)
        : this(statusCode, detail, null)
    {
    }

    /// <summary>Creates a status with the exception that caused it.</summary>
    /// <param name="statusCode">The code.</param>
    /// <param name="detail">The text that explains it, for people.</param>
    /// <param name="debugException">The cause, for debugging; <c>null</c> if there is none.</param>
    public Status(StatusCode statusCode, string detail, Exception? debugException) =>
        (StatusCode, Detail, DebugException) = (statusCode, detail, debugException);

    /// <summary>Gets the code.</summary>
    public StatusCode StatusCode { get; }

    /// <summary>Gets the text that explains the code, for people; its wording can change.</summary>
    public string Detail { get; }

    /// <summary>Gets the exception that caused the status, for debugging; <c>null</c> if the server sent the status.</summary>
    public Exception? DebugException { get; }

    /// <summary>Returns the code and the text.</summary>
    /// <remarks>Unlike in Grpc.Core, the text doesn't repeat the names of the properties, and the exception isn't part of
    /// it.</remarks>
    /// <returns>For instance <c>NotFound: There is no such document.</c></returns>
    public override string ToString() => $"{StatusCode}: {Detail}";
}
