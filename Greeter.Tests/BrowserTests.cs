using System.Text.RegularExpressions;
using Greeter.Tests.Infrastructure;
using Microsoft.Playwright;

namespace Greeter.Tests;

/// <summary>The page in Chromium.</summary>
/// <remarks><c>GREETER_SCREENSHOT</c> names a file for a screenshot of the page.</remarks>
[Trait("Category", "Slow")]
public sealed partial class BrowserTests : IClassFixture<BrowserTests.Chromium>
{
    // The browser's own margin of a page, in pixels.
    private const int Margin = 8;

    private readonly GreeterApp app;
    private readonly IBrowser browser;

    public BrowserTests(Chromium chromium)
    {
        Tool.SkipTestIf(
            chromium.IsStarted ? null : "Chromium is missing. Install it, for instance with apt-get install chromium.");
        (app, browser) = (chromium.App, chromium.Browser);
    }

    [Fact]
    public async Task Reload_shows_the_same_greeting_and_the_next_count()
    {
        var page = await OpenAsync(await browser.NewContextAsync());

        var (views, greeting) = await ReadAsync(page);
        views.Should().Be(1);
        await page.ReloadAsync();
        (await ReadAsync(page)).Should().Be((2, greeting));
        await SaveScreenshotAsync(page);
        (await page.ContentAsync()).Should().NotContain("&quot;", "the browser shows quotes, not entities");
    }

    [Fact]
    public async Task Second_tab_continues_the_count_and_a_private_window_starts_its_own()
    {
        await using var window = await browser.NewContextAsync();
        await using var privateWindow = await browser.NewContextAsync();
        var (_, greeting) = await ReadAsync(await OpenAsync(window));

        (await ReadAsync(await OpenAsync(window))).Should().Be((2, greeting));
        (await ReadAsync(await OpenAsync(privateWindow))).Views.Should().Be(1);
        (await ReadAsync(await OpenAsync(window))).Should().Be((3, greeting));
    }

    [Fact]
    public async Task Cookie_is_hidden_from_scripts_and_expires_with_the_session()
    {
        await using var window = await browser.NewContextAsync();
        var page = await OpenAsync(window);

        var cookie = (await window.CookiesAsync()).Should().ContainSingle().Subject;

        cookie.Name.Should().Be("session_id");
        cookie.HttpOnly.Should().BeTrue();
        cookie.SameSite.Should().Be(SameSiteAttribute.Lax);
        // The clock of a virtual machine may be corrected in between.
        DateTimeOffset.FromUnixTimeSeconds((long)cookie.Expires)
            .Should().BeCloseTo(DateTimeOffset.UtcNow.AddDays(31), TimeSpan.FromMinutes(10));
        (await page.EvaluateAsync<string>("document.cookie")).Should().BeEmpty();
    }

    [Theory]
    [InlineData("0123456789abcdef0123456789abcdef")]
    [InlineData("../../etc/passwd")]
    [InlineData("x")]
    public async Task Edited_cookie_starts_a_new_session(string value)
    {
        await using var window = await browser.NewContextAsync();
        await ReadAsync(await OpenAsync(window));
        var issued = (await window.CookiesAsync()).Single().Value;
        await window.ClearCookiesAsync();
        await window.AddCookiesAsync([new Cookie { Name = "session_id", Value = value, Url = app.Address.ToString() }]);

        var page = await OpenAsync(window);

        (await ReadAsync(page)).Views.Should().Be(1);
        (await window.CookiesAsync()).Should().ContainSingle().Which.Value.Should().NotBe(value).And.NotBe(issued);
        await page.ReloadAsync();
        (await ReadAsync(page)).Views.Should().Be(2);
    }

    [Fact(Skip = Improvement.Contention, SkipUnless = nameof(Improvement.IsPresent), SkipType = typeof(Improvement))]
    public async Task Five_tabs_at_once_show_five_different_counts_of_one_session()
    {
        await using var window = await browser.NewContextAsync();
        var (_, greeting) = await ReadAsync(await OpenAsync(window));

        var pages = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => OpenAsync(window)));
        var seen = await Task.WhenAll(pages.Select(ReadAsync));

        seen.Select(view => view.Views).Order().Should().Equal(2, 3, 4, 5, 6);
        seen.Should().OnlyContain(view => view.Greeting == greeting);
    }

    [Fact]
    public async Task Edited_greeting_is_shown_as_text()
    {
        await using var window = await browser.NewContextAsync();
        var page = await OpenAsync(window);
        var id = (await window.CookiesAsync()).Single().Value;
        await app.Session(id).SetAsync(
            new Dictionary<string, object> { ["greeting"] = "Olá <script>alert(1)</script> 😀" }, SetOptions.MergeAll);

        await page.ReloadAsync();

        (await ReadAsync(page)).Should().Be((2, "Olá <script>alert(1)</script> 😀"));
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
            await app.Session(id).SetAsync(new Dictionary<string, object> { ["greeting"] = "Hallo Welt" }, SetOptions.MergeAll);
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

    /// <summary>A browser and the app that it visits. Neither starts if Chromium is missing, except in CI.</summary>
    public sealed class Chromium : IAsyncLifetime
    {
        private readonly string? executable =
            Array.Find(["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"], File.Exists);

        private IPlaywright? playwright;

        internal bool IsStarted => executable is not null || Repository.IsOnCI;

        internal GreeterApp App { get; private set; } = null!;

        internal IBrowser Browser { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            if (IsStarted)
            {
                App = await GreeterApp.StartAsync();
                playwright = await Playwright.CreateAsync();
                Browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
                {
                    ExecutablePath = executable,
                    Args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                });
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (IsStarted)
            {
                await Browser.DisposeAsync();
                playwright!.Dispose();
                await App.DisposeAsync();
            }
        }
    }

    [GeneratedRegex("^([0-9]+) views for \"(.*)\"$")]
    private static partial Regex Text();
}
