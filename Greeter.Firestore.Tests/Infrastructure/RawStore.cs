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
/// A store as it answers on the wire. Its answers are texts in which times stand as t1, t2, … in the order in which they were
/// first seen, so that the answers of two stores can be compared. In names DB stands for the database.
/// </summary>
internal sealed class RawStore : IDisposable
{
    private readonly HttpMessageInvoker invoker;
    private readonly Uri address;
    private readonly Dictionary<Timestamp, int> numbers = [];
    private readonly List<Timestamp> times = [];
    private readonly Dictionary<string, List<Timestamp>> versions = [];

    private RawStore(string project, HttpMessageHandler handler, Uri address)
    {
        (invoker, this.address) = (new(handler), address);
        Database = $"projects/{project}/databases/(default)";
        Db = new(project, "(default)", new(new(handler, address, FirestoreDbBuilder.AuthorizeEmulator, TimeSpan.FromSeconds(10))));
    }

    public string Database { get; }

    /// <summary>The same store through the client.</summary>
    public FirestoreDb Db { get; }

    public static RawStore OpenEmbedded(string project, string folder) =>
        new(project, EmbeddedFirestore.Open(folder, TimeProvider.System), new Uri("http://embedded"));

    public static async Task<RawStore> OpenEmulatorAsync(string project) =>
        new(project, new SocketsHttpHandler { UseProxy = false }, new Uri($"http://{(await Emulator.SharedAsync()).Host}"));

    public void Dispose() => invoker.Dispose();

    /// <summary>A time by its number; if it has not been seen, one that no document has.</summary>
    public Timestamp Time(int number) => number <= times.Count ? times[number - 1] : new Timestamp { Seconds = 1 };

    /// <summary>The time of a version of the document that was seen, 0 being the last; if there is none, one that no document
    /// has.</summary>
    public Timestamp Version(string path, int back) =>
        versions.GetValueOrDefault(path)?.SkipLast(back).LastOrDefault() ?? new Timestamp { Seconds = 1 };

    public async Task<string> CommitAsync(params Write[] writes)
    {
        var request = new CommitRequest { Database = Database, Writes = { writes.Select(Expand) } };
        var (status, answers) = await CallAsync(FirestoreClient.Commit, request, CommitResponse.Parser);
        var texts = (answers.SingleOrDefault()?.WriteResults ?? []).Zip(
            request.Writes, (result, write) => Number(result.UpdateTime, write.Update?.Name));
        return status ?? string.Join(' ', texts);
    }

    public Task<string> GetAsync(params string[] paths) => GetAsync("DB", [.. paths.Select(path => $"DB/documents/{path}")]);

    public async Task<string> GetAsync(string database, string[] names)
    {
        var request = new BatchGetDocumentsRequest { Database = Expand(database), Documents = { names.Select(Expand) } };
        var (status, answers) = await CallAsync(FirestoreClient.BatchGetDocuments, request, BatchGetDocumentsResponse.Parser);
        // Firestore answers in any order.
        return status ?? string.Join('\n', answers.Select(ToText).Order(StringComparer.Ordinal));
    }

    /// <summary>The same with the fields of each map in order, as maps have none.</summary>
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

    private string ToText(BatchGetDocumentsResponse answer)
    {
        if (answer.Found is not { } document)
        {
            return $"{answer.Missing} is missing";
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
                return "a new time before an old one";
            }
            times.Add(time);
            numbers.Add(time, number = times.Count);
        }
        return time.Nanos % 1000 == 0 ? $"t{number}" : "a time finer than microseconds";
    }

    private async Task<(string? Status, List<TAnswer> Answers)> CallAsync<TAnswer>(
        string method, IMessage message, MessageParser<TAnswer> parser)
        where TAnswer : IMessage<TAnswer>
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
        var answers = new List<TAnswer>();
        for (var position = 0; position < body.Length;)
        {
            var size = GrpcFrame.DecodeHeader(body.AsSpan(position));
            answers.Add(parser.ParseFrom(body, position + GrpcFrame.HeaderSize, size));
            position += GrpcFrame.HeaderSize + size;
        }
        var headers = response.Headers.Contains(GrpcStatus.Name) ? response.Headers : response.TrailingHeaders;
        var status = (StatusCode)int.Parse(headers.GetValues(GrpcStatus.Name).Single(), CultureInfo.InvariantCulture);
        return (status == StatusCode.OK ? null : status.ToString(), answers);
    }
}
