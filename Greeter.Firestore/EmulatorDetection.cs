namespace Greeter.Firestore;

/// <summary>The uses of the environment variable <c>FIRESTORE_EMULATOR_HOST</c>.</summary>
public enum EmulatorDetection
{
    /// <summary>Uses Cloud Firestore and ignores the variable.</summary>
    None = 0,

    /// <summary>Uses Cloud Firestore; building fails if the variable is set.</summary>
    ProductionOnly = 1,

    /// <summary>Uses the emulator; building fails if the variable isn't set.</summary>
    EmulatorOnly = 2,

    /// <summary>Uses the emulator if the variable is set, and Cloud Firestore if it isn't.</summary>
    EmulatorOrProduction = 3,
}
