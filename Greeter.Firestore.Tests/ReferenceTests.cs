namespace Greeter.Firestore.Tests;

/// <summary>References name collections and documents without a call.</summary>
public sealed class ReferenceTests : IDisposable
{
    private readonly TestDatabase database = TestDatabase.OpenEmbedded();

    public void Dispose() => database.Dispose();

    [Fact]
    public void Empty_ID_is_refused()
    {
        foreach (var path in new[] { "", "/", "/a", "a/", "a//b", "/a/b", "a/b/", "a//b/c" })
        {
            ShouldBeRefused(path, path, "*");
        }
    }

    [Fact]
    public void ID_with_a_lone_surrogate_is_refused()
    {
        foreach (var id in new[] { "\ud83d", "a\ude00", "\ud83d/b/c", "a/b/\ud83d" })
        {
            ShouldBeRefused(id, $"c/{id}", "*surrogate*");
        }
    }

    private void ShouldBeRefused(string id, string path, string message)
    {
        database.Db.Invoking(it => it.Collection(id)).Should().Throw<ArgumentException>().WithMessage(message);
        database.Db.Invoking(it => it.Document(path)).Should().Throw<ArgumentException>().WithMessage(message);
        database.Db.Collection("c").Invoking(it => it.Document(id)).Should().Throw<ArgumentException>().WithMessage(message);
        database.Db.Document("c/d").Invoking(it => it.Collection(id)).Should().Throw<ArgumentException>().WithMessage(message);
    }
}
