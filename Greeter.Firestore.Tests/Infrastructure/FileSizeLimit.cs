using System.Runtime.InteropServices;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>Limits the length of files that this process writes, until it is disposed of. As on a full disk, a write ends early at the
/// limit and the next one fails. Tests that use it run alone.</summary>
internal sealed class FileSizeLimit : IDisposable
{
    private const int FileSize = 1;
    private const int FileSizeSignal = 25;
    private const nint Ignore = 1;

    public FileSizeLimit(long bytes)
    {
        // Otherwise the kernel ends the process.
        Signal(FileSizeSignal, Ignore);
        Set(bytes);
    }

    public void Dispose() => Set(-1);

    private static void Set(long bytes)
    {
        GetLimit(FileSize, out var limit).Should().Be(0);
        limit.Soft = bytes < 0 ? limit.Hard : (nuint)bytes;
        SetLimit(FileSize, limit).Should().Be(0);
    }

    [DllImport("libc", EntryPoint = "signal")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern nint Signal(int signal, nint handler);

    [DllImport("libc", EntryPoint = "getrlimit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern int GetLimit(int resource, out Limit limit);

    [DllImport("libc", EntryPoint = "setrlimit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern int SetLimit(int resource, in Limit limit);

    private struct Limit
    {
        public nuint Soft;
        public nuint Hard;
    }
}
