-- Creates what is missing in documents.db. The app runs it at each start, and commits if it can use the tables.
PRAGMA synchronous = NORMAL;
BEGIN IMMEDIATE;
PRAGMA application_id = 0x47726565;

CREATE TABLE IF NOT EXISTS documents (
  name TEXT PRIMARY KEY NOT NULL, -- projects/{project}/databases/{database}/documents/{collection}/{id}
  fields TEXT NOT NULL, -- as in Firestore's REST API: {"views": {"integerValue": "1"}}
  create_time TEXT NOT NULL DEFAULT '', -- the triggers set both times
  update_time TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- One row: the time of the last change in microseconds since 1970. It never goes back, also if documents are deleted or the system's
-- clock is set back.
CREATE TABLE IF NOT EXISTS clock (microseconds INTEGER NOT NULL);
INSERT INTO clock SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM clock);
CREATE VIEW IF NOT EXISTS last_change AS
  SELECT strftime('%Y-%m-%dT%H:%M:%S', microseconds / 1000000, 'unixepoch') || printf('.%06dZ', microseconds % 1000000) AS time FROM clock;

-- The triggers give each edit by hand a time of its own. The app sets the times itself and doesn't fire them.
CREATE TRIGGER IF NOT EXISTS document_inserted AFTER INSERT ON documents BEGIN
  UPDATE clock SET microseconds = max(microseconds + 1, strftime('%s', 'now') * 1000000);
  UPDATE documents SET create_time = (SELECT time FROM last_change), update_time = (SELECT time FROM last_change) WHERE name = new.name;
END;

-- The condition is false for the updates in the triggers.
CREATE TRIGGER IF NOT EXISTS document_updated AFTER UPDATE ON documents
WHEN new.update_time = old.update_time OR new.update_time <> (SELECT time FROM last_change) BEGIN
  UPDATE clock SET microseconds = max(microseconds + 1, strftime('%s', 'now') * 1000000);
  UPDATE documents SET create_time = old.create_time, update_time = (SELECT time FROM last_change) WHERE name = new.name;
END;

CREATE TRIGGER IF NOT EXISTS document_deleted AFTER DELETE ON documents BEGIN
  UPDATE clock SET microseconds = max(microseconds + 1, strftime('%s', 'now') * 1000000);
END;
