//! Reading, beside whoever writes: in WAL mode neither waits for the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql};

use super::{broken, rows, schema};
use crate::contract::{Level, Notification};
use crate::store::{
    Count, DeliveryKey, Entry, Health, Page, Query, Reader, Record, State, StoreError, Usage,
};

/// How long a connection waits for another one's short lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The columns of an entry: [`entry`] reads them.
fn entry_columns() -> String {
    let delivery = rows::DELIVERY.split(", ").map(|column| format!("d.{column}"));
    let delivery: Vec<String> = delivery.collect();
    format!("d.key, m.id, m.level, m.title, m.accepted_at, {}", delivery.join(", "))
}

/// Reads a queue's file. Needs no lock, changes nothing, and opens the file anew after an error.
pub struct SqliteReader {
    path: PathBuf,
    connection: Option<Connection>,
}

impl SqliteReader {
    /// Reads the file at a path, from the first call on.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, connection: None }
    }

    fn run<T>(&mut self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        let answer = read(&connection).map_err(|error| broken(&error))?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// Opens for writing, so that what a process left in the log that was killed can be read, and then writes
/// nothing.
fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "query_only", true)?;
        let is_ours = schema::is_ours(&connection)?;
        Ok((connection, is_ours))
    };
    match open().map_err(|error| broken(&error))? {
        (connection, true) => Ok(connection),
        (_, false) => Err(StoreError::Broken(format!("{} is no queue of Nuncio's", path.display()))),
    }
}

impl Reader for SqliteReader {
    fn notification(&mut self, record: u64) -> Result<Option<Arc<Notification>>, StoreError> {
        self.run(|connection| {
            let sql = format!("SELECT {} FROM notification WHERE seq = ?1", rows::NOTIFICATION);
            let mut select = connection.prepare_cached(&sql)?;
            let found = select.query_row([rows::number(record)], rows::notification).optional()?;
            Ok(found.map(|(notification, _)| notification))
        })
    }

    fn find(&mut self, id: &str) -> Result<Option<Record>, StoreError> {
        self.run(|connection| {
            // One transaction, so that both see the same.
            let whole = connection.unchecked_transaction()?;
            let sql = format!("SELECT {}, seq FROM notification WHERE id = ?1", rows::NOTIFICATION);
            let read = |row: &rusqlite::Row<'_>| Ok((rows::notification(row)?, row.get::<_, i64>(12)?));
            let found = whole.prepare_cached(&sql)?.query_row([id], read).optional()?;
            let Some(((notification, idempotency_key), number)) = found else { return Ok(None) };
            let (columns, its) = (rows::DELIVERY, rows::is_of("key", "?1"));
            let sql = format!("SELECT {columns} FROM delivery WHERE {its} ORDER BY key");
            let mut select = whole.prepare_cached(&sql)?;
            let deliveries = select.query_map([number], |row| rows::delivery(row, 0))?;
            let deliveries = deliveries.collect::<Result<_, _>>()?;
            Ok(Some(Record { notification, idempotency_key, deliveries }))
        })
    }

    fn entries(&mut self, keys: &[DeliveryKey]) -> Result<Vec<Entry>, StoreError> {
        self.run(|connection| {
            let whole = connection.unchecked_transaction()?;
            let sql = format!(
                "SELECT {} FROM delivery d JOIN notification m ON m.seq = d.key >> 16 WHERE d.key = ?1",
                entry_columns()
            );
            let mut select = whole.prepare_cached(&sql)?;
            let find =
                |key: &DeliveryKey| select.query_row([rows::key_out(*key)], entry).optional().transpose();
            keys.iter().filter_map(find).collect()
        })
    }

    fn list(&mut self, query: &Query) -> Result<Page, StoreError> {
        let limit = query.page();
        self.run(|connection| {
            select(connection, query, &list_sql(query), |mut rows| {
                let (mut page, mut count) = (Page::default(), 0);
                while let Some(row) = rows.next()? {
                    let key = rows::key(row, 0)?;
                    count += 1;
                    if limit < count {
                        // There is more, after the last of these.
                        page.next = last(&page);
                        break;
                    }
                    match entry(row) {
                        Ok(entry) => page.entries.push(entry),
                        Err(error) => page.unreadable.push((key, error.to_string())),
                    }
                }
                Ok(page)
            })
        })
    }

    fn count(&mut self, query: &Query) -> Result<u64, StoreError> {
        let whole = Query { after: None, ..query.clone() };
        self.run(|connection| {
            let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            select(connection, &whole, &sql(&whole, "count(*)", ""), |rows| {
                Ok(rows.mapped(count).next().transpose()?.map_or(0, rows::positive))
            })
        })
    }

