namespace Greeter.Tests.Infrastructure;

/// <summary>Collects tests that make heavy load, or whose measurements other tests would disturb. They run one at a time, without others
/// in parallel.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1052", Justification = "xunit needs a class.")]
public sealed class Alone;
