namespace Greeter.Api.Hosting;

internal sealed partial record FirestoreDatabase
{
    // App Engine, Cloud Run and Heroku set them. The files of an instance are gone with the instance, and no other instance has them.
    private static readonly string[] PlatformVariables = ["GAE_SERVICE", "K_SERVICE", "DYNO"];

    static partial void AddEmbeddedStore(WebApplicationBuilder builder, string? databaseId, ref string? server)
    {
        if (Array.Find(PlatformVariables, name => !IsNotSet(builder.Configuration[name])) is { } variable)
        {
            throw new SettingException(
                $"The embedded store is for Development on your own machine, but {variable} is set, as on a platform. Unset "
                + "ASPNETCORE_ENVIRONMENT, or set GOOGLE_CLOUD_PROJECT to the project with the sessions.");
        }
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
