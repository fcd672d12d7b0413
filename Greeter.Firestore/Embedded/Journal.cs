using System.Text;
using Google.Protobuf;
using Microsoft.Win32.SafeHandles;

namespace Greeter.Firestore.Embedded;

/// <summary>
/// A file of commits, one JSON object a line, and beside it a file that keeps other processes out. What was appended survives
/// the process, also <c>kill -9</c>; a power loss is not promised.
/// </summary>
internal sealed class Journal : IDisposable
{
    private readonly FileStream processLock;
    private SafeFileHandle? file;
    private bool isTorn;

    private Journal(string path, FileStream processLock) => (Path, this.processLock) = (path, processLock);

    public string Path { get; }

    /// <summary>In bytes.</summary>
    public long Length { get; private set; }

    /// <exception cref="InvalidOperationException">Another process has the folder, or it cannot be made or written.</exception>
    public static Journal Open(string folder)
    {
        folder = System.IO.Path.GetFullPath(folder);
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unusable(folder, $"cannot be made: {e.Message}", e);
        }
        try
        {
            var processLock = new FileStream(System.IO.Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new Journal(System.IO.Path.Combine(folder, "documents.jsonl"), processLock);
        }
        catch (UnauthorizedAccessException e)
        {
            throw Unusable(folder, $"cannot be written: {e.Message}", e);
        }
        catch (IOException e)
        {
            throw Unusable(folder, $"is in use by another process: {e.Message}", e);
        }
    }

    /// <summary>What was appended, with how many bytes each took. A last line that was cut off in writing is no commit.</summary>
    /// <exception cref="InvalidOperationException">A line is damaged; the message has its number.</exception>
    public IEnumerable<(JournalEntry Entry, int Bytes)> Load()
    {
        if (!File.Exists(Path))
        {
            yield break;
        }
        using var reader = new StreamReader(Path);
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length > 0 && Parse(line, number, isLast: reader.EndOfStream) is { } entry)
            {
                yield return (entry, line.Length);
            }
        }
    }

    /// <summary>Adds a line, and says how many bytes it has. Where that fails the file is as it was.</summary>
    /// <exception cref="IOException">The disk is full or gone.</exception>
    public int Append(JournalEntry entry)
    {
        if (isTorn)
        {
            RandomAccess.SetLength(file!, Length);
        }
        var line = Encode(entry);
        isTorn = true;
        RandomAccess.Write(file!, line, Length);
        isTorn = false;
        Length += line.Length;
        return line.Length;
    }

    /// <summary>Makes the file hold these entries and nothing else, all or nothing.</summary>
    /// <exception cref="IOException">The disk is full or gone; the file is as it was.</exception>
    public void Replace(IEnumerable<JournalEntry> entries)
    {
        var replacement = Path + ".new";
        using (var stream = new FileStream(replacement, FileMode.Create, FileAccess.Write))
        {
            foreach (var entry in entries)
            {
                stream.Write(Encode(entry));
            }
            stream.Flush(flushToDisk: true);
        }
        // Windows does not move over an open file.
        file?.Dispose();
        try
        {
            File.Move(replacement, Path, overwrite: true);
        }
        finally
        {
            file = File.OpenHandle(Path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
            Length = RandomAccess.GetLength(file);
            isTorn = false;
        }
    }

    public void Dispose()
    {
        file?.Dispose();
        processLock.Dispose();
    }

    private static InvalidOperationException Unusable(string folder, string reason, Exception e) => new(
        $"The sessions' folder {folder} {reason} Set Firestore__EmbeddedFolder to another folder; processes that are to share "
        + "their sessions need the emulator: set FIRESTORE_EMULATOR_HOST.", e);

    private static byte[] Encode(JournalEntry entry) => Encoding.UTF8.GetBytes(JsonFormatter.Default.Format(entry) + '\n');

    private JournalEntry? Parse(string line, int number, bool isLast)
    {
        try
        {
            return JournalEntry.Parser.ParseJson(line);
        }
        catch (Exception e) when (e is InvalidProtocolBufferException or InvalidJsonException or FormatException)
        {
            return isLast && !EndsWithNewline()
                ? null
                : throw new InvalidOperationException(
                    $"{Path}, line {number}, is damaged: {e.Message} Mend the line, or delete it and the commit that it was.", e);
        }
    }

    private bool EndsWithNewline()
    {
        using var stream = File.OpenRead(Path);
        stream.Seek(-1, SeekOrigin.End);
        return stream.ReadByte() == '\n';
    }
}
