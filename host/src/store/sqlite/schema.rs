//! The tables, how they came about, and how a connection is set up.
//!
//! Anybody may open the file: names are the glossary's, instants are milliseconds since the Unix epoch, and
//! what is a list is JSON.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// What tells our files from others' (<https://sqlite.org/pragma.html#pragma_application_id>): "Nunc".
const APPLICATION_ID: i64 = 0x4e75_6e63;

/// Each step of the schema, from an empty file on. A step that was released never changes.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE notification (
  seq             INTEGER PRIMARY KEY,   -- in the order of acceptance
  id              TEXT    NOT NULL UNIQUE,
  idempotency_key TEXT,
  accepted_at     INTEGER NOT NULL,
  level           TEXT    NOT NULL,      -- trace, debug, info, warn, error, fatal
  title           TEXT    NOT NULL,
  body            TEXT    NOT NULL,      -- JSON: a text, a list of texts, or a list of {name, value}
  color           INTEGER,               -- 0xRRGGBB
  recipients      TEXT    NOT NULL,      -- JSON: the names of targets that it was addressed to
  tags            TEXT    NOT NULL,      -- JSON: a list of texts
  link            TEXT,
  key             TEXT,                  -- of the alert that it opens
  resolves        TEXT,                  -- the key of the alert that it closes
  size            INTEGER NOT NULL,      -- bytes, roughly, as max_bytes counts them
  is_unmatched    INTEGER NOT NULL       -- 1: no target wanted it
) STRICT;
CREATE UNIQUE INDEX notification_by_idempotency_key ON notification(idempotency_key)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX notification_unmatched ON notification(accepted_at) WHERE is_unmatched = 1;

-- Those that have not ended.
CREATE TABLE open_delivery (
  key            INTEGER PRIMARY KEY,    -- notification.seq << 16 | its place among the notification's deliveries
  target         TEXT    NOT NULL,
  state          TEXT    NOT NULL,       -- queued, retrying
  attempts       INTEGER NOT NULL,
  queued_at      INTEGER NOT NULL,
  due_at         INTEGER,                -- of the next attempt
  first_tried_at INTEGER,
  tried_at       INTEGER,
  class          TEXT,                   -- what the last outcome meant
  detail         TEXT    NOT NULL,       -- the last outcome in words
  status         INTEGER,                -- of the last reply
  reply          TEXT,                   -- the beginning of its body
  tried          INTEGER NOT NULL,       -- attempts that count of the request that is its turn
  sent           INTEGER NOT NULL,       -- attempts of it, counted or not
  parts          INTEGER NOT NULL,       -- requests of it that are delivered
  faults         INTEGER NOT NULL,       -- times in a row that the brain broke off
  plain          INTEGER NOT NULL,       -- 1: plain text, because the receiver refused the markup
  moved          INTEGER NOT NULL        -- 1: it was queued later than its place tells, or earlier
) STRICT;

-- Those that have: delivered, dropped, or dead.
CREATE TABLE ended_delivery (
  key            INTEGER PRIMARY KEY,    -- as above, and so are the others
  target         TEXT    NOT NULL,
  state          TEXT    NOT NULL,       -- delivered, dead, dropped
  attempts       INTEGER NOT NULL,
  queued_at      INTEGER NOT NULL,
  first_tried_at INTEGER,
  tried_at       INTEGER,
  ended_at       INTEGER NOT NULL,
  class          TEXT,
  detail         TEXT    NOT NULL,       -- the last outcome in words, or why it ended
  status         INTEGER,
  reply          TEXT,
  tried          INTEGER NOT NULL,
  sent           INTEGER NOT NULL,
  parts          INTEGER NOT NULL,
  faults         INTEGER NOT NULL,
  plain          INTEGER NOT NULL,
  kept_from      INTEGER                 -- its time to be kept counts from then; NULL: from soon after it was queued
) STRICT;
CREATE INDEX ended_dead ON ended_delivery(key) WHERE state = 'dead';
CREATE INDEX ended_apart ON ended_delivery(state = 'dead', kept_from) WHERE kept_from IS NOT NULL;

-- All of them, to look at.
CREATE VIEW delivery AS
  SELECT key, target, state, attempts, queued_at, due_at, first_tried_at, tried_at, CAST(NULL AS INTEGER) AS ended_at,
         class, detail, status, reply, tried, sent, parts, faults, plain FROM open_delivery
  UNION ALL
  SELECT key, target, state, attempts, queued_at, CAST(NULL AS INTEGER), first_tried_at, tried_at, ended_at,
         class, detail, status, reply, tried, sent, parts, faults, plain FROM ended_delivery;

CREATE TABLE endpoint (
  target        TEXT    NOT NULL PRIMARY KEY,
  fingerprint   INTEGER NOT NULL,        -- of the target's settings
  state         TEXT    NOT NULL,        -- JSON: what the brain remembers
  last_error    TEXT,
  last_error_at INTEGER
) STRICT, WITHOUT ROWID;

-- One row: the number that was given out last, when the latest was queued, and what counts against max_messages and
-- max_bytes.
CREATE TABLE tally (
  last INTEGER NOT NULL, queued_at INTEGER NOT NULL, open INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
INSERT INTO tally VALUES (0, 0, 0, 0);
"];

/// The version of the schema that this build writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// How much of the write-ahead log's file is kept for the next writes, in bytes.
const LOG_KEPT: i64 = 16 << 20;

/// How many pages the log may have, of 4 KiB and what it writes beside each, before they go into the file; with room in
/// what is kept for the commit that goes beyond them.
const LOG_PAGES: i64 = 3_840;

/// How many statements are kept ready: all there are.
const STATEMENTS: usize = 64;

/// What a file turned out to be.
pub(super) enum Found {
    /// A queue of this version, now.
    Ours,
    /// Something else.
    Foreign,
    /// A queue of a later version.
    Newer(i64),
}

/// Sets a connection up for writing. Changes nothing in a file that has tables.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(super::read::PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Of a file that has tables, only the later ones of these change anything, and none of it what is stored.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_KEPT, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    connection.pragma_query_value(None, "application_id", |row| row.get::<_, i64>(0)).map(drop)
}

/// Whether a file is a queue.
pub(super) fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    connection.pragma_query_value(None, "application_id", |row| Ok(row.get::<_, i64>(0)? == APPLICATION_ID))
}

/// Brings a file to this version, step by step, each whole or not at all.
pub(super) fn migrate(connection: &Connection) -> rusqlite::Result<Found> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let is_empty = tables == 0 && application == 0 && version == 0;
    if !is_empty && application != APPLICATION_ID {
        return Ok(Found::Foreign);
    }
    if version > VERSION {
        return Ok(Found::Newer(version));
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let steps = (1_i64..).zip(MIGRATIONS).skip(usize::try_from(version).unwrap_or_default());
    for (version, step) in steps {
        let step_whole = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        step_whole.execute_batch(step)?;
        step_whole.pragma_update(None, "application_id", APPLICATION_ID)?;
        step_whole.pragma_update(None, "user_version", version)?;
        step_whole.commit()?;
    }
    Ok(Found::Ours)
}
