using System.Globalization;
using System.Runtime.InteropServices;

namespace Greeter.Firestore.Embedded;

/// <summary>The documents in a SQLite database, which several processes can share. Not thread-safe.</summary>
internal sealed class DocumentFile : IDisposable
{
    private readonly string path;
    private readonly SqliteConnection connection;
    // SQLite compiles each of them once.
    private readonly SqliteCommand begin, lastTime, find, write, delete, commit;

    private DocumentFile(string path)
    {
        this.path = path;
        var settings = new SqliteConnectionStringBuilder { DataSource = path, DefaultTimeout = 1, Pooling = false };
        connection = new SqliteConnection(settings.ToString());
        begin = CreateCommand("BEGIN IMMEDIATE");
        lastTime = CreateCommand("SELECT microseconds FROM clock");
        find = CreateCommand("SELECT fields, create_time, update_time FROM documents WHERE name = $1", 1);
        write = CreateCommand(
            "INSERT INTO documents (name, fields, create_time, update_time) VALUES ($1, $2, $3, $4) "
            + "ON CONFLICT (name) DO UPDATE SET fields = $2, create_time = $3, update_time = $4", 4);
        delete = CreateCommand("DELETE FROM documents WHERE name = $1", 1);
        commit = CreateCommand("UPDATE clock SET microseconds = $1; COMMIT", 1);
    }

    /// <summary>Opens the file in a folder. A missing folder or file is created for this user alone.</summary>
    /// <exception cref="InvalidOperationException">The file can't be used. The message says what to do.</exception>
    public static DocumentFile Open(string folder)
    {
        var file = new DocumentFile(Path.Combine(Path.GetFullPath(folder), "documents.db"));
        try
        {
            file.Create(folder);
            file.Open();
            return file;
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            file.Dispose();
            throw new InvalidOperationException(file.Explain(e).Status.Detail, e);
        }
    }

    public void Dispose() => connection.Dispose();

    /// <summary>Gets the time of the last change of any document in microseconds since 1970.</summary>
    public long LastTime => (long)Execute(lastTime)!;

    /// <summary>Begins a transaction that writes. Waits up to a second for that of another process.</summary>
    public void Begin() => Execute(begin);

    /// <summary>Returns a document; null if it doesn't exist.</summary>
    /// <exception cref="RpcException">DATA_LOSS: somebody edited the document, and it isn't valid.</exception>
    public Document? Find(string name)
    {
        find.Parameters[0].Value = name;
        using var row = find.ExecuteReader();
        return row.Read() ? Parse(name, row) : null;
    }

    /// <summary>Writes a document in the transaction; deletes it if it is null.</summary>
    public void Write(string name, Document? document)
    {
        if (document is null)
        {
            Execute(delete, name);
            return;
        }
        using var fields = new StringWriter(CultureInfo.InvariantCulture);
        JsonFormatter.Default.WriteValue(fields, document.Fields);
        Execute(write, name, fields.ToString(), ToText(document.CreateTime), ToText(document.UpdateTime));
    }

    /// <summary>Commits the transaction. Then it survives the end of the process, but perhaps not a power failure.</summary>
    /// <param name="time">The time of the commit in microseconds since 1970.</param>
    public void Commit(long time) => Execute(commit, time);

    /// <summary>Rolls the transaction back if it is still open.</summary>
    public void Rollback() =>
        _ = raw.sqlite3_get_autocommit(connection.Handle) == 0 ? raw.sqlite3_exec(connection.Handle, "ROLLBACK") : raw.SQLITE_OK;

    /// <summary>Checks that the open file is still the one at the path, because a deleted file can still be read and written.</summary>
    /// <exception cref="RpcException">DATA_LOSS: it isn't.</exception>
    public void ThrowIfMoved()
    {
        const int HasMoved = 20;   // https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html
        if ((ControlFile(connection.Handle!, 0, HasMoved, out var moved) == 0 && moved != 0) || !File.Exists($"{path}-wal"))
        {
            throw new RpcException(new Status(StatusCode.DataLoss, $"{path} was deleted or replaced while in use. Put it back, or "
                + $"stop every app that uses it, delete {path}-wal, and start again."));
        }
    }

