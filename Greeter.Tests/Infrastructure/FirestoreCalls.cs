using System.Collections.Concurrent;

namespace Greeter.Tests.Infrastructure;

/// <summary>Between the client and its store: counts the calls, and answers some of them instead of the store.</summary>
public sealed class FirestoreCalls : DelegatingHandler
{
    private readonly ConcurrentQueue<string> methods = [];

    /// <summary>The methods called so far, in order: BatchGetDocuments, Commit.</summary>
    public IReadOnlyCollection<string> Methods => methods;

    /// <summary>What happens before a call is passed on; an answer of its own is not passed on.</summary>
    public Func<string, CancellationToken, Task<HttpResponseMessage?>> Before { get; set; } =
        (_, _) => Task.FromResult<HttpResponseMessage?>(null);

    public void Clear() => methods.Clear();

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var method = request.RequestUri!.Segments[^1];
        methods.Enqueue(method);
        return await Before(method, cancellationToken) ?? await base.SendAsync(request, cancellationToken);
    }
}
