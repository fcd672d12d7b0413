using System.Globalization;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration.CommandLine;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Greeter.Api;

/// <summary>What gunicorn, App Engine's Python runtime and flask-talisman do around <c>main.py</c>: port, proxy, headers,
/// time budget, health. Beside it: <see cref="Failures"/>, <see cref="Logging"/>, <see cref="ConnectionDrain"/>.</summary>
internal static class Hosting
{
    private const string OriginalProto = "X-Original-Proto";

    /// <summary>A builder whose host is set up from environment and configuration; <see cref="UseHosting"/> is the other half.
    /// </summary>
    public static WebApplicationBuilder CreateBuilder(string[] args)
    {
        // There are no configuration files to watch; a watcher would see each line of the embedded store's file.
        var builder = WebApplication.CreateSlimBuilder([.. args, "--hostBuilder:reloadConfigOnChange=false"]);
        builder.AddLogging();
        Listen(builder);
        var drain = new ConnectionDrain();
        builder.WebHost.UseSockets(sockets => sockets.CreateBoundListenSocket = drain.Bind);
        builder.Services.AddSingleton<IHostedService>(drain);
        // Cloud Run kills 10 s after SIGTERM.
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(9));
        builder.Services.Configure<ForwardedHeadersOptions>(options =>
        {
            options.ForwardedHeaders = ForwardedHeaders.XForwardedProto;
            // The platforms' proxies have no fixed addresses, and nobody else reaches the app there.
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
        });
        builder.Services.AddHttpsRedirection(options =>
        {
            options.RedirectStatusCode = StatusCodes.Status308PermanentRedirect;
            options.HttpsPort = 443;
        });
        builder.Services.AddHsts(options =>
        {
            options.MaxAge = TimeSpan.FromSeconds(31536000);
            options.IncludeSubDomains = true;
            options.ExcludedHosts.Clear();
        });
        var budget = new RequestTimeoutPolicy { Timeout = GetBudget(builder.Configuration) };
        builder.Services.AddRequestTimeouts(options => options.DefaultPolicy = budget);
        builder.Services.AddHealthChecks().AddCheck<Stopping>("stopping");
        builder.Services.AddFirestoreDb(firestore =>
        {
            firestore.EmulatorDetection = EmulatorDetection.EmulatorOrProduction;
            firestore.ProjectId = builder.Configuration["GOOGLE_CLOUD_PROJECT"];
            firestore.DatabaseId = builder.Configuration["Firestore:DatabaseId"];
            firestore.Endpoint = builder.Configuration["Firestore:Endpoint"];
        });
        return builder;
    }

    /// <summary>Puts what every request passes through in front of the app's own routes.</summary>
    public static WebApplication UseHosting(this WebApplication app)
    {
        if (app.Services.GetService<CloudLoggingFormatter>() is { } formatter)
        {
            formatter.ProjectId = app.Services.GetRequiredService<FirestoreDb>().ProjectId;
        }
        app.Lifetime.ApplicationStarted.Register(Logging.HasStarted);
        app.Use(DropOriginalProto);
        app.UseForwardedHeaders();
        app.Use(SetHeaders);
        app.Use(RefuseMalformedHost);
        app.Use(RefuseMethodInOtherCase);
        app.UseHsts();
        app.UseWhen(
            context => context.Request.Method is "GET" or "HEAD",
            probes => probes
                .UseHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false })
                .UseHealthChecks("/health/ready"));
        app.UseWhen(IsForwarded, forwarded => forwarded.UseHttpsRedirection());
        app.UseRequestTimeouts();
        app.Use(Failures.AnswerAsync);
        return app;
    }

    /// <summary>How long a session lives after its last view: <c>Session:Lifetime</c>, 31 days unless set, as Flask's permanent
    /// sessions; at most 400 days, longer than which browsers keep no cookie.</summary>
    public static TimeSpan GetSessionLifetime(this WebApplication app) =>
        GetDuration(app.Configuration, "Session:Lifetime", TimeSpan.FromDays(31), TimeSpan.FromSeconds(1), TimeSpan.FromDays(400));

    /// <summary>Waits for the work, but only a moment longer when the token is cancelled: long enough for it to tell what it was
    /// trying in vain, which the log needs; no longer, because Google's own client reads on without its token.</summary>
    public static async Task<T> OrCancelledAsync<T>(this Task<T> work, CancellationToken cancellationToken)
    {
        try
        {
            return await work.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return await work.WaitAsync(TimeSpan.FromMilliseconds(100), CancellationToken.None);
        }
    }

    private static TimeSpan GetBudget(IConfiguration settings) =>
        GetDuration(settings, "Request:Budget", TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));

    private static TimeSpan GetDuration(IConfiguration settings, string key, TimeSpan standard, TimeSpan least, TimeSpan most)
    {
        if (settings[key] is not { Length: > 0 } text)
        {
            return standard;
        }
        return TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var duration) && duration >= least && duration <= most
            ? duration
            : throw new InvalidOperationException(
                $"The setting {key} is '{text}': it must be a time of [days.]hours:minutes:seconds from {least} to {most}.");
    }

    // --urls, else PORT, else ASPNETCORE_URLS and its like, else as main.py does
    private static void Listen(WebApplicationBuilder builder)
    {
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
        var commandLine = ((IConfigurationRoot)builder.Configuration).Providers.OfType<CommandLineConfigurationProvider>();
        var port = builder.Configuration["PORT"];
        if (commandLine.Any(provider => provider.TryGet("urls", out _)))
        {
            return;
        }
        if (!string.IsNullOrEmpty(port))
        {
            builder.WebHost.UseUrls(ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out _)
                ? $"http://*:{port}"
                : throw new InvalidOperationException($"PORT is '{port}': set it to a number from 0 to 65535."));
        }
        else if (builder.Configuration["urls"] is null && builder.Configuration["http_ports"] is null)
        {
            builder.WebHost.UseUrls("http://localhost:8080");
        }
    }

    // UseForwardedHeaders keeps here what X-Forwarded-Proto has replaced.
    private static bool IsForwarded(HttpContext context) => context.Request.Headers.ContainsKey(OriginalProto);

    // A visitor's own would pass for it.
    private static Task DropOriginalProto(HttpContext context, RequestDelegate next)
    {
        context.Request.Headers.Remove(OriginalProto);
        return next(context);
    }

    // Kestrel lets through names that IDNA has no form for (a..!, xn--), and what needs one, as HSTS and the redirection, throws.
    private static Task RefuseMalformedHost(HttpContext context, RequestDelegate next)
    {
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
    }

    // To routing "get" is GET, but a method's case matters: https://www.rfc-editor.org/rfc/rfc9110#section-9.1
    private static Task RefuseMethodInOtherCase(HttpContext context, RequestDelegate next)
    {
        var route = context.GetEndpoint()?.Metadata.GetMetadata<IHttpMethodMetadata>();
        if (route is null || route.HttpMethods.Contains(context.Request.Method))
        {
            return next(context);
        }
        context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        context.Response.Headers.Allow = string.Join(", ", route.HttpMethods);
        return Task.CompletedTask;
    }

    private static Task SetHeaders(HttpContext context, RequestDelegate next)
    {
        // When the answer starts: an error handler may clear what was set before.
        context.Response.OnStarting(static state =>
        {
            var headers = ((HttpResponse)state).Headers;
            headers.CacheControl = "no-store";
            headers.XContentTypeOptions = "nosniff";
            headers.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";
            headers["Referrer-Policy"] = "no-referrer";
            return Task.CompletedTask;
        }, context.Response);
        return next(context);
    }

    private sealed class Stopping(IHostApplicationLifetime lifetime) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(lifetime.ApplicationStopping.IsCancellationRequested
                ? HealthCheckResult.Unhealthy("Stopping.")
                : HealthCheckResult.Healthy());
    }
}
