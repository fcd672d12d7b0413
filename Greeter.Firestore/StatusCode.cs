namespace Greeter.Firestore;

/// <summary>The result of a gRPC call.</summary>
/// <remarks>Source: https://grpc.io/docs/guides/status-codes/. For Firestore's use of them, see
/// https://firebase.google.com/docs/firestore/understand-error-codes.</remarks>
public enum StatusCode
{
    /// <summary>The call succeeded.</summary>
    OK = 0,

    /// <summary>The call was cancelled, usually by the client.</summary>
    Cancelled = 1,

    /// <summary>The server reported an error without a known code.</summary>
    Unknown = 2,

    /// <summary>The request is invalid, whatever the state of the database.</summary>
    InvalidArgument = 3,

    /// <summary>The call took longer than its deadline allows, and a write may have taken place.</summary>
    DeadlineExceeded = 4,

    /// <summary>A document that must exist, or the database, doesn't exist.</summary>
    NotFound = 5,

    /// <summary>A document that must not exist exists.</summary>
    AlreadyExists = 6,

    /// <summary>The caller is known but isn't allowed to do this, or the API isn't enabled.</summary>
    PermissionDenied = 7,

    /// <summary>A quota is used up, a message is too large, or the server is overloaded.</summary>
    ResourceExhausted = 8,

    /// <summary>The database or a document isn't in the state that the request requires.</summary>
    FailedPrecondition = 9,

    /// <summary>The request conflicted with another one.</summary>
    Aborted = 10,

    /// <summary>A value is outside the range that is valid in the current state of the database.</summary>
    OutOfRange = 11,

    /// <summary>The server doesn't have this method.</summary>
    Unimplemented = 12,

    /// <summary>The server, or a message from it, is faulty.</summary>
    Internal = 13,

    /// <summary>The server can't be reached or doesn't accept calls at the moment.</summary>
    Unavailable = 14,

    /// <summary>Data is lost or corrupted.</summary>
    DataLoss = 15,

    /// <summary>The call has no valid credentials.</summary>
    Unauthenticated = 16,
}
