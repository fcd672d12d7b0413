using Microsoft.Playwright;

namespace Greeter.Tests;

/// <summary>The page in Chromium.</summary>
/// <remarks><c>GREETER_SCREENSHOT</c> names a file for a screenshot of the page.</remarks>
[Trait("Category", "Slow")]
public sealed partial class BrowserTests : IAsyncLifetime
{
    // The browser's own margin of a page, in pixels.
    private const int Margin = 8;

    private GreeterApp app = null!;
    private IPlaywright playwright = null!;
    private IBrowser browser = null!;

    public async ValueTask InitializeAsync()
    {
        var executable = Array.Find(["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"], File.Exists);
        Tool.SkipTestIf(executable is not null || Repository.IsOnCI
            ? null
            : "Chromium is missing. Install it, for instance with apt-get install chromium.");
        app = await GreeterApp.StartAsync();
        playwright = await Playwright.CreateAsync();
        browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = executable,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        });
    }

    public async ValueTask DisposeAsync()
    {
        await browser.DisposeAsync();
        playwright.Dispose();
        await app.DisposeAsync();
    }

    [Fact]
    public async Task Reload_or_second_tab_continues_the_count_and_a_private_window_starts_its_own()
    {
        await using var window = await browser.NewContextAsync();
        await using var privateWindow = await browser.NewContextAsync();
        var page = await OpenAsync(window);
        var (views, greeting) = await ReadAsync(page);
        views.Should().Be(1);

        await page.ReloadAsync();
        (await ReadAsync(page)).Should().Be((2, greeting));
        (await ReadAsync(await OpenAsync(privateWindow))).Views.Should().Be(1);
        (await ReadAsync(await OpenAsync(window))).Should().Be((3, greeting));
        (await page.ContentAsync()).Should().NotContain("&quot;", "the browser shows quotes, not entities");
        await SaveScreenshotAsync(page);
    }

    [Theory]
    [InlineData("Olá <script>alert(1)</script> 😀"), InlineData("</body><h1>&lt; &amp;#225; &euro;'")]
    [InlineData("\u0080 is not the euro sign, \u00a0\u00adand \ufffe is nothing")]
    public async Task Edited_greeting_is_shown_as_text(string greeting)
    {
        await using var window = await browser.NewContextAsync();
        var page = await OpenAsync(window);
        var id = (await window.CookiesAsync()).Single().Value;
        await app.Session(id).SetAsync(new { greeting }, SetOptions.MergeAll);

        await page.ReloadAsync();

        (await page.TextContentAsync("body")).Should().Be($"2 views for \"{greeting}\"");
    }

    private async Task<IPage> OpenAsync(IBrowserContext window)
    {
        var page = await window.NewPageAsync();
        var response = await page.GotoAsync(app.Address.ToString());
        response!.Status.Should().Be(200);
        return page;
    }

    private static async Task<(int Views, string Greeting)> ReadAsync(IPage page)
    {
        var match = Text().Match(await page.InnerTextAsync("body"));
        match.Success.Should().BeTrue();
        return (int.Parse(match.Groups[1].Value, null), match.Groups[2].Value);
    }

    // The README describes its picture: 3 views for "Hallo Welt".
    private async Task SaveScreenshotAsync(IPage page)
    {
        if (Environment.GetEnvironmentVariable("GREETER_SCREENSHOT") is { Length: > 0 } path)
        {
            var id = (await page.Context.CookiesAsync()).Single().Value;
            await app.Session(id).SetAsync(new { greeting = "Hallo Welt", views = 2 }, SetOptions.MergeAll);
            await page.ReloadAsync();
            var text = await page.EvaluateAsync<float[]>("""
                () => {
                    const range = document.createRange();
                    range.selectNodeContents(document.body);
                    const { right, bottom } = range.getBoundingClientRect();
                    return [right, bottom];
                }
                """);
            await page.ScreenshotAsync(new PageScreenshotOptions
            {
                Path = Path.GetFullPath(path, Repository.Root),
                Clip = new Clip { Width = text[0] + Margin, Height = text[1] + Margin },
            });
        }
    }

    [GeneratedRegex("^([0-9]+) views for \"(.*)\"$")]
    private static partial Regex Text();
}
