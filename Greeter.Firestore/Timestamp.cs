namespace Greeter.Firestore;

using Proto = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>An instant with a precision of one nanosecond, from 0001-01-01 to 9999-12-31.</summary>
/// <remarks>Firestore stores whole microseconds and rounds down. Source:
/// https://firebase.google.com/docs/firestore/manage-data/data-types#data_types</remarks>
public readonly record struct Timestamp : IComparable, IComparable<Timestamp>
{
    private readonly long seconds;
    private readonly int nanoseconds;

    private Timestamp(long seconds, int nanoseconds) => (this.seconds, this.nanoseconds) = (seconds, nanoseconds);

    /// <summary>Returns the current time of the system clock, with a precision of 100 ns.</summary>
    public static Timestamp GetCurrentTimestamp() => FromDateTime(DateTime.UtcNow);

    /// <summary>Converts a <see cref="DateTimeOffset"/>, whose offset isn't kept.</summary>
    public static Timestamp FromDateTimeOffset(DateTimeOffset dateTimeOffset) => FromProto(Proto.FromDateTimeOffset(dateTimeOffset));

    /// <summary>Converts a <see cref="DateTime"/>.</summary>
    /// <exception cref="ArgumentException">Its kind isn't <see cref="DateTimeKind.Utc"/>.</exception>
    public static Timestamp FromDateTime(DateTime dateTime) => FromProto(Proto.FromDateTime(dateTime));

    /// <summary>Converts the timestamp to a <see cref="DateTimeOffset"/> with the offset zero, rounded down to 100 ns.</summary>
    public DateTimeOffset ToDateTimeOffset() => ToProto().ToDateTimeOffset();

    /// <summary>Converts the timestamp to a <see cref="DateTime"/> in UTC, rounded down to 100 ns.</summary>
    public DateTime ToDateTime() => ToProto().ToDateTime();

    /// <summary>Compares this instant with another.</summary>
    /// <returns>Less than zero if this instant is earlier, zero if both are the same, more than zero if this one is later.</returns>
    public int CompareTo(Timestamp other) => (seconds, nanoseconds).CompareTo((other.seconds, other.nanoseconds));

    /// <inheritdoc cref="CompareTo(Timestamp)"/>
    /// <param name="obj">The other instant; <c>null</c> comes before every instant.</param>
    /// <exception cref="ArgumentException"><paramref name="obj"/> isn't a timestamp.</exception>
    public int CompareTo(object? obj) => obj switch
    {
        null => 1,
        Timestamp other => CompareTo(other),
        _ => throw new ArgumentException($"{obj.GetType()} isn't a {nameof(Timestamp)}.", nameof(obj)),
    };

    /// <summary>Returns whether an instant is earlier than another.</summary>
    public static bool operator <(Timestamp left, Timestamp right) => left.CompareTo(right) < 0;

    /// <summary>Returns whether an instant is later than another.</summary>
    public static bool operator >(Timestamp left, Timestamp right) => left.CompareTo(right) > 0;

    /// <summary>Returns whether an instant is earlier than another or the same.</summary>
    public static bool operator <=(Timestamp left, Timestamp right) => left.CompareTo(right) <= 0;

    /// <summary>Returns whether an instant is later than another or the same.</summary>
    public static bool operator >=(Timestamp left, Timestamp right) => left.CompareTo(right) >= 0;

    /// <summary>Returns the instant in the format of RFC 3339.</summary>
    /// <returns>For instance <c>Timestamp: 2026-01-31T12:00:00.250Z</c>.</returns>
    public override string ToString() => $"Timestamp: {ToProto().ToString().Trim('"')}";

    internal static Timestamp FromProto(Proto proto) => new(proto.Seconds, proto.Nanos);

    internal static Timestamp? FromProtoOrNull(Proto? proto) => proto is null ? null : FromProto(proto);

    internal Proto ToProto() => new() { Seconds = seconds, Nanos = nanoseconds };

    /// <summary>Converts the timestamp and rounds it down to microseconds, as Firestore does.</summary>
    internal Proto ToStored() => new() { Seconds = seconds, Nanos = nanoseconds / 1000 * 1000 };
}
