namespace Greeter.Tests;

/// <summary>The pages agree with the files that they show, link, and name.</summary>
public sealed partial class DocumentationTests
{
    private static readonly string[] Files = [.. Repository.Sources()];
    private static readonly Dictionary<string, string> Pages = Files.Where(file => file.EndsWith(".md")).ToDictionary(file => file, Read);

    [Theory]
    [InlineData("csharp", "Greeter.Api/Program.cs"), InlineData("yaml", "app.yaml")]
    public void Tutorial_shows_a_whole_file_in_pieces(string language, string file)
    {
        var pieces = CodeBlock().Matches(Pages[Path.Combine("docs", "tutorial.md")])
            .Where(block => block.Groups["language"].Value == language)
            .Select(block => block.Groups["code"].Value);

        string.Join('\n', pieces).Should().Be(Read(file));
    }

    [Fact]
    public void Links_between_pages_lead_to_files_and_headings()
    {
        var links = Pages.SelectMany(page => Link().Matches(page.Value).Select(link => (Page: page.Key, Link: link.Groups))).ToList();

        links.Should().NotBeEmpty();
        links.Where(one => !Exists(one.Page, one.Link["path"].Value, one.Link["heading"].Value))
            .Select(one => $"{one.Page}: {one.Link[0].Value}").Should().BeEmpty();
    }

    [Fact]
    public void Tests_that_pages_name_exist()
    {
        var tests = Pages.SelectMany(page => TestName().Matches(page.Value)).Select(name => name.Groups).ToList();

        tests.Should().NotBeEmpty();
        tests.Where(test => !Array.Exists(Files, file => Path.GetFileName(file) == $"{test["class"].Value}.cs"
            && (test["method"].Value is "" || Read(file).Contains($" {test["method"].Value}("))))
            .Select(test => test[0].Value).Should().BeEmpty();
    }

    private static string Read(string file) => File.ReadAllText(Path.Combine(Repository.Root, file));

    private static bool Exists(string page, string path, string heading)
    {
        var target = Path.GetRelativePath(Repository.Root, Path.Combine(
            Repository.Root, path is "" ? page : Path.Combine(Path.GetDirectoryName(page)!, path)));
        return Path.Exists(Path.Combine(Repository.Root, target))
            && (heading is "" || Heading().Matches(Pages[target]).Any(match => Anchor(match.Groups["text"].Value) == heading));
    }

    // As GitHub makes it.
    private static string Anchor(string heading) => NotInAnchor().Replace(heading.ToLowerInvariant(), "").Replace(' ', '-');

    [GeneratedRegex("^```(?<language>[a-z]+)\n(?<code>.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CodeBlock();

    [GeneratedRegex(@"\]\((?!https?:)(?<path>[^)#]*)#?(?<heading>[^)]*)\)")]
    private static partial Regex Link();

    [GeneratedRegex("^#+ (?<text>.*)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex("[^a-z0-9 _-]")]
    private static partial Regex NotInAnchor();

    [GeneratedRegex(@"`(?<class>[A-Z]\w*Tests)(\.(?<method>\w+))?`")]
    private static partial Regex TestName();
}
