using Greeter.Tests.Infrastructure;

namespace Greeter.Tests;

/// <summary>What a visitor gets, over HTTP, on either store.</summary>
public class AppTests
{
    [Theory, OnEmbedded, OnEmulator]
    public async Task A_visitor_keeps_one_greeting_and_counts_views(Store store)
    {
        await using var app = await GreeterApp.StartAsync(store);
        using var visitor = app.CreateVisitor();

        var first = await visitor.GetStringAsync("/");
        var greeting = first.Split('"')[1];

        first.Should().Be($"<body>1 views for \"{greeting}\"</body>");
        greeting.Should().BeOneOf("Hello World", "Hallo Welt", "Ciao Mondo", "Salut le Monde", "Hola mundo");
        (await visitor.GetStringAsync("/")).Should().Be($"<body>2 views for \"{greeting}\"</body>");
        (await visitor.GetStringAsync("/")).Should().Be($"<body>3 views for \"{greeting}\"</body>");
    }
}
