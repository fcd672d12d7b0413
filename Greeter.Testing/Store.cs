using System.Reflection;
using Xunit;
using Xunit.Sdk;

namespace Greeter.Testing;

public enum Store
{
    Embedded,
    Emulator,
}

/// <summary>Runs a theory on the embedded store.</summary>
public sealed class OnEmbeddedAttribute(params object[] more) : DataAttribute
{
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[Store.Embedded, .. more]];
}

/// <summary>Runs a theory on Google's emulator.</summary>
public sealed class OnEmulatorAttribute : DataAttribute
{
    private readonly object[] more;

    public OnEmulatorAttribute(params object[] more)
    {
        this.more = more;
        Skip = Emulator.MissingReason;
    }

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[Store.Emulator, .. more]];
}

/// <summary>A test that needs Google's emulator.</summary>
public sealed class EmulatorFactAttribute : FactAttribute
{
    public EmulatorFactAttribute() => Skip = Emulator.MissingReason;
}

/// <summary>A theory that needs it.</summary>
public sealed class EmulatorTheoryAttribute : TheoryAttribute
{
    public EmulatorTheoryAttribute() => Skip = Emulator.MissingReason;
}
