namespace Greeter.Firestore;

/// <summary>The result of one write.</summary>
public sealed class WriteResult
{
    internal WriteResult(Timestamp updateTime) => UpdateTime = updateTime;

    /// <summary>Gets the time at which the document last changed, in microseconds; for a delete, the time of the commit.</summary>
    /// <remarks>A write that changes nothing keeps the document's time. You can use the time in
    /// <see cref="Precondition.LastUpdated(Timestamp)"/>.</remarks>
    public Timestamp UpdateTime { get; }
}
