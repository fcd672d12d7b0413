namespace Greeter.Firestore.Transactions;

/// <summary>
/// Where transactions of this process that lost on the same document line up instead of racing: a gate per document, there
/// only while somebody is in it. Correctness never depends on it, the guards of the commit see to that.
/// </summary>
internal sealed class DocumentGates
{
    private readonly Dictionary<string, Gate> gates = [];

    /// <summary>How many there are.</summary>
    public int Count
    {
        get
        {
            lock (gates)
            {
                return gates.Count;
            }
        }
    }

    /// <summary>A transaction's place; it waits at one gate at most, so that no two wait for each other.</summary>
    public Turn NewTurn() => new(this);

    // To be called under the lock.
    private Gate? Find(string path, bool create)
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

    private sealed class Gate(string path) : SemaphoreSlim(1, 1)
    {
        public string Path { get; } = path;

        /// <summary>Who waits and who is inside.</summary>
        public int Users { get; set; }
    }

    /// <summary>Holds at most one gate until it is disposed of. Reads of a transaction may use it side by side, or still use it
    /// when the transaction has ended without them.</summary>
    public sealed class Turn(DocumentGates owner) : IDisposable
    {
        // Changed under the lock on owner.gates only. The gate is the one that it waits at or is inside.
        private Gate? gate;
        private bool isInside;
        private bool isOver;

        /// <summary>Waits for the document's gate if there is one.</summary>
        public Task JoinAsync(string path, CancellationToken cancellationToken) => EnterAsync(path, false, cancellationToken);

        /// <summary>Waits for the document's gate, which is made if there is none.</summary>
        public Task TakeAsync(string path, CancellationToken cancellationToken) => EnterAsync(path, true, cancellationToken);

        public void Dispose()
        {
            lock (owner.gates)
            {
                isOver = true;
                if (isInside)
                {
                    Leave(gate!);
                }
            }
        }

        private Task EnterAsync(string path, bool create, CancellationToken cancellationToken)
        {
            lock (owner.gates)
            {
                if (gate is not null || isOver)
                {
                    return Task.CompletedTask;
                }
                gate = owner.Find(path, create);
                return gate is null ? Task.CompletedTask : WaitAsync(gate, cancellationToken);
            }
        }

        private async Task WaitAsync(Gate entered, CancellationToken cancellationToken)
        {
            var isCancelled = true;
            try
            {
                await entered.WaitAsync(cancellationToken);
                isCancelled = false;
            }
            finally
            {
                lock (owner.gates)
                {
                    isInside = !isCancelled;
                    if (isCancelled || isOver)
                    {
                        Leave(entered);
                    }
                }
            }
        }

        private void Leave(Gate left)
        {
            if (isInside)
            {
                left.Release();
            }
            (gate, isInside) = (null, false);
            if (--left.Users == 0)
            {
                owner.gates.Remove(left.Path);
            }
        }
    }
}
