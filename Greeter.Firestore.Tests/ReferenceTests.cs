namespace Greeter.Firestore.Tests;

/// <summary>References name collections and documents without a call.</summary>
public sealed class ReferenceTests : IDisposable
{
    private readonly TestDatabase database = TestDatabase.OpenEmbedded();

    private FirestoreDb Db => database.Db;

    public void Dispose() => database.Dispose();

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
}
