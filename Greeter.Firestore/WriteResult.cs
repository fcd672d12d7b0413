namespace Greeter.Firestore;

/// <summary>The result of one write.</summary>
public sealed class WriteResult
{
    /// <param name="updateTime">The time at which the document changed.</param>
    internal WriteResult(Timestamp updateTime) => UpdateTime = updateTime;

    /// <summary>Gets the time at which the document last changed, in microseconds; for a delete, the time of the commit.</summary>
    /// <remarks>A write that changes nothing keeps the document's time. <see cref="Precondition.LastUpdated(Timestamp)"/>
    /// takes this value.</remarks>
    public Timestamp UpdateTime { get; }
}
