using Microsoft.Extensions.DependencyInjection;

namespace Greeter.Firestore.Tests;

/// <summary>
/// Google's documented API, as far as this client has it. This file compiles and passes with Google.Cloud.Firestore too, if the
/// project has global usings for Google.Api.Gax, Google.Cloud.Firestore, Grpc.Core and Xunit. Source:
/// https://cloud.google.com/dotnet/docs/reference/Google.Cloud.Firestore/latest
/// </summary>
public sealed class GoogleApiTests : IAsyncLifetime
{
    private FirestoreDb db = null!;

    private DocumentReference Document => db.Document("collection/document");

    private static CancellationToken Token => CancellationToken.None;

    public async ValueTask InitializeAsync()
    {
        // Google's client reads it only here.
        Environment.SetEnvironmentVariable("FIRESTORE_EMULATOR_HOST", (await Emulator.SharedAsync()).Host);
        db = new FirestoreDbBuilder
        {
            ProjectId = Emulator.NewProject(),
            DatabaseId = null,
            Endpoint = null,
            EmulatorDetection = EmulatorDetection.EmulatorOnly,
        }.Build();
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public void Database_has_project_and_ID()
    {
        Assert.StartsWith("test-", db.ProjectId);
        Assert.Equal("(default)", db.DatabaseId);
        Assert.IsNotAssignableFrom<IDisposable>(db);
        Assert.Equal(EmulatorDetection.None, new FirestoreDbBuilder().EmulatorDetection);
    }

    [Fact]
    public async Task Database_is_a_singleton_service()
    {
        await using var services = new ServiceCollection()
            .AddFirestoreDb(action: builder =>
            {
                builder.ProjectId = db.ProjectId;
                builder.EmulatorDetection = EmulatorDetection.EmulatorOnly;
            })
            .BuildServiceProvider();
        await Document.SetAsync(new { a = 1 }, cancellationToken: Token);

        var service = services.GetRequiredService<FirestoreDb>();

        Assert.Same(service, services.GetRequiredService<FirestoreDb>());
        Assert.True((await service.Document("collection/document").GetSnapshotAsync(Token)).Exists);
        await using var others = new ServiceCollection()
            .AddSingleton(db.ProjectId)
            .AddFirestoreDb((IServiceProvider provider, FirestoreDbBuilder builder) =>
            {
                builder.ProjectId = provider.GetRequiredService<string>();
                builder.EmulatorDetection = EmulatorDetection.EmulatorOrProduction;
            })
            .BuildServiceProvider();
        Assert.Equal(db.ProjectId, others.GetRequiredService<FirestoreDb>().ProjectId);
    }

    [Fact]
    public void Reference_has_path_ID_and_parent()
    {
        var root = $"projects/{db.ProjectId}/databases/(default)/documents";
        CollectionReference collection = db.Collection(path: "collection");
        DocumentReference document = collection.Document(path: "document");
        CollectionReference child = document.Collection(path: "child");

        Assert.Equal(("collection", $"{root}/collection", null), (collection.Id, collection.Path, collection.Parent));
        Assert.Equal(("document", $"{root}/collection/document", collection), (document.Id, document.Path, document.Parent));
        Assert.Equal(("child", $"{root}/collection/document/child", document), (child.Id, child.Path, child.Parent));
        Assert.Same(db, collection.Database);
        Assert.Same(db, document.Database);
        Assert.Equal(collection.Path, collection.ToString());
        Assert.Equal(document.Path, document.ToString());
        Assert.Equal(db.Document(path: "collection/document/child/a"), child.Document("a"));
        Assert.Equal(db.Collection("collection/document/child"), child);
    }

    [Fact]
    public void References_are_equal_if_their_paths_are()
    {
        IEquatable<DocumentReference> document = db.Document("a/b");
        IEquatable<CollectionReference> collection = db.Collection("a");

        Assert.True(document.Equals(db.Collection("a").Document("b")));
        Assert.True(collection.Equals(db.Document("a/b").Parent));
        Assert.False(document.Equals(db.Document("a/c")));
        Assert.False(collection.Equals(db.Collection("b")));
        Assert.False(document.Equals(null));
        Assert.False(collection.Equals(null));
        Assert.Equal(document.GetHashCode(), db.Document("a/b").GetHashCode());
        Assert.Equal(collection.GetHashCode(), db.Collection("a").GetHashCode());
    }

    [Fact]
    public void Invalid_path_is_refused()
    {
        Assert.Throws<ArgumentException>(() => db.Document("a"));
        Assert.Throws<ArgumentException>(() => db.Document("a//b"));
        Assert.Throws<ArgumentException>(() => db.Collection("a/b"));
        Assert.Throws<ArgumentException>(() => db.Collection("a").Document("b/c"));
        Assert.Throws<ArgumentException>(() => db.Document("a/b").Collection(""));
        Assert.Throws<ArgumentNullException>(() => db.Document(null!));
        Assert.Throws<ArgumentNullException>(() => db.Collection(null!));
    }

    [Fact]
    public async Task Create_fails_if_the_document_exists()
    {
        WriteResult result = await Document.CreateAsync(documentData: new { a = 1 }, cancellationToken: Token);

        DocumentSnapshot snapshot = await Document.GetSnapshotAsync(cancellationToken: Token);
        Assert.Equal(result.UpdateTime, snapshot.UpdateTime);
        Assert.Equal(result.UpdateTime, snapshot.CreateTime);
        var error = await Assert.ThrowsAsync<RpcException>(() => Document.CreateAsync(new Dictionary<string, object>()));
        Assert.Equal(StatusCode.AlreadyExists, error.StatusCode);
        Assert.Equal(StatusCode.AlreadyExists, error.Status.StatusCode);
        Assert.NotEmpty(error.Status.Detail);
    }

    [Fact]
    public async Task Set_overwrites_or_merges()
    {
        var first = await Document.SetAsync(new { x = 1, map = new { a = 1, b = 1 } });
        var second = await Document.SetAsync(
            documentData: new { map = new { a = 2 } }, options: SetOptions.MergeAll, cancellationToken: Token);

        var merged = await Document.GetSnapshotAsync();
        await Document.SetAsync(new { y = 1 }, SetOptions.Overwrite, Token);
        var overwritten = await Document.GetSnapshotAsync();

        Assert.Equal(1L, merged.ToDictionary()!["x"]);
        Assert.Equal(new Dictionary<string, object> { ["a"] = 2L, ["b"] = 1L }, merged.ToDictionary()!["map"]);
        Assert.Equal((first.UpdateTime, second.UpdateTime), (merged.CreateTime!.Value, merged.UpdateTime!.Value));
        Assert.True(first.UpdateTime < second.UpdateTime);
        Assert.Equal(["y"], overwritten.ToDictionary()!.Keys);
        Assert.Equal(merged.CreateTime, overwritten.CreateTime);
    }

    [Fact]
    public async Task Delete_checks_its_precondition()
    {
        var written = await Document.SetAsync(new { a = 1 });

        var stale = await Assert.ThrowsAsync<RpcException>(
            () => Document.DeleteAsync(precondition: Precondition.LastUpdated(default(Timestamp)), cancellationToken: Token));
        var deleted = await Document.DeleteAsync(Precondition.LastUpdated(timestamp: written.UpdateTime), Token);
        var missing = await Assert.ThrowsAsync<RpcException>(() => Document.DeleteAsync(Precondition.MustExist));
        var again = await Document.DeleteAsync();
        await Document.DeleteAsync(Precondition.None);

        Assert.Equal(StatusCode.FailedPrecondition, stale.StatusCode);
        Assert.Equal(StatusCode.NotFound, missing.StatusCode);
        Assert.True(written.UpdateTime <= deleted.UpdateTime && deleted.UpdateTime <= again.UpdateTime);
    }

    [Fact]
    public async Task Transaction_reads_then_writes()
    {
        using var source = new CancellationTokenSource();
        await Document.SetAsync(new { a = 1 });
        var (created, deleted) = (db.Document("collection/created"), db.Document("collection/deleted"));
        var before = await deleted.SetAsync(new { a = 1 });

        long result = await db.RunTransactionAsync(
            callback: async (Transaction transaction) =>
            {
                Assert.Same(db, transaction.Database);
                Assert.Equal(source.Token, transaction.CancellationToken);
                DocumentSnapshot snapshot = await transaction.GetSnapshotAsync(
                    documentReference: Document, cancellationToken: source.Token);
                var a = (long)snapshot.ToDictionary()!["a"]! + 1;
                transaction.Set(documentReference: Document, documentData: new { b = a }, options: SetOptions.MergeAll);
                transaction.Create(documentReference: created, documentData: new { a });
                transaction.Delete(documentReference: deleted, precondition: Precondition.LastUpdated(before.UpdateTime));
                return a;
            },
            options: TransactionOptions.ForMaxAttempts(maxAttempts: 3),
            cancellationToken: source.Token);

        Assert.Equal(2, result);
        Assert.Equal(new Dictionary<string, object> { ["a"] = 1L, ["b"] = 2L }, (await Document.GetSnapshotAsync()).ToDictionary()!);
        Assert.True((await created.GetSnapshotAsync()).Exists);
        Assert.False((await deleted.GetSnapshotAsync()).Exists);
    }

    [Fact]
    public async Task Transaction_without_a_result_can_have_options()
    {
        await db.RunTransactionAsync(
            async transaction =>
            {
                await transaction.GetSnapshotAsync(Document);
                transaction.Set(Document, new { a = 1 });
            },
            TransactionOptions.ForMaxAttempts(1),
            Token);
        await db.RunTransactionAsync(transaction =>
        {
            transaction.Delete(Document);
            return Task.CompletedTask;
        });

        Assert.False((await Document.GetSnapshotAsync()).Exists);
        Assert.Equal(7, TransactionOptions.ForMaxAttempts(7).MaxAttempts);
        Assert.Throws<ArgumentOutOfRangeException>(() => TransactionOptions.ForMaxAttempts(0));
    }

    [Fact]
    public async Task Transaction_fails_if_a_precondition_does_not_hold()
    {
        await Document.SetAsync(new { a = 1 });
        var (other, options) = (db.Document("collection/other"), TransactionOptions.ForMaxAttempts(1));

        var create = await Assert.ThrowsAsync<RpcException>(() => db.RunTransactionAsync(
            transaction =>
            {
                transaction.Set(other, new { a = 1 });
                transaction.Create(Document, new Dictionary<string, object>());
                return Task.CompletedTask;
            },
            options));
        var delete = await Assert.ThrowsAsync<RpcException>(() => db.RunTransactionAsync(
            transaction =>
            {
                transaction.Delete(other, Precondition.MustExist);
                return Task.FromResult(true);
            },
            options));

        Assert.Equal((StatusCode.AlreadyExists, StatusCode.NotFound), (create.StatusCode, delete.StatusCode));
        Assert.False((await other.GetSnapshotAsync()).Exists);
    }

    [Fact]
    public async Task Read_after_a_write_in_a_transaction_is_refused() =>
        await Assert.ThrowsAsync<InvalidOperationException>(() => db.RunTransactionAsync(async transaction =>
        {
            transaction.Set(Document, new { a = 1 });
            await transaction.GetSnapshotAsync(Document);
        }));

    [Fact]
    public void Precondition_says_what_it_requires()
    {
        var time = Timestamp.GetCurrentTimestamp();

        Assert.Equal((true, null), (Precondition.MustExist.Exists, Precondition.MustExist.LastUpdateTime));
        Assert.Equal((null, time), (Precondition.LastUpdated(time).Exists, Precondition.LastUpdated(time).LastUpdateTime));
        Assert.Equal((null, null), (Precondition.None.Exists, Precondition.None.LastUpdateTime));
    }

    [Fact]
    public async Task Snapshot_of_a_missing_document_has_a_read_time_only()
    {
        var snapshot = await Document.GetSnapshotAsync();

        Assert.False(snapshot.Exists);
        Assert.Null(snapshot.ToDictionary());
        Assert.Null(snapshot.CreateTime);
        Assert.Null(snapshot.UpdateTime);
        Timestamp readTime = snapshot.ReadTime;
        Assert.InRange(readTime.ToDateTimeOffset(), DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow.AddMinutes(1));
        Assert.Equal(("document", Document), (snapshot.Id, snapshot.Reference));
        Assert.Same(db, snapshot.Database);
    }

    [Fact]
    public async Task Snapshots_are_equal_if_their_fields_are()
    {
        var missing = await Document.GetSnapshotAsync();
        await Document.SetAsync(new { a = 1 });
        var first = await Document.GetSnapshotAsync();
        await Document.SetAsync(new { a = 2 });
        var second = await Document.GetSnapshotAsync();
        await Document.SetAsync(new { a = 1 });
        var third = await Document.GetSnapshotAsync();

        Assert.True(first.Equals(third));
        Assert.Equal(first.GetHashCode(), third.GetHashCode());
        Assert.NotEqual(first.UpdateTime, third.UpdateTime);
        Assert.True(third.ReadTime > first.ReadTime);
        Assert.False(first.Equals(second));
        Assert.False(first.Equals(missing));
        Assert.False(missing.Equals(null));
    }

    [Fact]
    public async Task Values_keep_their_type()
    {
        var time = new DateTime(2026, 1, 31, 12, 0, 0, DateTimeKind.Utc);
        var timestamp = Timestamp.FromDateTime(dateTime: time);
        var blob = Blob.CopyFrom(bytes: [1, 2]);
        var point = new GeoPoint(latitude: 52.5, longitude: 13.4);
        var (map, emptyMap) = (new SortedDictionary<string, string> { ["a"] = "b" }, new Dictionary<string, string>());

        await Document.SetAsync(new
        {
            values = new object?[]
            {
                null, true, 1, 1.5f, "text", timestamp, time, new DateTimeOffset(time), blob, new byte[] { 1, 2 }, point, Document,
            },
            array = new List<int> { 1, 2 },
            map,
            emptyMap,
        });

        var fields = (await Document.GetSnapshotAsync()).ToDictionary()!;
        Assert.Equal(
            [null, true, 1L, 1.5, "text", timestamp, timestamp, timestamp, blob, blob, point, Document],
            Assert.IsType<List<object?>>(fields["values"]));
        Assert.Equal([1L, 2L], Assert.IsType<List<object>>(fields["array"]));
        Assert.Equal("b", Assert.IsType<Dictionary<string, object>>(fields["map"])["a"]);
        Assert.Empty(Assert.IsType<Dictionary<string, object>>(fields["emptyMap"]));
    }

    [Fact]
    public void Timestamps_can_be_compared_and_converted()
    {
        var time = new DateTimeOffset(2026, 1, 31, 12, 0, 0, 250, TimeSpan.FromHours(1));
        var first = Timestamp.FromDateTimeOffset(dateTimeOffset: time);
        var second = Timestamp.FromDateTime(time.UtcDateTime.AddTicks(1));
        var now = Timestamp.GetCurrentTimestamp().ToDateTime();

        Assert.Equal(time, first.ToDateTimeOffset());
        Assert.Equal((time.UtcDateTime, DateTimeKind.Utc), (first.ToDateTime(), first.ToDateTime().Kind));
        Assert.Equal("Timestamp: 2026-01-31T11:00:00.250Z", first.ToString());
        Assert.True(first < second && first <= second && second > first && second >= first && first != second);
        Assert.True(first == Timestamp.FromDateTimeOffset(time) && first.Equals((object)Timestamp.FromDateTimeOffset(time)));
        Assert.True(first.CompareTo(second) < 0 && ((IComparable)first).CompareTo(null) > 0);
        Assert.Throws<ArgumentException>(() => ((IComparable)first).CompareTo("text"));
        Assert.Throws<ArgumentException>(() => Timestamp.FromDateTime(DateTime.Now));
        Assert.InRange(now, DateTime.UtcNow.AddMinutes(-1), DateTime.UtcNow);
    }

    [Fact]
    public void Blobs_and_points_are_equal_if_their_contents_are()
    {
        byte[] bytes = [0xCA, 0xFE];
        var blob = Blob.CopyFrom(bytes);
        var point = new GeoPoint(1, -2);

        Assert.Equal(bytes, blob.ByteString.ToByteArray());
        Assert.Equal((2, 0), (blob.Length, default(Blob).Length));
        Assert.True(blob == Blob.FromByteString(byteString: blob.ByteString) && blob != default && blob.Equals((object)blob));
        Assert.Equal(blob.GetHashCode(), Blob.CopyFrom(bytes).GetHashCode());
        Assert.Equal("Blob: Length=2; Hex=CA FE", blob.ToString());
        Assert.Equal((1.0, -2.0), (point.Latitude, point.Longitude));
        Assert.True(point == new GeoPoint(1, -2) && point != new GeoPoint(1, 2) && point.Equals((object)new GeoPoint(1, -2)));
        Assert.Equal("GeoPoint: Latitude=1; Longitude=-2", point.ToString());
        Assert.Throws<ArgumentOutOfRangeException>(() => new GeoPoint(91, 0));
    }
}
