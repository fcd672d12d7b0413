namespace Greeter.Testing;

/// <summary>The directions through a relay.</summary>
[Flags]
public enum Direction
{
    /// <summary>From the app to Firestore.</summary>
    Up = 1,

    /// <summary>From Firestore to the app.</summary>
    Down = 2,

    Both = Up | Down,
}

/// <summary>What a fault does to a connection.</summary>
public enum FaultKind
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Both ends are closed.</summary>
    Cut,

    /// <summary>Both ends are reset.</summary>
    Reset,

    /// <summary>One direction is closed; the other one continues.</summary>
    HalfClose,

    /// <summary>The bytes in one direction are dropped silently, even after the fault is cleared.</summary>
    Swallow,

    /// <summary>The bytes in one direction are replaced by random ones.</summary>
    Garbage,
}

/// <summary>A fault of the network.</summary>
/// <param name="Kind">What it does to a connection.</param>
/// <param name="Directions">In which directions.</param>
/// <param name="Within">The upper limit of the random number of bytes that pass first; 0 for none.</param>
public sealed record Fault(FaultKind Kind = FaultKind.None, Direction Directions = Direction.Both, int Within = 0)
{
    /// <summary>Gets the upper limit of the random delay of every read.</summary>
    public TimeSpan Delay { get; init; }
}