    fn usage(&mut self) -> Result<Usage, StoreError> {
        self.run(|connection| {
            let whole = connection.unchecked_transaction()?;
            let number = |sql: &str| whole.query_row(sql, [], |row| row.get(0)).map(rows::positive);
            let pragma = |name| whole.pragma_query_value(None, name, |row| row.get(0)).map(rows::positive);
            let mut select = whole.prepare_cached(
                "SELECT target, state, count(*), min(queued_at) FROM delivery GROUP BY target, state",
            )?;
            let count = |row: &rusqlite::Row<'_>| {
                let state = State::parse(&row.get::<_, String>(1)?).unwrap_or(State::Dropped);
                let (deliveries, oldest) = (rows::positive(row.get(2)?), rows::positive(row.get(3)?));
                Ok(Count { target: row.get(0)?, state, deliveries, oldest })
            };
            let mut targets: Vec<Count> = select.query_map([], count)?.collect::<Result<_, _>>()?;
            let place = |state| State::ALL.iter().position(|other| *other == state);
            targets.sort_by(|a, b| (&a.target, place(a.state)).cmp(&(&b.target, place(b.state))));
            Ok(Usage {
                open: number("SELECT open FROM tally")?,
                bytes: number("SELECT bytes FROM tally")?,
                file_bytes: pragma("page_count")?.saturating_mul(pragma("page_size")?),
                targets,
            })
        })
    }

    fn healths(&mut self) -> Result<Vec<Health>, StoreError> {
        self.run(|connection| {
            let sql = format!("SELECT {} FROM endpoint ORDER BY target", rows::HEALTH);
            let mut select = connection.prepare_cached(&sql)?;
            let mut rows = select.query([])?;
            let mut healths = Vec::new();
            while let Some(row) = rows.next()? {
                // What somebody broke is forgotten: its endpoint begins anew.
                healths.extend(rows::health(row).ok());
            }
            Ok(healths)
        })
    }
}

/// The statement for a page of a list, and the first of the next.
pub(super) fn list_sql(query: &Query) -> String {
    sql(query, &entry_columns(), &format!("ORDER BY d.key LIMIT {}", query.page() + 1))
}

/// The statement for what is asked of deliveries and their notifications; [`select`] runs it.
fn sql(query: &Query, columns: &str, tail: &str) -> String {
    let mut conditions = vec![states(&query.states), levels(query.level)];
    if query.id.is_some() {
        conditions.push("m.id = :id".to_owned());
        conditions.push(rows::is_of("d.key", "m.seq"));
    }
    if query.target.is_some() {
        conditions.push("d.target = :target".to_owned());
    }
    if query.since.is_some() {
        conditions.push("coalesce(d.ended_at, d.tried_at, d.queued_at) >= :since".to_owned());
    }
    if query.reason.is_some() {
        conditions.push("instr(d.detail, :reason) > 0".to_owned());
    }
    if query.after.is_some() {
        conditions.push("d.key > :after".to_owned());
    }
    conditions.retain(|condition| !condition.is_empty());
    let conditions = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    format!(
        "SELECT {columns} FROM delivery d JOIN notification m ON m.seq = d.key >> 16 WHERE {conditions} {tail}"
    )
}

/// Runs the statement for what is asked.
fn select<T>(
    connection: &Connection,
    query: &Query,
    sql: &str,
    read: impl FnOnce(rusqlite::Rows<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let Query { id, target, reason, .. } = query;
    let (since, after) = (query.since.map(rows::number), query.after.map(rows::key_out));
    let values: [(&str, &dyn ToSql); 5] =
        [(":id", id), (":target", target), (":since", &since), (":reason", reason), (":after", &after)];
    let mut statement = connection.prepare_cached(sql)?;
    for (name, value) in values {
        // What is not asked has no place in it.
        if let Some(place) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(place, value)?;
        }
    }
    read(statement.raw_query())
}

/// A condition on the state, in words that tell in which of the tables to look, and by which index.
fn states(states: &[State]) -> String {
    let names = |states: &[State]| {
        let names: Vec<String> = states.iter().map(|state| format!("'{}'", state.name())).collect();
        names.join(", ")
    };
    match states {
        [] => String::new(),
        [State::Dead] => "d.ended_at IS NOT NULL AND d.state = 'dead'".to_owned(),
        open if open.iter().all(|state| !state.has_ended()) => {
            format!("d.ended_at IS NULL AND d.state IN ({})", names(open))
        }
        some if some.iter().all(|state| state.has_ended()) => {
            format!("d.ended_at IS NOT NULL AND d.state IN ({})", names(some))
        }
        some => format!("d.state IN ({})", names(some)),
    }
}

fn levels(least: Option<Level>) -> String {
    let Some(least) = least else { return String::new() };
    let levels = Level::ALL.into_iter().filter(|level| *level as u8 >= least as u8);
    let names: Vec<String> = levels.map(|level| format!("'{}'", level.name())).collect();
    format!("m.level IN ({})", names.join(", "))
}

/// The last key of a page.
fn last(page: &Page) -> Option<DeliveryKey> {
    let entry = page.entries.last().map(|entry| entry.key);
    entry.max(page.unreadable.last().map(|(key, _)| *key))
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: rows::key(row, 0)?,
        id: row.get(1)?,
        level: rows::level(row, 2)?,
        title: row.get(3)?,
        at: rows::positive(row.get(4)?),
        delivery: rows::delivery(row, 5)?,
    })
}
