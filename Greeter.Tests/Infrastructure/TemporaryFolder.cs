namespace Greeter.Tests.Infrastructure;

public sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("greeter-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
