namespace Greeter.Firestore;

/// <summary>The status of a gRPC call: its code, and what the server or the transport said of it.</summary>
public readonly record struct Status(StatusCode StatusCode, string Detail);