    /// <summary>Returns an exception that names the file and says what to do.</summary>
    public RpcException Explain(Exception e)
    {
        const string Elsewhere = "or set Firestore__EmbeddedFolder to another folder.";
        var (status, detail) = (e as SqliteException)?.SqliteErrorCode switch
        {
            raw.SQLITE_BUSY => (StatusCode.Unavailable, "is locked by another program. End that program's transaction."),
            raw.SQLITE_FULL or raw.SQLITE_IOERR => (StatusCode.ResourceExhausted,
                $"can't be read or written: {e.Message} Make room on its disk, {Elsewhere}"),
            raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB or raw.SQLITE_ERROR => (StatusCode.DataLoss,
                $"is damaged or not a database of this app: {e.Message} Stop every app that uses it, and move it away, {Elsewhere}"),
            _ => (StatusCode.DataLoss, $"can't be used: {e.Message} Make it a file that the app can write, {Elsewhere}"),
        };
        return new RpcException(new Status(status, $"{path} {detail}"));
    }

    private static string ToText(ProtoTimestamp time) =>
        time.ToDateTime().ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);

    private object? Execute(string sql) => Execute(CreateCommand(sql));

    private static object? Execute(SqliteCommand command, params ReadOnlySpan<object> values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            command.Parameters[i].Value = values[i];
        }
        return command.ExecuteScalar();
    }

    [DllImport("e_sqlite3", EntryPoint = "sqlite3_file_control")]
    private static extern int ControlFile(sqlite3 connection, nint database, int operation, out int result);

    private SqliteCommand CreateCommand(string sql, int parameters = 0)
    {
        var command = new SqliteCommand(sql, connection);
        command.Parameters.AddRange(Enumerable.Range(1, parameters).Select(i => new SqliteParameter { ParameterName = $"${i}" }));
        return command;
    }

    private void Create(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
        }
        else if (!File.Exists(path))
        {
            const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            Directory.CreateDirectory(folder, Private | UnixFileMode.UserExecute);
            using var file = File.Open(
                path, new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.Write, UnixCreateMode = Private });
        }
    }

    private void Open()
    {
        connection.Open();
        raw.sqlite3_busy_timeout(connection.Handle, 1000);
        var isOurs = Execute("SELECT count(*) FROM sqlite_master") is 0L || Execute("PRAGMA application_id") is 0x47726565L;
        if (!isOurs || Execute("PRAGMA quick_check(1)") is not "ok")
        {
            throw new SqliteException(isOurs ? "The check failed." : "It has other tables.", raw.SQLITE_CORRUPT);
        }
        Execute("PRAGMA journal_mode = WAL");
        using var schema = new StreamReader(typeof(DocumentFile).Assembly.GetManifestResourceStream("documents.sql")!);
        Execute(schema.ReadToEnd());
        _ = (Find(""), LastTime);
        Execute("COMMIT");
        raw.sqlite3_db_config(connection.Handle, raw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, out _);
    }

    private Document Parse(string name, SqliteDataReader row)
    {
        try
        {
            var fields = UnicodeText.StrictUtf8.GetString(row.GetFieldValue<byte[]>(0));
            var document = Document.Parser.ParseJson(
                $$"""{"fields":{{fields}},"createTime":"{{row.GetString(1)}}","updateTime":"{{row.GetString(2)}}"}""");
            document.Name = name;
            DocumentRules.Check(document.Fields);
            return document;
        }
        catch (Exception e) when (e is IOException or ArgumentException or RpcException)
        {
            throw new RpcException(new Status(StatusCode.DataLoss, $"{path} has a document '{name}' that isn't valid: "
                + $"{(e as RpcException)?.Status.Detail ?? e.Message} Correct or delete the row."));
        }
    }
}
