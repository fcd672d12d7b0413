namespace Greeter.Firestore.Tests;

/// <summary>Starts the emulator for the tests, which only know Google's API and the environment variable.</summary>
public sealed partial class GoogleApiTests : IClassFixture<GoogleApiTests.EmulatorVariable>
{
    private sealed partial class EmulatorTestAttribute
    {
        public EmulatorTestAttribute() => Skip = Emulator.MissingReason;
    }

    public sealed class EmulatorVariable : IAsyncLifetime
    {
        public async Task InitializeAsync() =>
            Environment.SetEnvironmentVariable("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host);

        public Task DisposeAsync() => Task.CompletedTask;
    }
}
