namespace Greeter.Api.Hosting;

internal sealed partial record FirestoreDatabase
{
    static partial void AddEmbeddedStore(WebApplicationBuilder builder, string? databaseId, ref string? server)
    {
        var setting = builder.Configuration["Firestore:EmbeddedFolder"];
        if (!SettingException.IsPath(setting ?? ""))
        {
            throw new SettingException("Set Firestore__EmbeddedFolder to the path of a folder.");
        }
        var folder = Path.GetFullPath(IsNotSet(setting) ? ".firestore" : setting!, builder.Environment.ContentRootPath);
        builder.Services.AddEmbeddedFirestoreDb(folder, databaseId);
        server = $"the embedded store in {folder}";
    }
}
