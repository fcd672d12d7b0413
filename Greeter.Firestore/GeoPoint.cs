namespace Greeter.Firestore;

/// <summary>A place on Earth.</summary>
public readonly record struct GeoPoint
{
    /// <param name="latitude">Degrees, -90 to 90.</param>
    /// <param name="longitude">Degrees, -180 to 180.</param>
    /// <exception cref="ArgumentOutOfRangeException">One of them is out of its range.</exception>
    public GeoPoint(double latitude, double longitude)
    {
        Latitude = latitude is >= -90 and <= 90 ? latitude : throw new ArgumentOutOfRangeException(nameof(latitude));
        Longitude = longitude is >= -180 and <= 180 ? longitude : throw new ArgumentOutOfRangeException(nameof(longitude));
    }

    /// <summary>Degrees, -90 to 90.</summary>
    public double Latitude { get; }

    /// <summary>Degrees, -180 to 180.</summary>
    public double Longitude { get; }
}
