namespace Greeter.Firestore;

/// <summary>A point on Earth.</summary>
public readonly record struct GeoPoint
{
    /// <summary>Creates a point.</summary>
    /// <remarks>Unlike Google's client, this one refuses <see cref="double.NaN"/>, because Firestore does.</remarks>
    /// <param name="latitude">The latitude in degrees, from -90 to 90.</param>
    /// <param name="longitude">The longitude in degrees, from -180 to 180.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public GeoPoint(double latitude, double longitude)
    {
        Latitude = latitude is >= -90 and <= 90 ? latitude : throw new ArgumentOutOfRangeException(nameof(latitude));
        Longitude = longitude is >= -180 and <= 180 ? longitude : throw new ArgumentOutOfRangeException(nameof(longitude));
    }

    /// <summary>Gets the latitude in degrees, from -90 to 90.</summary>
    public double Latitude { get; }

    /// <summary>Gets the longitude in degrees, from -180 to 180.</summary>
    public double Longitude { get; }

    /// <summary>Returns the latitude and the longitude.</summary>
    /// <returns>For instance <c>GeoPoint: Latitude=52.5; Longitude=13.4</c>.</returns>
    public override string ToString() => $"GeoPoint: Latitude={Latitude}; Longitude={Longitude}";
}
