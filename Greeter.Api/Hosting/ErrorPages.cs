namespace Greeter.Api.Hosting;

/// <summary>Gives responses such as 404 and 405 a line of text.</summary>
internal static class ErrorPages
{
    /// <summary>Adds the text to responses from 400 to 599 that have no body.</summary>
    public static void UseErrorPages(this WebApplication app) =>
        app.UseStatusCodePages("text/plain", "Error {0}. This site has one page, and its address is /.\n");
}
