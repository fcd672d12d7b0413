using System.Collections.Concurrent;

namespace Greeter.Tests.Infrastructure;

/// <summary>Records the client's calls, and can respond to them instead of Firestore.</summary>
public sealed class FirestoreCalls : DelegatingHandler
{
    private readonly ConcurrentQueue<string> methods = [];

    /// <summary>Gets the methods called so far, in order, for instance BatchGetDocuments.</summary>
    public IReadOnlyCollection<string> Methods => methods;

    /// <summary>Gets or sets what happens before a call. If it returns a response, the call is not passed on.</summary>
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
