namespace Greeter.Bench;

/// <summary>A published app, or a peer.</summary>
/// <param name="Prefix">The prefix of its titles; empty for the app itself.</param>
/// <param name="Folder">The folder of the published app; null for a peer.</param>
internal sealed record Site(string Prefix, string? Folder)
{
    /// <summary>Gets the instances on the emulator so far.</summary>
    public List<Server> Instances { get; } = [];

    /// <summary>Gets the sessions that each instance has created.</summary>
    public Dictionary<Server, string[]> Ids { get; } = [];

    /// <summary>Returns in which phase the site runs a scenario; null if it does not.</summary>
    public Phase? GetPhase(Scenario scenario) => Folder is not null ? scenario.Phase : scenario.Phase switch
    {
        Phase.OneInstance or Phase.Connections => scenario.Phase,
        Phase.OneSession => Phase.OneSessionAtPeer,
        _ => null,
    };
}
