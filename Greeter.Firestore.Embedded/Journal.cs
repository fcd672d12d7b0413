using System.Text;
using Google.Protobuf;

namespace Greeter.Firestore.Embedded;

/// <summary>
/// A file of commits, one JSON object a line, beside a lock file that keeps other processes out. An appended line survives the
/// end of the process, also <c>kill -9</c>. It may not survive a power failure.
/// </summary>
internal sealed class Journal : IDisposable
{
    private readonly FileStream lockFile;

    private Journal(string path, FileStream lockFile) => (Path, this.lockFile) = (path, lockFile);

    /// <summary>Gets the path of the file.</summary>
    public string Path { get; }

    /// <summary>Gets the length of the file as this process wrote it, in bytes.</summary>
    public long Length { get; private set; }

    /// <summary>Locks a folder; creates it if it is missing.</summary>
    /// <exception cref="InvalidOperationException">Another process uses the folder, or it can't be created or
    /// written.</exception>
    public static Journal Open(string folder)
    {
        folder = System.IO.Path.GetFullPath(folder);
        try
        {
            Directory.CreateDirectory(folder);
            var lockFile = new FileStream(
                System.IO.Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new Journal(System.IO.Path.Combine(folder, "documents.jsonl"), lockFile);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidOperationException(
                $"The documents' folder {folder} can't be used: {e.Message} Set Firestore__EmbeddedFolder to another folder. "
                + "To share documents between processes, use the emulator: set FIRESTORE_EMULATOR_HOST.", e);
        }
    }

    /// <summary>Passes each commit in the file to a method. Drops a last line that was cut off while it was written, because its
    /// commit was never acknowledged.</summary>
    /// <exception cref="InvalidOperationException">A line is damaged, or the method refused its commit with an
    /// <see cref="RpcException"/>. The message has the number of the line.</exception>
    public void Load(Action<JournalEntry> apply)
    {
        if (!File.Exists(Path))
        {
            return;
        }
        var file = File.ReadAllBytes(Path);
        var number = 0;
        foreach (var range in file.AsSpan().Split((byte)'\n'))
        {
            number++;
            try
            {
                // People edit the file: a byte order mark, blank lines and Windows line ends are allowed.
                var line = UnicodeText.StrictUtf8.GetString(file.AsSpan(range)).Trim('\uFEFF', ' ', '\t', '\r');
                if (line.Length > 0)
                {
                    apply(JournalEntry.Parser.ParseJson(line));
                }
            }
            catch (Exception e) when (IsSyntaxError(e) || e is RpcException)
            {
                var isCutOff = range.End.Value == file.Length && IsSyntaxError(e);
                if (!isCutOff)
                {
                    throw new InvalidOperationException(
                        $"{Path}, line {number}, is damaged: {e.Message} Fix the line, or delete it and so its commit.", e);
                }
            }
        }
    }

    /// <summary>Appends a commit. If that fails, the file stays as it was.</summary>
    /// <exception cref="RpcException">DATA_LOSS: the file is gone or has another length than this process gave it.</exception>
    /// <exception cref="IOException">The disk is full or gone.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public void Append(JournalEntry entry)
    {
        // Opened for each commit: an open file stays writable after it was deleted or replaced, and its commits would be lost.
        using var file = OpenForAppend();
        var length = file.Length;
        if (length != Length)
        {
            throw ChangedByAnother($"has {length} bytes instead of {Length}");
        }
        try
        {
            file.Position = Length;
            file.Write(Encode(entry));
            Length = file.Position;
        }
        catch
        {
            // On a full disk a part of the line may be there.
            file.SetLength(Length);
            throw;
        }
    }

    /// <summary>Replaces the whole file with these commits, all or nothing.</summary>
    /// <exception cref="IOException">The disk is full or gone; the file is as it was.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written; the file is as it was.</exception>
    public void Replace(IEnumerable<JournalEntry> entries)
    {
        var replacement = Path + ".new";
        try
        {
            long length;
            using (var file = new FileStream(replacement, FileMode.Create, FileAccess.Write))
            {
                foreach (var entry in entries)
                {
                    file.Write(Encode(entry));
                }
                file.Flush(flushToDisk: true);
                length = file.Length;
            }
            File.Move(replacement, Path, overwrite: true);
            Length = length;
        }
        catch
        {
            File.Delete(replacement);
            throw;
        }
    }

    public void Dispose() => lockFile.Dispose();

    private static byte[] Encode(JournalEntry entry) => UnicodeText.StrictUtf8.GetBytes(JsonFormatter.Default.Format(entry) + "\n");

    private static bool IsSyntaxError(Exception e) =>
        e is InvalidProtocolBufferException or InvalidJsonException or FormatException or DecoderFallbackException;

    private FileStream OpenForAppend()
    {
        try
        {
            return new FileStream(Path, FileMode.Open, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw ChangedByAnother("is gone");
        }
    }

    private RpcException ChangedByAnother(string change) => new(new Status(
        StatusCode.DataLoss,
        $"{Path} {change}: another program changed it. Restart the app to load the file as it is now, or put it back as it was."));
}
