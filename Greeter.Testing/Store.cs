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
public sealed class OnEmbeddedAttribute : DataAttribute
{
    private readonly object[] more;

    public OnEmbeddedAttribute(params object[] more)
    {
        this.more = more;
        Skip = Improvement.SkipReason(Improvement.EmbeddedStore);
    }

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

/// <summary>Marks a test that needs Google's emulator, and tests an improvement if it is given.</summary>
public sealed class EmulatorFactAttribute : FactAttribute
{
    public EmulatorFactAttribute(string? improvement = null) =>
        Skip = Improvement.SkipReason(improvement) ?? Emulator.MissingReason;
}

/// <summary>Marks a theory that needs Google's emulator, and tests an improvement if it is given.</summary>
public sealed class EmulatorTheoryAttribute : TheoryAttribute
{
    public EmulatorTheoryAttribute(string? improvement = null) =>
        Skip = Improvement.SkipReason(improvement) ?? Emulator.MissingReason;
}
