using Greeter.Firestore;

namespace Greeter.Firestore.Tests;

/// <summary>References name collections and documents without a call.</summary>
public sealed class ReferenceTests : IDisposable
{
    private readonly TestDatabase database = TestDatabase.OpenEmbedded();

    private FirestoreDb Db => database.Db;

    private string Root => $"projects/{Db.ProjectId}/databases/(default)/documents";

    public void Dispose() => database.Dispose();

    [Fact]
    public void Reference_has_path_ID_and_parent()
    {
        var sessions = Db.Collection("sessions");
        var session = sessions.Document("one");
        var page = session.Collection("pages").Document("two");

        sessions.Path.Should().Be($"{Root}/sessions");
        sessions.Id.Should().Be("sessions");
        session.Path.Should().Be($"{Root}/sessions/one").And.Be(session.ToString());
        session.Id.Should().Be("one");
        session.Parent.Should().Be(sessions).And.NotBe(page.Parent);
        session.Parent.ToString().Should().Be(sessions.Path);
        sessions.Parent.Should().BeNull();
        page.Parent.Parent.Should().Be(session);
        page.Path.Should().Be($"{Root}/sessions/one/pages/two");
        page.Parent.Id.Should().Be("pages");
        page.Database.Should().BeSameAs(Db).And.BeSameAs(sessions.Database);
    }

    [Fact]
    public void Path_can_be_given_at_once_or_step_by_step()
    {
        var page = Db.Collection("sessions").Document("one").Collection("pages").Document("two");

        Db.Document("sessions/one/pages/two").Should().Be(page);
        Db.Collection("sessions/one/pages").Document("two").Should().Be(page);
        Db.Collection("sessions").Document("one/pages/two").Should().Be(page);
        Db.Document("sessions/one").Collection("pages").Document("two").GetHashCode().Should().Be(page.GetHashCode());
    }

    [Fact]
    public void References_with_different_paths_are_not_equal()
    {
        Db.Document("sessions/one").Equals(Db.Document("sessions/One")).Should().BeFalse();
        Db.Document("sessions/one").Equals(null).Should().BeFalse();
        Db.Document("sessions/one").Equals("sessions/one").Should().BeFalse();
        Db.Collection("sessions").Equals(Db.Collection("Sessions")).Should().BeFalse();
        Db.Collection("sessions").Equals(null).Should().BeFalse();
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
    public void Empty_ID_is_refused(string path)
    {
        Db.Invoking(it => it.Collection(path)).Should().Throw<ArgumentException>();
        Db.Invoking(it => it.Document(path)).Should().Throw<ArgumentException>();
        Db.Collection("c").Invoking(it => it.Document(path)).Should().Throw<ArgumentException>();
        Db.Document("c/d").Invoking(it => it.Collection(path)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Path_with_the_wrong_number_of_IDs_is_refused()
    {
        Db.Collection("sessions").Invoking(it => it.Document("a/b")).Should().Throw<ArgumentException>()
            .WithMessage("*'a/b'*odd*");
        Db.Invoking(it => it.Document("a")).Should().Throw<ArgumentException>().WithMessage("*even*");
        Db.Invoking(it => it.Document("a/b/c")).Should().Throw<ArgumentException>();
        Db.Invoking(it => it.Collection("a/b")).Should().Throw<ArgumentException>();
        Db.Document("a/b").Invoking(it => it.Collection("c/d")).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Null_path_is_refused()
    {
        Db.Invoking(it => it.Collection(null!)).Should().Throw<ArgumentNullException>();
        Db.Invoking(it => it.Document(null!)).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void ID_with_a_lone_surrogate_is_refused()
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
    [InlineData(Store.Embedded, "."), InlineData(Store.Emulator, ".")]
    [InlineData(Store.Embedded, ".."), InlineData(Store.Emulator, "..")]
    [InlineData(Store.Embedded, "__x__"), InlineData(Store.Emulator, "__x__")]
    public async Task Reserved_ID_is_refused_by_Firestore(Store store, string id)
    {
        using var opened = await TestDatabase.OpenAsync(store);

        var read = () => opened.Db.Collection("sessions").Document(id).GetSnapshotAsync();

        (await read.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.InvalidArgument);
    }
}
