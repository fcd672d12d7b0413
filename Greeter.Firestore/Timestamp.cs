namespace Greeter.Firestore;

using Proto = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>An instant with a precision of one nanosecond, from 0001-01-01 to 9999-12-31.</summary>
/// <remarks>Firestore stores whole microseconds and rounds down. Source:
/// https://firebase.google.com/docs/firestore/manage-data/data-types#data_types</remarks>
public readonly record struct Timestamp : IComparable, IComparable<Timestamp>
{
    private const int NanosecondsPerTick = 100;
    private const int NanosecondsPerMicrosecond = 1000;

    private readonly long seconds;
    private readonly int nanoseconds;

    private Timestamp(long seconds, int nanoseconds) => (this.seconds, this.nanoseconds) = (seconds, nanoseconds);

    /// <summary>Returns the current time of the system clock.</summary>
    /// <returns>The time, with a precision of 100 ns.</returns>
    public static Timestamp GetCurrentTimestamp() => FromDateTime(DateTime.UtcNow);

    /// <summary>Converts a <see cref="DateTimeOffset"/>.</summary>
    /// <param name="dateTimeOffset">The instant. The timestamp doesn't keep its offset.</param>
    /// <returns>The timestamp.</returns>
    public static Timestamp FromDateTimeOffset(DateTimeOffset dateTimeOffset) => FromDateTime(dateTimeOffset.UtcDateTime);

    /// <summary>Converts a <see cref="DateTime"/>.</summary>
    /// <param name="dateTime">The instant. Its kind must be <see cref="DateTimeKind.Utc"/>.</param>
    /// <returns>The timestamp.</returns>
    /// <exception cref="ArgumentException">The kind is local or unspecified.</exception>
    public static Timestamp FromDateTime(DateTime dateTime)
    {
        if (dateTime.Kind != DateTimeKind.Utc)
        {
            throw new ArgumentException($"A timestamp requires a UTC time, but this one is {dateTime.Kind}.", nameof(dateTime));
        }
        var (seconds, ticks) = Math.DivRem(dateTime.Ticks, TimeSpan.TicksPerSecond);
        return new(seconds - (DateTime.UnixEpoch.Ticks / TimeSpan.TicksPerSecond), (int)ticks * NanosecondsPerTick);
    }

    /// <summary>Converts the timestamp to a <see cref="DateTimeOffset"/>.</summary>
    /// <returns>The instant with the offset zero, rounded down to 100 ns.</returns>
    public DateTimeOffset ToDateTimeOffset() =>
        DateTimeOffset.UnixEpoch.AddSeconds(seconds).AddTicks(nanoseconds / NanosecondsPerTick);

    /// <summary>Converts the timestamp to a <see cref="DateTime"/>.</summary>
    /// <returns>The instant in UTC, rounded down to 100 ns.</returns>
    public DateTime ToDateTime() => ToDateTimeOffset().UtcDateTime;

    /// <summary>Compares this instant with another.</summary>
    /// <param name="other">The other instant.</param>
    /// <returns>Less than zero if this instant is earlier, zero if both are the same, more than zero if this one is
    /// later.</returns>
    public int CompareTo(Timestamp other) => (seconds, nanoseconds).CompareTo((other.seconds, other.nanoseconds));

    /// <summary>Compares this instant with another.</summary>
    /// <param name="obj">The other instant; <c>null</c> comes before every instant.</param>
    /// <returns>Less than zero if this instant is earlier, zero if both are the same, more than zero if this one is
    /// later.</returns>
    /// <exception cref="ArgumentException"><paramref name="obj"/> isn't a timestamp.</exception>
    public int CompareTo(object? obj) => obj switch
    {
        null => 1,
        Timestamp other => CompareTo(other),
        _ => throw new ArgumentException($"A timestamp can't be compared with {obj.GetType()}.", nameof(obj)),
    };

    /// <summary>Returns whether an instant is earlier than another.</summary>
    /// <param name="left">The first instant.</param>
    /// <param name="right">The second instant.</param>
    /// <returns><c>true</c> if the first is earlier.</returns>
    public static bool operator <(Timestamp left, Timestamp right) => left.CompareTo(right) < 0;

    /// <summary>Returns whether an instant is later than another.</summary>
    /// <param name="left">The first instant.</param>
    /// <param name="right">The second instant.</param>
    /// <returns><c>true</c> if the first is later.</returns>
    public static bool operator >(Timestamp left, Timestamp right) => left.CompareTo(right) > 0;

    /// <summary>Returns whether an instant is earlier than another or the same.</summary>
    /// <param name="left">The first instant.</param>
    /// <param name="right">The second instant.</param>
    /// <returns><c>true</c> if the first is earlier or the same.</returns>
    public static bool operator <=(Timestamp left, Timestamp right) => left.CompareTo(right) <= 0;

    /// <summary>Returns whether an instant is later than another or the same.</summary>
    /// <param name="left">The first instant.</param>
    /// <param name="right">The second instant.</param>
    /// <returns><c>true</c> if the first is later or the same.</returns>
    public static bool operator >=(Timestamp left, Timestamp right) => left.CompareTo(right) >= 0;

    /// <summary>Returns the instant in the format of RFC 3339.</summary>
    /// <returns>For instance <c>Timestamp: 2026-01-31T12:00:00.250Z</c>.</returns>
    public override string ToString() => $"Timestamp: {ToProto().ToString().Trim('"')}";

    internal static Timestamp FromProto(Proto proto) => new(proto.Seconds, proto.Nanos);

    internal static Timestamp? FromProtoOrNull(Proto? proto) => proto is null ? null : FromProto(proto);

    internal Proto ToProto() => new() { Seconds = seconds, Nanos = nanoseconds };

    /// <summary>Converts the timestamp and rounds it down to microseconds, as Firestore does.</summary>
    internal Proto ToStored() =>
        new() { Seconds = seconds, Nanos = nanoseconds / NanosecondsPerMicrosecond * NanosecondsPerMicrosecond };
}
