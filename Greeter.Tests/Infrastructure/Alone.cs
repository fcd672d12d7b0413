namespace Greeter.Tests.Infrastructure;

/// <summary>Tests that make load or look at durations: they run one after the other, with no others beside them.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1052", Justification = "xunit wants a class.")]
public sealed class Alone;
