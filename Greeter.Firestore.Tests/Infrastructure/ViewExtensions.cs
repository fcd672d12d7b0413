namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>Counts views in documents, as an app does.</summary>
internal static class ViewExtensions
{
    public static long Views(this DocumentSnapshot snapshot) => snapshot.ToDictionary()?["views"] as long? ?? 0;

    public static async Task<long> ViewsAsync(this DocumentReference document) => (await document.GetSnapshotAsync()).Views();

    public static async Task<long> CountAsync(this Transaction transaction, DocumentReference document)
    {
        var views = (await transaction.GetSnapshotAsync(document)).Views() + 1;
        transaction.Set(document, new { views }, SetOptions.MergeAll);
        return views;
    }

    public static Task<long> CountAsync(this FirestoreDb db, DocumentReference document, CancellationToken cancellationToken = default) =>
        db.RunTransactionAsync(transaction => transaction.CountAsync(document), cancellationToken: cancellationToken);

    /// <summary>Runs a transaction that only writes.</summary>
    public static Task WriteAsync(this FirestoreDb db, Action<Transaction> write) => db.RunTransactionAsync(transaction =>
    {
        write(transaction);
        return Task.CompletedTask;
    });

    /// <summary>Creates a document with one view. From then on it is cached.</summary>
    public static Task CreateAsync(this FirestoreDb db, DocumentReference document) =>
        db.WriteAsync(transaction => transaction.Create(document, new { views = 1 }));
}
