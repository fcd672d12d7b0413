using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Greeter.Firestore;
using Greeter.Firestore.Embedded;
using Greeter.Firestore.Transport;
using Greeter.Firestore.V1;

namespace Greeter.Firestore.Tests.Infrastructure;

using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

/// <summary>
/// A database in the embedded store or the emulator, called without the client. Responses are texts in which times are t1, t2, … in
/// the order of their first appearance, so that two responses can be compared. In names, DB stands for the database.
/// </summary>
internal sealed class RawDatabase : IDisposable
{
    // All databases in the emulator share one connection.
    private static readonly SocketsHttpHandler EmulatorHandler = new() { UseProxy = false };

    private readonly HttpMessageInvoker invoker;
    private readonly Uri address;
    private readonly Dictionary<Timestamp, int> numbers = [];
    private readonly List<Timestamp> times = [];
    private readonly Dictionary<string, List<Timestamp>> versions = [];

    private RawDatabase(string project, HttpMessageHandler handler, Uri address)
    {
        (invoker, this.address) = (new(handler, disposeHandler: handler != EmulatorHandler), address);
        Database = $"projects/{project}/databases/(default)";
        var channel = new GrpcChannel(handler, address, FirestoreDbBuilder.AuthorizeEmulator, TimeSpan.FromSeconds(10));
        Db = new(project, "(default)", new(channel));
    }

    public string Database { get; }

    /// <summary>Gets the same database through the client.</summary>
    public FirestoreDb Db { get; }

    public static RawDatabase OpenEmbedded(string project, string folder) =>
        new(project, EmbeddedFirestore.Open(folder, TimeProvider.System), new Uri("http://embedded"));

    public static async Task<RawDatabase> OpenEmulatorAsync(string project) =>
        new(project, EmulatorHandler, new Uri($"http://{(await Emulator.SharedAsync()).Host}"));

    public void Dispose() => invoker.Dispose();

    /// <summary>Returns a time by its number; for an unknown number a time that no document has.</summary>
    public Timestamp Time(int number) => number <= times.Count ? times[number - 1] : new Timestamp { Seconds = 1 };

    /// <summary>Returns the update time of a document, 0 versions back or more; if there is none, a time that no document
    /// has.</summary>
    public Timestamp Version(string path, int back) =>
        versions.GetValueOrDefault(path)?.SkipLast(back).LastOrDefault() ?? new Timestamp { Seconds = 1 };

    public async Task<string> CommitAsync(params Write[] writes)
    {
        var request = new CommitRequest { Database = Database, Writes = { writes.Select(Expand) } };
        var (status, responses) = await CallAsync(FirestoreClient.Commit, request, CommitResponse.Parser);
        var texts = (responses.SingleOrDefault()?.WriteResults ?? []).Zip(
            request.Writes, (result, write) => Number(result.UpdateTime, write.Update?.Name));
        return status ?? string.Join(' ', texts);
    }

    public Task<string> GetAsync(params string[] paths) => GetAsync("DB", [.. paths.Select(path => $"DB/documents/{path}")]);

    public async Task<string> GetAsync(string database, string[] names)
    {
        var request = new BatchGetDocumentsRequest { Database = Expand(database), Documents = { names.Select(Expand) } };
        var (status, responses) = await CallAsync(FirestoreClient.BatchGetDocuments, request, BatchGetDocumentsResponse.Parser);
        // Firestore returns documents in any order.
        return status ?? string.Join('\n', responses.Select(ToText).Order(StringComparer.Ordinal));
    }

    /// <summary>Returns a map with its fields in order, as the order of a response is arbitrary.</summary>
    private static MapValue Sort(MapValue map)
    {
        var sorted = new MapValue();
        foreach (var (name, value) in map.Fields.OrderBy(field => field.Key, StringComparer.Ordinal))
        {
            sorted.Fields.Add(name, Sort(value));
        }
        return sorted;
    }

    private static Value Sort(Value value) => value.ValueTypeCase switch
    {
        Value.ValueTypeOneofCase.MapValue => new Value { MapValue = Sort(value.MapValue) },
        Value.ValueTypeOneofCase.ArrayValue => Writes.Array([.. value.ArrayValue.Values.Select(Sort)]),
        _ => value,
    };

    private string Expand(string name) => name.Replace("DB", Database, StringComparison.Ordinal);

    private Write Expand(Write write)
    {
        var expanded = write.Clone();
        if (write.Update is not null)
        {
            expanded.Update.Name = Expand(write.Update.Name);
        }
        else if (write.OperationCase == Write.OperationOneofCase.Delete)
        {
            expanded.Delete = Expand(write.Delete);
        }
        return expanded;
    }

    private string ToText(BatchGetDocumentsResponse response)
    {
        if (response.Found is not { } document)
        {
            return $"{response.Missing} is missing";
        }
        var fields = Sort(new MapValue { Fields = { document.Fields } });
        return $"{document.Name} {Number(document.CreateTime)} {Number(document.UpdateTime, document.Name)} {fields}";
    }

    private string Number(Timestamp? time, string? name = null)
    {
        if (time is null)
        {
            return "-";
        }
        if (name is not null)
        {
            var path = name[$"{Database}/documents/".Length..];
            ref var seen = ref CollectionsMarshal.GetValueRefOrAddDefault(versions, path, out _);
            seen ??= [];
            if (!seen.Contains(time))
            {
                seen.Add(time);
            }
        }
        if (!numbers.TryGetValue(time, out var number))
        {
            if (times.Count > 0 && time < times[^1])
            {
                return "a new time before an earlier one";
            }
            times.Add(time);
            numbers.Add(time, number = times.Count);
        }
        return time.Nanos % 1000 == 0 ? $"t{number}" : "a time finer than microseconds";
    }

    private async Task<(string? Status, List<TResponse> Responses)> CallAsync<TResponse>(
        string method, IMessage message, MessageParser<TResponse> parser)
        where TResponse : IMessage<TResponse>
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(address, method))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(GrpcFrame.Encode(message)) { Headers = { ContentType = GrpcFrame.ContentType } },
            Headers = { { "te", "trailers" } },
        };
        await FirestoreDbBuilder.AuthorizeEmulator(address, request.Headers, CancellationToken.None);
        using var response = await invoker.SendAsync(request, CancellationToken.None);
        var body = await response.Content.ReadAsByteArrayAsync();
        var responses = new List<TResponse>();
        for (var position = 0; position < body.Length;)
        {
            var size = GrpcFrame.DecodeHeader(body.AsSpan(position));
            responses.Add(parser.ParseFrom(body, position + GrpcFrame.HeaderSize, size));
            position += GrpcFrame.HeaderSize + size;
        }
        var headers = response.Headers.Contains(GrpcStatus.Name) ? response.Headers : response.TrailingHeaders;
        var status = (StatusCode)int.Parse(headers.GetValues(GrpcStatus.Name).Single(), CultureInfo.InvariantCulture);
        return (status == StatusCode.OK ? null : status.ToString(), responses);
    }
}
