namespace Greeter.Firestore;

/// <summary>What <see cref="FirestoreDbBuilder"/> makes of the environment variable <c>FIRESTORE_EMULATOR_HOST</c>.</summary>
public enum EmulatorDetection
{
    /// <summary>Ignores it.</summary>
    None,

    /// <summary>Refuses to build if it is set.</summary>
    ProductionOnly,

    /// <summary>Refuses to build unless it is set.</summary>
    EmulatorOnly,

    /// <summary>The emulator if it is set, Cloud Firestore if not.</summary>
    EmulatorOrProduction,
}
