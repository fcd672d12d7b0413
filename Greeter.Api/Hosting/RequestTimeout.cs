using Microsoft.AspNetCore.Http.Timeouts;

namespace Greeter.Api.Hosting;

/// <summary>Limits how long a request may take.</summary>
internal static class RequestTimeout
{
    /// <summary>Cancels a request's token after <see cref="Settings.RequestTimeout"/>.</summary>
    public static void AddRequestTimeout(this IServiceCollection services, Settings settings) =>
        services.AddRequestTimeouts(options =>
            options.DefaultPolicy = new RequestTimeoutPolicy { Timeout = settings.RequestTimeout });

    /// <summary>Returns whether the request took longer than that.</summary>
    public static bool HasTimedOut(this HttpContext context) =>
        context.Features.Get<IHttpRequestTimeoutFeature>()?.RequestTimeoutToken.IsCancellationRequested == true;
}
