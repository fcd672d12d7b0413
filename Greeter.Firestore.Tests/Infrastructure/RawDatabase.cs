using System.Runtime.InteropServices;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>A database in the embedded store or the emulator, called without the client. Responses are texts in which times are t1, t2,
/// … in the order of their first appearance, so that two responses can be compared. In names, DB stands for the database.</summary>
internal sealed class RawDatabase : IDisposable
{
    private readonly IFirestoreApi api;
    private readonly Dictionary<ProtoTimestamp, int> numbers = [];
    private readonly List<ProtoTimestamp> times = [];
    private readonly Dictionary<string, List<ProtoTimestamp>> versions = [];

    private RawDatabase(string project, IFirestoreApi api)
    {
        this.api = api;
        Database = $"projects/{project}/databases/(default)";
    }

    public string Database { get; }

    public static RawDatabase OpenEmbedded(string project, string folder) =>
        new(project, EmbeddedFirestore.Open(folder, TimeProvider.System));

    public static async Task<RawDatabase> OpenEmulatorAsync(string project) =>
        new(project, await TestDatabase.ConnectToEmulatorAsync());

    public void Dispose() => api.Dispose();

    /// <summary>Returns a time by its number; for an unknown number a time that no document has.</summary>
    public ProtoTimestamp Time(int number) => number <= times.Count ? times[number - 1] : new ProtoTimestamp { Seconds = 1 };

    /// <summary>Returns the update time of a document, 0 versions back or more; if there is none, a time that no document
    /// has.</summary>
    public ProtoTimestamp Version(string path, int back) =>
        versions.GetValueOrDefault(path)?.SkipLast(back).LastOrDefault() ?? new ProtoTimestamp { Seconds = 1 };

    public async Task<string> CommitAsync(params Write[] writes)
    {
        var request = new CommitRequest { Database = Database, Writes = { writes.Select(write => write.In(Database)) } };
        try
        {
            var response = await api.CommitAsync(request, CancellationToken.None);
            return string.Join(' ', response.WriteResults.Zip(
                request.Writes, (result, write) => Number(result.UpdateTime, write.Update?.Name)));
        }
        catch (RpcException e)
        {
            return e.StatusCode.ToString();
        }
    }

    public Task<string> GetAsync(params string[] paths) => GetAsync("DB", [.. paths.Select(path => $"DB/documents/{path}")]);

    public async Task<string> GetAsync(string database, string[] names)
    {
        var texts = new List<string>();
        try
        {
            foreach (var name in names)
            {
                var request = new BatchGetDocumentsRequest { Database = Expand(database), Documents = { Expand(name) } };
                texts.Add(ToText(await api.BatchGetDocumentsAsync(request, CancellationToken.None)));
            }
            return string.Join('\n', texts);
        }
        catch (RpcException e)
        {
            return e.StatusCode.ToString();
        }
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

    private string ToText(BatchGetDocumentsResponse response)
    {
        if (response.Found is not { } document)
        {
            return $"{response.Missing} is missing";
        }
        var fields = Sort(new MapValue { Fields = { document.Fields } });
        return $"{document.Name} {Number(document.CreateTime)} {Number(document.UpdateTime, document.Name)} {fields}";
    }

    private string Number(ProtoTimestamp? time, string? name = null)
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
}
