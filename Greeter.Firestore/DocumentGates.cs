namespace Greeter.Firestore;

/// <summary>
/// Where transactions of this process that lost on the same document line up instead of racing: a gate per document, there
/// only while somebody is in it. Correctness never depends on it, the guards of the commit see to that.
/// </summary>
internal sealed class DocumentGates
{
    private readonly Dictionary<string, Gate> gates = [];

    /// <summary>A transaction's place; it waits at one gate at most, so that no two wait for each other.</summary>
    public Turn NewTurn() => new(this);

    private Gate? Find(string path, bool create)
    {
        lock (gates)
        {
            if (!gates.TryGetValue(path, out var gate) && create)
            {
                gates.Add(path, gate = new Gate(path));
            }
            if (gate is not null)
            {
                gate.Users++;
            }
            return gate;
        }
    }

    private void Leave(Gate gate)
    {
        lock (gates)
        {
            if (--gate.Users == 0)
            {
                gates.Remove(gate.Path);
            }
        }
    }

    private sealed class Gate(string path) : SemaphoreSlim(1, 1)
    {
        public string Path { get; } = path;

        public int Users { get; set; }
    }

    /// <summary>Holds at most one gate until it is disposed of.</summary>
    public sealed class Turn(DocumentGates owner) : IDisposable
    {
        private Gate? held;

        /// <summary>Waits for the document's gate if there is one.</summary>
        public Task JoinAsync(string path, CancellationToken cancellationToken) => EnterAsync(path, false, cancellationToken);

        /// <summary>Waits for the document's gate, which is made if there is none.</summary>
        public Task TakeAsync(string path, CancellationToken cancellationToken) => EnterAsync(path, true, cancellationToken);

        public void Dispose()
        {
            if (held is not null)
            {
                held.Release();
                owner.Leave(held);
                held = null;
            }
        }

        private Task EnterAsync(string path, bool create, CancellationToken cancellationToken) =>
            held is null && owner.Find(path, create) is { } gate ? WaitAsync(gate, cancellationToken) : Task.CompletedTask;

        private async Task WaitAsync(Gate gate, CancellationToken cancellationToken)
        {
            try
            {
                await gate.WaitAsync(cancellationToken);
                held = gate;
            }
            catch
            {
                owner.Leave(gate);
                throw;
            }
        }
    }
}
