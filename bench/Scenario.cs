namespace Greeter.Bench;

/// <summary>The visitors of a scenario.</summary>
internal enum Visitors
{
    /// <summary>Each request is a first visit.</summary>
    New,

    /// <summary>Each request is of a session drawn at random from 2,000.</summary>
    Returning,

    /// <summary>Each request is of a session drawn at random from 500.</summary>
    Crowded,

    /// <summary>All requests are of one session, a new one for each measurement. The emulator takes longer for each version
    /// that a document has had.</summary>
    OneSession,
}

/// <summary>The scenarios that run alternately. Only their numbers are compared with each other round by round.</summary>
internal enum Phase
{
    OneInstance,
    OneSession,
    Instances,
    Wandering,
    Connections,

    /// <summary>One session at a peer. A server that locks up when one visitor's requests meet is measured last.</summary>
    OneSessionAtPeer,
}

/// <summary>A load that wrk makes.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Title">Its name in the results.</param>
/// <param name="Visitors">The visitors' sessions.</param>
/// <param name="Connections">The number of connections to each instance, with one request at a time each.</param>
/// <param name="Instances">The number of processes that serve the same sessions.</param>
internal sealed record Scenario(
    string Name, string Title, Phase Phase, Visitors Visitors, int Connections = Scenario.DefaultConnections, int Instances = 1)
{
    public const int DefaultConnections = 16;
    public const int Sessions = 2000;

    public const string Embedded = "embedded";
    public const string Start = "start";
    public const string Memory = "memory";
    public const string Latency = "latency";

    /// <summary>The scenarios on Firestore. With 16 connections and 2,000 sessions 2 × 15 / 2,000 = 1.5 % of the requests
    /// meet another one of their session in flight; with 500 sessions 6 %.</summary>
    public static IReadOnlyList<Scenario> OnFirestore { get; } =
    [
        new("returning", "returning visitors", Phase.OneInstance, Visitors.Returning),
        new("crowded", "returning visitors, 500 sessions", Phase.OneInstance, Visitors.Crowded),
        new("first", "first visits", Phase.OneInstance, Visitors.New),
        new("one-connection", "one connection", Phase.OneInstance, Visitors.Returning, Connections: 1),
        new("one-session", "one session", Phase.OneSession, Visitors.OneSession),
        new("instances", "one session, 1 × 8", Phase.Instances, Visitors.OneSession, Connections: 8),
        new("instances", "one session, 2 × 8", Phase.Instances, Visitors.OneSession, Connections: 8, Instances: 2),
        new("instances", "one session, 4 × 8", Phase.Instances, Visitors.OneSession, Connections: 8, Instances: 4),
        new("wandering", "wandering, 2 × 8", Phase.Wandering, Visitors.Returning, Connections: 8, Instances: 2),
        new("connections", "1,000 connections", Phase.Connections, Visitors.Returning, Connections: 1000),
    ];

    /// <summary>Gets all names.</summary>
    public static IEnumerable<string> Names =>
        [.. OnFirestore.Select(scenario => scenario.Name).Distinct(), Embedded, Start, Memory, Latency];
}
