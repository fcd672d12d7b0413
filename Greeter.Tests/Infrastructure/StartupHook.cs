/// <summary>A bug in the app, for a process with <c>DOTNET_STARTUP_HOOKS</c>: an exception while the host is built.</summary>
/// <remarks>The runtime looks for this name:
/// https://github.com/dotnet/runtime/blob/main/docs/design/features/host-startup-hook.md</remarks>
internal sealed class StartupHook : IObserver<DiagnosticListener>, IObserver<KeyValuePair<string, object?>>
{
    public const string Message = "This is a bug.";

    public static void Initialize() => DiagnosticListener.AllListeners.Subscribe(new StartupHook());

    public void OnNext(DiagnosticListener value)
    {
        if (value.Name == "Microsoft.Extensions.Hosting")
        {
            value.Subscribe(this);
        }
    }

    public void OnNext(KeyValuePair<string, object?> value) => throw new InvalidOperationException(Message);

    public void OnCompleted()
    {
    }

    public void OnError(Exception error)
    {
    }
}
