using Greeter.Firestore;

namespace Greeter.Firestore.Tests;

/// <summary>Who lost on a document lines up; whatever happens, nobody is locked out.</summary>
public class DocumentGatesTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly DocumentGates gates = new();

    [Fact]
    public async Task Nobody_waits_where_nobody_lost()
    {
        using var first = gates.NewTurn();
        using var second = gates.NewTurn();

        await first.JoinAsync("a", default);
        await second.JoinAsync("a", default);

        gates.Count.Should().Be(0);
    }

    [Fact]
    public async Task Newcomers_and_losers_wait_until_the_one_inside_has_ended()
    {
        using var inside = gates.NewTurn();
        using var loser = gates.NewTurn();
        using var newcomer = gates.NewTurn();
        await inside.TakeAsync("a", default);
        var losing = loser.TakeAsync("a", default);
        var joining = newcomer.JoinAsync("a", default);
        losing.IsCompleted.Should().BeFalse();
        joining.IsCompleted.Should().BeFalse();

        inside.Dispose();
        await losing.WaitAsync(Patience);
        joining.IsCompleted.Should().BeFalse();

        loser.Dispose();
        await joining.WaitAsync(Patience);

        newcomer.Dispose();
        gates.Count.Should().Be(0);
    }

    [Fact]
    public async Task Other_documents_are_free()
    {
        using var inside = gates.NewTurn();
        using var other = gates.NewTurn();
        await inside.TakeAsync("a", default);

        await other.TakeAsync("b", default).WaitAsync(Patience);
        await other.JoinAsync("a", default).WaitAsync(Patience);   // Inside one gate nobody waits at another.
    }

    [Fact]
    public async Task Whoever_gives_up_leaves_the_gate_to_the_others()
    {
        using var inside = gates.NewTurn();
        using var impatient = gates.NewTurn();
        using var patient = gates.NewTurn();
        using var source = new CancellationTokenSource();
        await inside.TakeAsync("a", default);
        var givenUp = impatient.TakeAsync("a", source.Token);
        var waiting = patient.TakeAsync("a", default);

        await source.CancelAsync();
        await givenUp.Awaiting(it => it).Should().ThrowAsync<OperationCanceledException>();
        impatient.Dispose();
        inside.Dispose();
        await waiting.WaitAsync(Patience);
        patient.Dispose();

        gates.Count.Should().Be(0);
    }

    [Fact]
    public async Task Whoever_gave_up_may_come_again()
    {
        using var inside = gates.NewTurn();
        using var turn = gates.NewTurn();
        await inside.TakeAsync("a", default);
        await turn.Awaiting(it => it.TakeAsync("a", new CancellationToken(true)))
            .Should().ThrowAsync<OperationCanceledException>();

        var again = turn.TakeAsync("a", default);
        again.IsCompleted.Should().BeFalse();
        inside.Dispose();
        await again.WaitAsync(Patience);

        turn.Dispose();
        gates.Count.Should().Be(0);
    }

    [Fact]
    public async Task Reads_side_by_side_wait_at_one_gate_and_leave_it()
    {
        using var one = gates.NewTurn();
        using var two = gates.NewTurn();
        using var both = gates.NewTurn();
        await one.TakeAsync("a", default);
        await two.TakeAsync("b", default);

        var first = both.JoinAsync("a", default);
        var second = both.JoinAsync("b", default);
        second.IsCompleted.Should().BeTrue();
        one.Dispose();
        await first.WaitAsync(Patience);
        two.Dispose();
        both.Dispose();

        gates.Count.Should().Be(0);
    }

    [Fact]
    public async Task A_transaction_that_ends_before_its_read_does_not_keep_the_gate()
    {
        using var inside = gates.NewTurn();
        using var abandoned = gates.NewTurn();
        await inside.TakeAsync("a", default);
        var read = abandoned.JoinAsync("a", default);

        abandoned.Dispose();
        inside.Dispose();
        await read.WaitAsync(Patience);

        gates.Count.Should().Be(0);
    }
}
