namespace Greeter.Testing;

/// <summary>Where the documents of a test are.</summary>
public enum Store
{
    Embedded,
    Emulator,
}
