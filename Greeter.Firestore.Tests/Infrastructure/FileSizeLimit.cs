using System.Runtime.InteropServices;

namespace Greeter.Firestore.Tests.Infrastructure;

/// <summary>
/// As long as it is not disposed of, this process can make no file longer than so many bytes: a write stops short there and the
/// next one fails, as on a full disk. Tests that use it run alone.
/// </summary>
internal sealed class FileSizeLimit : IDisposable
{
    private const int FileSize = 1;
    private const int FileSizeSignal = 25;
    private const nint Ignore = 1;

    public FileSizeLimit(long bytes)
    {
        // Or the kernel ends the process.
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
