using Greeter.Firestore.Embedded;
using Microsoft.AspNetCore.Http;

namespace Greeter.Tests.Infrastructure;

/// <summary>Firestore behind a <see cref="FakeServer"/>: the embedded store's documents, over the network.</summary>
internal sealed class FakeFirestore(string folder) : IDisposable
{
    private readonly HttpMessageInvoker documents = new(EmbeddedFirestore.Open(folder, TimeProvider.System));

    /// <summary>Answers one gRPC call.</summary>
    public async Task AnswerAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        using var content = new ByteArrayContent(body.ToArray());
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://embedded{context.Request.Path}");
        request.Content = content;
        using var response = await documents.SendAsync(request, context.RequestAborted);
        context.Response.ContentType = "application/grpc";
        await response.Content.CopyToAsync(context.Response.Body);
        foreach (var (name, values) in response.TrailingHeaders)
        {
            context.Response.AppendTrailer(name, values.Single());
        }
    }

    public void Dispose() => documents.Dispose();
}
