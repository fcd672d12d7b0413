namespace Greeter.Tests;

/// <summary>A clone on another system.</summary>
public class CheckoutTests
{
    [Fact]
    public async Task Git_does_not_convert_line_ends_even_with_core_autocrlf()
    {
        using var folder = new TemporaryFolder();
        Repository.Copy(Repository.Sources(), folder.Path);

        await using var git = ChildProcess.Start(
            ["sh", "-c", "git init && git config core.autocrlf true && git add . && git checkout-index --all --prefix=checkout/"],
            environment: [],
            folder.Path);

        (await git.WaitForExitAsync()).Should().Be(0, git.Text);
        var checkout = Path.Combine(folder.Path, "checkout");
        var files = Directory.EnumerateFiles(checkout, "*", SearchOption.AllDirectories).ToList();
        files.Should().NotBeEmpty();
        files.Where(file => !File.ReadAllBytes(file).SequenceEqual(
            File.ReadAllBytes(Path.Combine(folder.Path, Path.GetRelativePath(checkout, file))))).Should().BeEmpty();
    }
}
