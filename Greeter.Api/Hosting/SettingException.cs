namespace Greeter.Api.Hosting;

/// <summary>The app can't start because of a setting, an argument, or a settings file.</summary>
/// <param name="message">What to set. The value itself is never in it, because a wrong value may be a secret.</param>
internal sealed class SettingException(string message) : Exception(message)
{
    /// <summary>Returns whether a text is short and simple enough to be a path, not a key that was set by mistake.</summary>
    public static bool IsPath(string text) => text.Length < 256 && !text.Any(c => char.IsControl(c) || c is '"' or '{' or '}');
}
