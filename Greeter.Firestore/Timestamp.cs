namespace Greeter.Firestore;

/// <summary>
/// An instant with nanoseconds, from 0001-01-01 to 9999-12-31. Firestore stores whole microseconds and rounds down.
/// </summary>
public readonly record struct Timestamp : IComparable<Timestamp>
{
    private const int NanosecondsPerTick = 100;

    private readonly long seconds;
    private readonly int nanoseconds;

    private Timestamp(long seconds, int nanoseconds) => (this.seconds, this.nanoseconds) = (seconds, nanoseconds);

    /// <summary>The same instant; its offset is not kept.</summary>
    public static Timestamp FromDateTimeOffset(DateTimeOffset dateTimeOffset)
    {
        var (seconds, ticks) = Math.DivRem(dateTimeOffset.UtcTicks - DateTime.UnixEpoch.Ticks, TimeSpan.TicksPerSecond);
        return ticks < 0
            ? new(seconds - 1, (int)(ticks + TimeSpan.TicksPerSecond) * NanosecondsPerTick)
            : new(seconds, (int)ticks * NanosecondsPerTick);
    }

    /// <summary>The same instant. Its kind must be <see cref="DateTimeKind.Utc"/>.</summary>
    /// <exception cref="ArgumentException">The kind is local or unspecified.</exception>
    public static Timestamp FromDateTime(DateTime dateTime) => dateTime.Kind == DateTimeKind.Utc
        ? FromDateTimeOffset(new DateTimeOffset(dateTime))
        : throw new ArgumentException($"A timestamp needs a UTC time, this one is {dateTime.Kind}.", nameof(dateTime));

    /// <summary>The instant with offset zero, rounded down to 100 ns.</summary>
    public DateTimeOffset ToDateTimeOffset() =>
        DateTimeOffset.UnixEpoch.AddSeconds(seconds).AddTicks(nanoseconds / NanosecondsPerTick);

    /// <summary>The instant in UTC, rounded down to 100 ns.</summary>
    public DateTime ToDateTime() => ToDateTimeOffset().UtcDateTime;

    /// <inheritdoc/>
    public int CompareTo(Timestamp other) => (seconds, nanoseconds).CompareTo((other.seconds, other.nanoseconds));

    /// <summary>Whether the left instant is before the right one.</summary>
    public static bool operator <(Timestamp left, Timestamp right) => left.CompareTo(right) < 0;

    /// <summary>Whether the left instant is after the right one.</summary>
    public static bool operator >(Timestamp left, Timestamp right) => left.CompareTo(right) > 0;

    /// <summary>Whether the left instant is not after the right one.</summary>
    public static bool operator <=(Timestamp left, Timestamp right) => left.CompareTo(right) <= 0;

    /// <summary>Whether the left instant is not before the right one.</summary>
    public static bool operator >=(Timestamp left, Timestamp right) => left.CompareTo(right) >= 0;

    /// <summary>RFC 3339, for instance <c>2026-01-31T12:00:00.25Z</c>.</summary>
    public override string ToString() => ToProto().ToString().Trim('"');

    internal static Timestamp FromProto(Google.Protobuf.WellKnownTypes.Timestamp proto) => new(proto.Seconds, proto.Nanos);

    /// <summary>As Firestore stores it: in whole microseconds, rounded down.</summary>
    internal Google.Protobuf.WellKnownTypes.Timestamp ToStored() => new() { Seconds = seconds, Nanos = nanoseconds / 1000 * 1000 };

    internal Google.Protobuf.WellKnownTypes.Timestamp ToProto() => new() { Seconds = seconds, Nanos = nanoseconds };
}
