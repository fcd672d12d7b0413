namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>Lets a number of participants continue when all of them have arrived.</summary>
internal sealed class AsyncBarrier(int participants)
{
    private readonly TaskCompletionSource isComplete = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int missing = participants;

    public Task ArriveAsync()
    {
        if (Interlocked.Decrement(ref missing) == 0)
        {
            isComplete.SetResult();
        }
        return isComplete.Task.WaitAsync(TimeSpan.FromSeconds(15));
    }
}
