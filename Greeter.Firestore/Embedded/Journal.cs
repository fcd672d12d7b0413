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
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly FileStream processLock;
    private readonly JournalLine line = new();
    private SafeFileHandle? file;

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
            var processLock = new FileStream(
                System.IO.Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new Journal(System.IO.Path.Combine(folder, "documents.jsonl"), processLock);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidOperationException(
                $"The sessions' folder {folder} cannot be used: {e.Message} Set Firestore__EmbeddedFolder to another folder; "
                + "processes that are to share their sessions need the emulator: set FIRESTORE_EMULATOR_HOST.", e);
        }
    }

    /// <summary>Hands out what was appended, with how many bytes each took. A last line that was cut off in writing is no
    /// commit.</summary>
    /// <exception cref="InvalidOperationException">A line is damaged, or its commit was refused with an
    /// <see cref="RpcException"/>; the message has its number.</exception>
    public void Load(Action<JournalEntry, int> apply)
    {
        if (!File.Exists(Path))
        {
            return;
        }
        // Latin-1 keeps bytes as they are: each line is decoded by itself, so that a bad byte is found in its line.
        using var reader = new StreamReader(Path, Encoding.Latin1, detectEncodingFromByteOrderMarks: false);
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            try
            {
                var text = StrictUtf8.GetString(Encoding.Latin1.GetBytes(line)).Trim('\uFEFF', ' ', '\t');
                if (text.Length > 0)
                {
                    apply(JournalEntry.Parser.ParseJson(text), line.Length);
                }
            }
            catch (Exception e) when (IsDamage(e))
            {
                if (e is RpcException || !reader.EndOfStream || EndsWithNewline())
                {
                    throw new InvalidOperationException(
                        $"{Path}, line {number}, is damaged: {e.Message} Mend the line, or delete it and the commit that it was.",
                        e);
                }
            }
        }
    }

    /// <summary>Adds a line, and says how many bytes it has. Where that fails the line is not there.</summary>
    /// <exception cref="IOException">The disk is full or gone.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public int Append(JournalEntry entry)
    {
        file ??= File.OpenHandle(Path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        var encoded = line.Encode(entry);
        // Over what a full disk cut off, if anything; the rest of that has no newline and is dropped by Load.
        RandomAccess.Write(file, encoded, Length);
        Length += encoded.Length;
        return encoded.Length;
    }

    /// <summary>Makes the file hold these entries and nothing else, all or nothing.</summary>
    /// <exception cref="IOException">The disk is full or gone; the file is as it was.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written; the file is as it was.</exception>
    public void Replace(IEnumerable<JournalEntry> entries)
    {
        var replacement = Path + ".new";
        try
        {
            var length = Write(replacement, entries);
            // Windows does not move over an open file; the next line opens it again.
            file?.Dispose();
            file = null;
            File.Move(replacement, Path, overwrite: true);
            Length = length;
        }
        catch
        {
            File.Delete(replacement);
            throw;
        }
    }

    public void Dispose()
    {
        file?.Dispose();
        line.Dispose();
        processLock.Dispose();
    }

    private static bool IsDamage(Exception e) =>
        e is InvalidProtocolBufferException or InvalidJsonException or FormatException
            or DecoderFallbackException or RpcException;

    private long Write(string path, IEnumerable<JournalEntry> entries)
    {
        using var stream = new FileStream(path, FileMode.Create, FileAccess.Write);
        foreach (var entry in entries)
        {
            stream.Write(line.Encode(entry));
        }
        stream.Flush(flushToDisk: true);
        return stream.Length;
    }

    private bool EndsWithNewline()
    {
        using var stream = File.OpenRead(Path);
        stream.Seek(-1, SeekOrigin.End);
        return stream.ReadByte() == '\n';
    }
}
