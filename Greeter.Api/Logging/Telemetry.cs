using System.Diagnostics;
using Greeter.Api.Hosting;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Greeter.Api.Logging;

/// <summary>Sends traces and metrics to an OpenTelemetry Collector.</summary>
internal static class Telemetry
{
    private const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    private const string ProtocolVariable = "OTEL_EXPORTER_OTLP_PROTOCOL";
    private const string TimeoutVariable = "OTEL_EXPORTER_OTLP_TIMEOUT";

    /// <summary>Returns whether <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> is set. Otherwise, nothing of OpenTelemetry is loaded.</summary>
    public static bool HasTelemetry(this WebApplicationBuilder builder) =>
        !string.IsNullOrWhiteSpace(builder.Configuration[EndpointVariable]);

    /// <summary>Sends a span of each request, those of its calls to Firestore, and the metrics of ASP.NET Core, the runtime, and the
    /// client. OpenTelemetry's other variables count, too.</summary>
    /// <exception cref="SettingException">The address or the protocol is invalid. OpenTelemetry would ignore it.</exception>
    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        Check(builder.Configuration);
        // OpenTelemetry's default is 10 s. If the collector hangs, that would be too long at the end of the app: Cloud Run allows 10.
        builder.Configuration[TimeoutVariable] ??= "1000";
        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("greeter").AddEnvironmentVariableDetector())
            .WithTracing(tracing => tracing
                .AddAspNetCoreInstrumentation(options => options.Filter = context => !context.Request.Path.StartsWithSegments("/health"))
                .AddSource("Grpc.Net.Client")
                .AddProcessor(new SpanProcessor()))
            .WithMetrics(metrics => metrics
                .AddAspNetCoreInstrumentation()
                .AddRuntimeInstrumentation()
                .AddMeter("Greeter.Firestore"))
            .UseOtlpExporter();
    }

    private static void Check(ConfigurationManager configuration)
    {
        if (!Uri.TryCreate(configuration[EndpointVariable], UriKind.Absolute, out var endpoint)
            || (endpoint.Scheme != Uri.UriSchemeHttp && endpoint.Scheme != Uri.UriSchemeHttps))
        {
            throw new SettingException($"Set {EndpointVariable} to the address of a collector, such as http://localhost:4317.");
        }
        if (configuration[ProtocolVariable] is not (null or "" or "grpc" or "http/protobuf"))
        {
            throw new SettingException($"Set {ProtocolVariable} to grpc or http/protobuf.");
        }
    }

    /// <summary>Names a call to Firestore after its method, and shortens session IDs, such as one in the path of a request.</summary>
    private sealed class SpanProcessor : BaseProcessor<Activity>
    {
        public override void OnEnd(Activity data)
        {
            // https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/#span-name
            if (data.GetTagItem("grpc.method") is string method)
            {
                data.DisplayName = method.TrimStart('/');
            }
            foreach (var (name, value) in data.TagObjects.ToList())
            {
                if (value is string text)
                {
                    data.SetTag(name, SessionIdRedactor.Redact(text));
                }
            }
        }
    }
}
