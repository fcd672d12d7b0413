namespace Greeter.Tests.Infrastructure;

/// <summary>Collects tests that make load or measure durations. They run one at a time, without others in parallel.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1052", Justification = "xunit needs a class.")]
public sealed class Alone;
