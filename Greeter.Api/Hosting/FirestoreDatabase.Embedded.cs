namespace Greeter.Api.Hosting;

internal sealed partial record FirestoreDatabase
{
    static partial void AddEmbeddedStore(WebApplicationBuilder builder, string? databaseId, ref string? server)
    {
        var setting = builder.Configuration["Firestore:EmbeddedFolder"];
        var folder = Path.GetFullPath(IsNotSet(setting) ? ".firestore" : setting!, builder.Environment.ContentRootPath);
        builder.Services.AddEmbeddedFirestoreDb(folder, databaseId);
        server = $"the embedded store in {folder}";
    }
}
