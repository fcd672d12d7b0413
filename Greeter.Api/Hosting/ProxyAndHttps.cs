using Microsoft.AspNetCore.HttpOverrides;

namespace Greeter.Api.Hosting;

/// <summary>Handles requests that come through a platform's proxy, which receives HTTPS and sends HTTP.</summary>
internal static class ProxyAndHttps
{
    private static readonly string OriginalProto = new ForwardedHeadersOptions().OriginalProtoHeaderName;

    /// <summary>Configures forwarded headers, the redirection to HTTPS, and HSTS.</summary>
    public static void AddProxyAndHttps(this IServiceCollection services)
    {
        services.Configure<ForwardedHeadersOptions>(options =>
        {
            options.ForwardedHeaders = ForwardedHeaders.XForwardedProto;
            // Trusts every sender: the platforms' proxies have no fixed addresses, and only they can reach the app.
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
        });
        services.AddHttpsRedirection(options =>
        {
            options.RedirectStatusCode = StatusCodes.Status308PermanentRedirect;
            options.HttpsPort = 443;
        });
        services.AddHsts(options =>
        {
            options.MaxAge = TimeSpan.FromSeconds(31536000);
            options.IncludeSubDomains = true;
            options.ExcludedHosts.Clear();
        });
    }

    /// <summary>Takes the scheme from <c>X-Forwarded-Proto</c>.</summary>
    public static void UseForwardedScheme(this WebApplication app)
    {
        // UseForwardedHeaders sets this header if it applied X-Forwarded-Proto. Remove it if it comes from a visitor.
        app.Use((context, next) =>
        {
            context.Request.Headers.Remove(OriginalProto);
            return next(context);
        });
        app.UseForwardedHeaders();
    }

    /// <summary>Redirects to HTTPS if a proxy reports HTTP. Other requests aren't redirected.</summary>
    public static void UseHttpsRedirectionBehindProxy(this WebApplication app) => app.UseWhen(
        context => context.Request.Headers.ContainsKey(OriginalProto),
        proxied => proxied.UseHttpsRedirection());

    /// <summary>Serves every host name that can be part of a URL, and responds with 400 to others, such as <c>a..!</c>.</summary>
    /// <remarks>ASP.NET Core converts names with <c>xn--</c> to Unicode. Without ICU, that fails for some valid names, and HSTS and
    /// the redirection throw an exception. The prefix in capital letters means the same, but ASP.NET Core doesn't convert it.</remarks>
    public static void UseHostValidation(this WebApplication app) => app.Use((context, next) =>
    {
        var host = context.Request.Headers.Host.ToString();
        if (host.Contains("xn--", StringComparison.Ordinal))
        {
            context.Request.Headers.Host = host.Replace("xn--", "XN--", StringComparison.Ordinal);
        }
        try
        {
            _ = context.Request.Host.ToUriComponent();
        }
        catch (ArgumentException)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return Task.CompletedTask;
        }
        return next(context);
    });
}
