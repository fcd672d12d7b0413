namespace Greeter.Firestore.Transactions;

/// <summary>The failed commits of a transaction that Firestore may have applied, or may still apply.</summary>
internal sealed class AmbiguousCommits
{
    private readonly List<(RpcException Failure, Dictionary<string, ProtoTimestamp?> Versions)> commits = [];

    /// <summary>Adds a failed commit.</summary>
    public void Add(RpcException failure, Attempt attempt)
    {
        // A document that the callback wrote without having read it isn't checked: a new document's ID is new in each attempt, and an
        // orphan is allowed.
        var versions = attempt.Writes.Select(WriteExtensions.Name).Where(attempt.Reads.ContainsKey).Distinct()
            .ToDictionary(name => name, name => attempt.Reads[name].Found?.UpdateTime);
        if (versions.Count > 0)
        {
            commits.Add((failure, versions));
        }
    }

    /// <summary>Throws the failure of a commit that may still be applied after the attempt that would end the transaction.</summary>
    /// <remarks>A commit is applied only if all of its documents still have the versions that it requires. So one document with
    /// another version rules it out. A write that changes nothing keeps the version.</remarks>
    public void ThrowIfPending(Attempt attempt, CommitResponse? response)
    {
        foreach (var (failure, versions) in commits)
        {
            var isRuledOut = versions.Any(required =>
                attempt.TryGetLastVersion(required.Key, response, out var version) && !Equals(version, required.Value));
            if (!isRuledOut)
            {
                ExceptionDispatchInfo.Throw(failure);
            }
        }
    }
}
