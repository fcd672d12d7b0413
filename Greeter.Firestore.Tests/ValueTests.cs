using System.Collections;
using System.Collections.Immutable;
using System.Collections.ObjectModel;

namespace Greeter.Firestore.Tests;

/// <summary>Every type of Firestore value can be written and read, bit by bit, on the embedded store and the emulator.</summary>
public class ValueTests
{
    private static readonly string[] OddNames =
    [
        "a.b", "a`b", @"a\b", @"\", "`", "``", @"\`", "a\"b", "'", " ", "1a", "-", "größe", "😀", "a/b", "[0]", "*", "~",
        "_", "_1", "a\nb", ".", "..", new string('n', 700),
    ];

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Value_is_read_as_it_was_written(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var document = database.Db.Document("values/all");
        var values = EveryKind(database.Db);

        await document.SetAsync(values);

        (await ReadAsync(document)).Should().BeEquivalentTo(Describe(values));
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Merging_changes_fields_inside_maps_but_replaces_arrays(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var document = database.Db.Document("values/nested");
        await document.SetAsync(new
        {
            kept = 1,
            map = new { kept = 1, changed = 1, deep = new { kept = 1 }, text = "now a map" },
            list = new List<int> { 1, 2 },
            emptied = new { gone = 1 },
        });
        var more = new { more = 2 };

        await document.SetAsync(
            new
            {
                map = new { changed = 2, deep = more, text = more },
                list = new List<int> { 3 },
                emptied = new Dictionary<string, object>(),
                added = more,
            },
            SetOptions.MergeAll);

        (await ReadAsync(document)).Should().BeEquivalentTo(Describe(new Dictionary<string, object?>
        {
            ["kept"] = 1,
            ["map"] = new { kept = 1, changed = 2, deep = new { kept = 1, more = 2 }, text = more },
            ["list"] = new List<int> { 3 },
            ["emptied"] = new Dictionary<string, object?>(),
            ["added"] = more,
        }));
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Field_names_with_special_characters_can_be_merged(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var document = database.Db.Document("values/names");
        var values = OddNames.ToDictionary(
            name => name, name => (object?)new Dictionary<string, object?> { [name] = 1L, ["kept"] = 1L });
        await document.SetAsync(values);

        foreach (var name in OddNames)
        {
            var inner = new Dictionary<string, object?> { [name] = 2L };
            await document.SetAsync(new Dictionary<string, object?> { [name] = inner }, SetOptions.MergeAll);
            values[name] = new Dictionary<string, object?> { [name] = 2L, ["kept"] = 1L };
        }

        (await ReadAsync(document)).Should().BeEquivalentTo(Describe(values));
    }

    [Theory]
    [InlineData(Store.Embedded, true), InlineData(Store.Emulator, true)]
    [InlineData(Store.Embedded, false), InlineData(Store.Emulator, false)]
    public async Task Empty_data_creates_a_document_and_merging_it_changes_no_field(Store store, bool merge)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var (there, missing) = (database.Db.Document("values/there"), database.Db.Document("values/missing"));
        await there.SetAsync(new { views = 1 });
        var options = merge ? SetOptions.MergeAll : null;

        await there.SetAsync(new { }, options);
        await missing.SetAsync(new { }, options);

        (await ReadAsync(there)).Should().HaveCount(merge ? 1 : 0);
        (await missing.GetSnapshotAsync()).Exists.Should().BeTrue();
    }

    [Theory, InlineData(Store.Embedded), InlineData(Store.Emulator)]
    public async Task Timestamps_are_rounded_down_to_microseconds(Store store)
    {
        using var database = await TestDatabase.OpenAsync(store);
        var document = database.Db.Document("values/times");
        DateTimeOffset[] times =
        [
            DateTimeOffset.MinValue, DateTimeOffset.MaxValue, DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddTicks(-1),
            DateTimeOffset.UnixEpoch.AddTicks(19), new(2026, 1, 31, 12, 0, 0, TimeSpan.FromHours(5.5)),
        ];

        await document.SetAsync(new { times, utc = DateTime.UnixEpoch.AddTicks(19) });

        var fields = (await document.GetSnapshotAsync()).ToDictionary()!;
        fields["times"].Should().BeOfType<List<object?>>().Which.Cast<Timestamp>().Select(time => time.ToDateTimeOffset())
            .Should().Equal(times.Select(time => new DateTimeOffset(time.UtcTicks - (time.UtcTicks % 10), TimeSpan.Zero)));
        fields["utc"].Should().Be(Timestamp.FromDateTime(DateTime.UnixEpoch.AddTicks(10)));
    }

    [Theory, InlineData(DateTimeKind.Local), InlineData(DateTimeKind.Unspecified)]
    public void Time_that_is_not_UTC_is_refused(DateTimeKind kind)
    {
        var time = new DateTime(2026, 1, 31, 12, 0, 0, kind);

        FluentActions.Invoking(() => Timestamp.FromDateTime(time)).Should().Throw<ArgumentException>();
        Setting(time).Should().Throw<ArgumentException>();
    }

    public static TheoryData<object> UnsupportedValues => new()
    {
        new object(), 1.5m, 'c', Guid.Empty, TimeSpan.Zero, DateOnly.MinValue, ulong.MaxValue,
        new Uri("http://a"), new Dictionary<int, object> { [1] = 1 }, new Dictionary<int, object>(),
        new Hashtable { ["a"] = 1 }, new Hashtable(), new List<KeyValuePair<string, object>> { new("a", 1) },
        new[] { Guid.Empty }, (1, 2), new { a = Guid.Empty },
    };

    [Theory, MemberData(nameof(UnsupportedValues))]
    public void Type_that_Firestore_does_not_have_is_refused(object value)
    {
        Setting(value).Should().Throw<ArgumentException>();
        Setting(new object[] { 1L, value }).Should().Throw<ArgumentException>();
        Setting(new { a = value }).Should().Throw<ArgumentException>();
    }

    public static TheoryData<object, string[]> Dictionaries => new()
    {
        { new Dictionary<string, string> { ["a"] = "b" }, ["a"] },
        { new SortedDictionary<string, int?> { ["a"] = 1, ["b"] = null }, ["a", "b"] },
        { new ConcurrentDictionary<string, bool>([new("a", true)]), ["a"] },
        { new ReadOnlyDictionary<string, Timestamp>(new Dictionary<string, Timestamp> { ["a"] = default }), ["a"] },
        { ImmutableDictionary.Create<string, Dictionary<string, long>>().Add("a", new() { ["b"] = 1 }), ["a"] },
        { new Dictionary<string, string>(), [] },
    };

    [Theory, MemberData(nameof(Dictionaries))]
    public async Task Dictionary_with_string_keys_is_stored_as_a_map(object dictionary, string[] names)
    {
        using var database = TestDatabase.OpenEmbedded();
        var document = database.Db.Document("values/one");

        await document.SetAsync(new { map = dictionary, nested = new { map = dictionary }, array = new[] { dictionary } });

        var fields = (await document.GetSnapshotAsync()).ToDictionary()!;
        var array = fields["array"].Should().BeOfType<List<object?>>().Subject;
        var nested = fields["nested"].Should().BeOfType<Dictionary<string, object?>>().Subject;
        foreach (var stored in new[] { fields["map"], nested["map"], array.Single() })
        {
            stored.Should().BeOfType<Dictionary<string, object?>>().Which.Keys.Should().BeEquivalentTo(names);
        }
        await document.SetAsync(dictionary);
        (await document.GetSnapshotAsync()).ToDictionary()!.Keys.Should().BeEquivalentTo(names);
    }

    [Fact]
    public void Text_with_a_lone_surrogate_is_refused()
    {
        foreach (var text in new[] { "\ud83d", "a\ud83d", "\ud83da", "\ude00", "\ude00\ud83d", "\ud83d\ude00\ud83d" })
        {
            Setting(text).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
            Setting(new[] { text }).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
            Setting(new Dictionary<string, long> { [text] = 1 }).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
        }
    }

    [Fact]
    public void Data_that_contains_itself_is_refused()
    {
        var map = new Dictionary<string, object>();
        map["self"] = new object[] { map, map };
        var array = new List<object>();
        array.AddRange([array, array]);

        Setting(map).Should().Throw<ArgumentException>().WithMessage("*20*");
        Setting(array).Should().Throw<ArgumentException>().WithMessage("*20*");
    }

    [Fact]
    public void Data_that_is_not_a_dictionary_is_refused()
    {
        using var database = TestDatabase.OpenEmbedded();
        var document = database.Db.Document("values/one");

        FluentActions.Invoking(() => { _ = document.SetAsync(new Uri("http://a")); }).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => { _ = document.SetAsync("views"); }).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => { _ = document.SetAsync(null!); }).Should().Throw<ArgumentNullException>();
        database.Wire.Calls.Should().BeEmpty();
    }

    [Theory, InlineData(90.0001, 0), InlineData(0, -180.0001), InlineData(double.NaN, 0), InlineData(0, double.NaN)]
    public void Point_outside_its_range_is_refused(double latitude, double longitude) =>
        FluentActions.Invoking(() => new GeoPoint(latitude, longitude)).Should().Throw<ArgumentOutOfRangeException>();

    [Fact]
    public async Task Value_of_an_unknown_type_is_never_read_as_null()
    {
        // Field 99 of Value, as a newer server might send it.
        var unknown = Value.Parser.ParseFrom([0x98, 0x06, 0x01]);
        Value[] values =
        [
            unknown, new(), new() { ArrayValue = new() { Values = { unknown } } },
            new() { MapValue = new() { Fields = { ["a"] = unknown } } },
        ];
        foreach (var value in values)
        {
            var snapshot = await ReceiveAsync(value);

            snapshot.Exists.Should().BeTrue();
            snapshot.Invoking(it => it.ToDictionary()).Should().Throw<NotSupportedException>();
        }
    }

    [Theory]
    [InlineData("projects/p/databases/d/documents/a/b", "p", "d", "b")]
    [InlineData("projects/p/databases/(default)/documents/a/b/c/d", "p", "(default)", "d")]
    public async Task Stored_reference_can_belong_to_another_database(string path, string project, string databaseId, string id)
    {
        var fields = (await ReceiveAsync(new Value { ReferenceValue = path })).ToDictionary()!;

        var reference = fields["field"].Should().BeOfType<DocumentReference>().Subject;
        reference.Path.Should().Be(path);
        reference.Id.Should().Be(id);
        reference.Database.ProjectId.Should().Be(project);
        reference.Database.DatabaseId.Should().Be(databaseId);
    }

    [Theory]
    [InlineData(""), InlineData("a/b"), InlineData("projects/p/databases/d/documents")]
    [InlineData("projects/p/databases/d/documents/a"), InlineData("projects/p/databases/d/documentsX/a/b")]
    [InlineData("projects/p/databases/d/documents/a/b/c")]
    public async Task Stored_reference_that_is_not_a_document_is_refused(string path)
    {
        var snapshot = await ReceiveAsync(new Value { ReferenceValue = path });

        snapshot.Invoking(it => it.ToDictionary()).Should().Throw<NotSupportedException>();
    }

    private static Dictionary<string, object?> EveryKind(FirestoreDb db) => new()
    {
        ["null"] = null,
        ["booleans"] = new[] { true, false },
        ["integers"] = new[] { 0, long.MinValue, long.MaxValue },
        ["other integers"] = new object[]
        {
            -5, uint.MaxValue, short.MinValue, byte.MaxValue, (ulong)long.MaxValue, DayOfWeek.Monday,
        },
        ["doubles"] = new[]
        {
            0.0, -0.0, 1.0, 1.0 / 3, double.MinValue, double.MaxValue, double.Epsilon, double.PositiveInfinity,
            double.NegativeInfinity, double.NaN, 9007199254740993.0,
        },
        ["float"] = 0.1f,
        ["timestamps"] = new[]
        {
            Timestamp.FromDateTimeOffset(DateTimeOffset.MinValue),
            Timestamp.FromDateTimeOffset(DateTimeOffset.MaxValue.AddTicks(-9)),
            Timestamp.FromDateTimeOffset(DateTimeOffset.UnixEpoch.AddMicroseconds(-1)),
        },
        ["texts"] = new[]
        {
            "Hello World", "", "é Ω 中 😀 𝄞 \u0000 \u0001 \ufffe \uffff \U0010ffff \r\n\t \"\\`", new('é', 100_000),
        },
        ["bytes"] = new object[]
        {
            Blob.CopyFrom([.. Enumerable.Range(0, 256).Select(i => (byte)i)]), Blob.CopyFrom([]), default(Blob),
            new byte[] { 0, 255 }, ByteString.CopyFrom(1, 2),
        },
        ["anonymous"] = new { text = "a", inner = new { number = 1 } },
        ["references"] = new[]
        {
            db.Document("sessions/one"), db.Document("sessions/one/pages/größe 😀"), db.Document("values/all"),
        },
        ["geo points"] = new[] { new GeoPoint(52.5200066, 13.404954), new GeoPoint(-90, 180), new GeoPoint(0, 0) },
        ["array"] = new object?[] { null, true, 1L, 1.0, "a", Blob.CopyFrom([1]), Nest(2) },
        ["array in a map in an array"] = new object[] { new Dictionary<string, object?> { ["a"] = new[] { 1L } } },
        ["array, empty"] = new List<object>(),
        ["array, list"] = new List<string> { "a", "b" },
        ["map"] = OddNames.ToDictionary(name => name, name => (object?)name),
        ["map, empty"] = new Dictionary<string, object?>(),
        ["map, deep"] = Nest(18),
        ["größe. `\\\""] = "odd name",
        [new string('n', 1500)] = "long name",
    };

    private static object Nest(int depth) => depth == 0 ? 1L : new Dictionary<string, object?> { ["a"] = Nest(depth - 1) };

    private static async Task<Dictionary<string, string>> ReadAsync(DocumentReference document) =>
        Describe((await document.GetSnapshotAsync()).ToDictionary()!);

    private static Dictionary<string, string> Describe(Dictionary<string, object?> fields) =>
        fields.ToDictionary(field => field.Key, field => Describe(field.Value));

    /// <summary>Returns the type and every bit of a value, as it is read, whatever .NET type was written.</summary>
    private static string Describe(object? value) => value switch
    {
        null => "null",
        bool boolean => $"bool {boolean}",
        double.NaN => "double NaN",   // Firestore has one NaN, whatever its bits.
        double or float => $"double {BitConverter.DoubleToInt64Bits(Convert.ToDouble(value, CultureInfo.InvariantCulture)):x16}",
        string text => $"string {text}",
        Timestamp timestamp => $"timestamp {timestamp}",
        byte[] bytes => $"bytes {Convert.ToHexString(bytes)}",
        ByteString bytes => $"bytes {Convert.ToHexString(bytes.Span)}",
        Blob blob => $"bytes {Convert.ToHexString(blob.ByteString.Span)}",
        GeoPoint point => $"geo point {Describe(point.Latitude)} {Describe(point.Longitude)}",
        DocumentReference reference => $"reference {reference.Path}",
        Dictionary<string, object?> map =>
            $"map {{{string.Join(", ", map.Select(it => $"{it.Key}: {Describe(it.Value)}").Order(StringComparer.Ordinal))}}}",
        _ when value.GetType().Name.Contains("AnonymousType", StringComparison.Ordinal) =>
            Describe((object)value.GetType().GetProperties().ToDictionary(property => property.Name, property => property.GetValue(value))),
        IEnumerable list => $"list [{string.Join(", ", list.Cast<object?>().Select(Describe))}]",
        _ => $"integer {Convert.ToInt64(value, CultureInfo.InvariantCulture)}",
    };

    private static Action Setting(object field) => () =>
    {
        using var database = TestDatabase.OpenEmbedded();
        _ = database.Db.Document("values/one").SetAsync(new { field });
    };

    /// <summary>Returns a snapshot of a document that a server sends, with one field.</summary>
    private static async Task<DocumentSnapshot> ReceiveAsync(Value value)
    {
        using var database = TestDatabase.OpenEmbedded();
        var document = database.Db.Document("values/one");
        database.Wire.Respond = (_, _, _) => Task.FromResult<object?>(new BatchGetDocumentsResponse
        {
            ReadTime = new() { Seconds = 2 },
            Found = new Document { Name = document.Path, UpdateTime = new() { Seconds = 1 }, Fields = { ["field"] = value } },
        });
        return await document.GetSnapshotAsync();
    }
}
