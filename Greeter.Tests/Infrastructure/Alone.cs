namespace Greeter.Tests.Infrastructure;

/// <summary>Tests that make load or measure durations. They run one after the other, with no other tests beside them.</summary>
/// <remarks>xunit finds a collection's definition only in the assembly of its tests.</remarks>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1052", Justification = "xunit wants a class.")]
public sealed class Alone;
