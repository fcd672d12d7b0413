using Greeter.Firestore;

namespace Greeter.Firestore.Tests;

/// <summary>The names of collections and documents.</summary>
public sealed class ReferenceTests : IDisposable
{
    private readonly TestDatabase database = TestDatabase.OpenEmbedded();

    private FirestoreDb Db => database.Db;

    private string Root => $"projects/{Db.ProjectId}/databases/(default)/documents";

    public void Dispose() => database.Dispose();

    [Fact]
    public void References_say_where_they_lead()
    {
        var sessions = Db.Collection("sessions");
        var session = sessions.Document("one");
        var page = session.Collection("pages").Document("two");

        sessions.Path.Should().Be($"{Root}/sessions");
        sessions.Id.Should().Be("sessions");
        session.Path.Should().Be($"{Root}/sessions/one").And.Be(session.ToString());
        session.Id.Should().Be("one");
        session.Parent.Path.Should().Be(sessions.Path).And.Be(session.Parent.ToString());
        page.Path.Should().Be($"{Root}/sessions/one/pages/two");
        page.Parent.Id.Should().Be("pages");
        page.Database.Should().BeSameAs(Db).And.BeSameAs(sessions.Database);
    }

    [Fact]
    public void Paths_may_be_given_at_once_or_step_by_step()
    {
        var page = Db.Collection("sessions").Document("one").Collection("pages").Document("two");

        Db.Document("sessions/one/pages/two").Should().Be(page);
        Db.Collection("sessions/one/pages").Document("two").Should().Be(page);
        Db.Collection("sessions").Document("one/pages/two").Should().Be(page);
        Db.Document("sessions/one").Collection("pages").Document("two").GetHashCode().Should().Be(page.GetHashCode());
    }

    [Fact]
    public void References_to_different_documents_differ()
    {
        Db.Document("sessions/one").Equals(Db.Document("sessions/One")).Should().BeFalse();
        Db.Document("sessions/one").Equals(null).Should().BeFalse();
        Db.Document("sessions/one").Equals("sessions/one").Should().BeFalse();
    }

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("/a")]
    [InlineData("a/")]
    [InlineData("a//b")]
    [InlineData("/a/b")]
    [InlineData("a/b/")]
    [InlineData("a//b/c")]
    public void An_empty_part_is_refused(string path)
    {
        Db.Invoking(it => it.Collection(path)).Should().Throw<ArgumentException>();
        Db.Invoking(it => it.Document(path)).Should().Throw<ArgumentException>();
        Db.Collection("c").Invoking(it => it.Document(path)).Should().Throw<ArgumentException>();
        Db.Document("c/d").Invoking(it => it.Collection(path)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_path_of_the_wrong_length_is_refused()
    {
        Db.Collection("sessions").Invoking(it => it.Document("a/b")).Should().Throw<ArgumentException>()
            .WithMessage("*'a/b'*odd*");
        Db.Invoking(it => it.Document("a")).Should().Throw<ArgumentException>().WithMessage("*even*");
        Db.Invoking(it => it.Document("a/b/c")).Should().Throw<ArgumentException>();
        Db.Invoking(it => it.Collection("a/b")).Should().Throw<ArgumentException>();
        Db.Document("a/b").Invoking(it => it.Collection("c/d")).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void No_path_at_all_is_refused()
    {
        Db.Invoking(it => it.Collection(null!)).Should().Throw<ArgumentNullException>();
        Db.Invoking(it => it.Document(null!)).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void Id_with_an_unpaired_surrogate_is_refused()
    {
        foreach (var id in new[] { "\ud83d", "a\ude00", "\ud83d/b/c", "a/b/\ud83d" })
        {
            Db.Invoking(it => it.Collection(id)).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
            Db.Invoking(it => it.Document($"c/{id}")).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
            Db.Collection("c").Invoking(it => it.Document(id)).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
            Db.Document("c/d").Invoking(it => it.Collection(id)).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
        }
    }

    [Theory]
    [OnEmbedded("."), OnEmulator(".")]
    [OnEmbedded(".."), OnEmulator("..")]
    [OnEmbedded("__x__"), OnEmulator("__x__")]
    public async Task A_reserved_id_is_refused_by_the_store(Store store, string id)
    {
        using var opened = await TestDatabase.OpenAsync(store);

        var read = () => opened.Db.Collection("sessions").Document(id).GetSnapshotAsync();

        (await read.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.InvalidArgument);
    }
}
