namespace Greeter.Firestore;

/// <summary>A condition on a document's state that a write requires.</summary>
/// <remarks>The write fails if the document doesn't meet it. Source:
/// https://firebase.google.com/docs/firestore/reference/rpc/google.firestore.v1#precondition</remarks>
public sealed class Precondition
{
    private Precondition(V1.Precondition? proto) => Proto = proto;

    /// <summary>Gets a precondition that every document meets.</summary>
    public static Precondition None { get; } = new(null);

    /// <summary>Gets a precondition that every existing document meets.</summary>
    /// <remarks>Otherwise the write fails with <see cref="StatusCode.NotFound"/>.</remarks>
    public static Precondition MustExist { get; } = new(new V1.Precondition { Exists = true });

    /// <summary>Gets whether the document must exist; <c>null</c> if the precondition doesn't say.</summary>
    public bool? Exists => Proto?.ConditionTypeCase == V1.Precondition.ConditionTypeOneofCase.Exists ? Proto.Exists : null;

    /// <summary>Gets the time at which the document must have changed last; <c>null</c> if no time is required.</summary>
    public Timestamp? LastUpdateTime => Timestamp.FromProtoOrNull(Proto?.UpdateTime);

    /// <summary>Gets the API's message for the precondition; <c>null</c> for <see cref="None"/>. Requests share it, so it must not be
    /// changed.</summary>
    internal V1.Precondition? Proto { get; }

    /// <summary>Creates a precondition that a document meets if it exists and was last changed at a time.</summary>
    /// <remarks>Otherwise the write fails with <see cref="StatusCode.FailedPrecondition"/>.</remarks>
    /// <param name="timestamp">The time: a <see cref="DocumentSnapshot.UpdateTime"/> or <see cref="WriteResult.UpdateTime"/>.</param>
    public static Precondition LastUpdated(Timestamp timestamp) => new(new V1.Precondition { UpdateTime = timestamp.ToProto() });
}
