//! The operations, each a few statements within the transaction of its group.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, params};

use super::rows;
use crate::clock::UnixMs;
use crate::contract::Class;
use crate::store::record::{Delivery, DeliveryKey, Health, LastReply, Progress, Record, Settlement, State};
use crate::store::{Done, Limits, Operation, say_the_same};

/// How many deliveries are forgotten in one step, and how many at most to make room for one record.
const STEP: u32 = 256;
const MOST: u32 = 4_096;

/// How many free pages are given back to the file system in one step.
const PAGES: u32 = 256;

/// What counts against the limits, and the number of the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) last: u64,
    pub(super) open: u64,
    pub(super) bytes: u64,
    /// What would be left if all that is kept for look-ups were forgotten; `None` where that is not known.
    pub(super) least: Option<u64>,
}

impl Tally {
    /// As the file has it. What has not ended is counted anew: it decides what is taken in.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let open = "SELECT count(*) FROM delivery WHERE ended_at IS NULL";
        let open = connection.query_row(open, [], |row| row.get(0)).map(rows::positive)?;
        // What has been written is not written over, whatever somebody says was the last.
        let sql = "SELECT max(last, coalesce((SELECT max(seq) FROM notification), 0)), bytes FROM tally";
        let read = |row: &Row<'_>| Ok((rows::positive(row.get(0)?), rows::positive(row.get(1)?)));
        let (last, bytes) = connection.query_row(sql, [], read)?;
        if last < rows::LAST_RECORD {
            Ok(Self { last, open, bytes, least: None })
        } else {
            Err(rows::too_many())
        }
    }

    /// Writes it down.
    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { last, open, bytes, .. } = *self;
        let mut update = connection.prepare_cached("UPDATE tally SET last = ?1, open = ?2, bytes = ?3")?;
        update.execute([rows::number(last), rows::number(open), rows::number(bytes)]).map(drop)
    }

    /// Writes it down where it is not what the file has.
    pub(super) fn write_over(&self, before: &Self, connection: &Connection) -> rusqlite::Result<()> {
        let is_known = (self.last, self.open, self.bytes) == (before.last, before.open, before.bytes);
        if is_known { Ok(()) } else { self.write(connection) }
    }

    fn forget(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// The transaction of a group, and the statements that most operations take: to look one up for each takes as long as a
/// tenth of what it does.
pub(super) struct Group<'t> {
    transaction: &'t Transaction<'t>,
    notification: Option<CachedStatement<'t>>,
    queued: Option<CachedStatement<'t>>,
    delivered: Option<CachedStatement<'t>>,
}

impl<'t> Group<'t> {
    pub(super) fn of(transaction: &'t Transaction<'t>) -> Self {
        Self { transaction, notification: None, queued: None, delivered: None }
    }
}

/// A statement, made ready where it is not.
fn ready<'s, 't>(
    statement: &'s mut Option<CachedStatement<'t>>,
    transaction: &'t Transaction<'_>,
    sql: &str,
) -> rusqlite::Result<&'s mut CachedStatement<'t>> {
    Ok(match statement {
        Some(statement) => statement,
        empty => empty.insert(transaction.prepare_cached(sql)?),
    })
}

/// Does one operation.
pub(super) fn apply(
    group: &mut Group<'_>,
    operation: &Operation,
    tally: &mut Tally,
    limits: &mut Limits,
) -> rusqlite::Result<Done> {
    let transaction = group.transaction;
    match operation {
        Operation::Accept(record) => accept(group, record, tally, limits),
        Operation::Settle(settlement) => settle(group, settlement, tally, limits),
        Operation::Remember(health) => remember(transaction, health),
        Operation::Forget(target) => {
            transaction.execute("DELETE FROM endpoint WHERE target = ?1", [target])?;
            Ok(Done::Remembered)
        }
        Operation::Prune(now) => prune(transaction, *now, tally, limits),
        Operation::Limit(new) => {
            *limits = *new;
            Ok(Done::Limited)
        }
        Operation::Probe => tally.write(transaction).map(|()| Done::Probed),
    }
}

/// Removes records that were written but never acknowledged.
pub(super) fn remove_after(connection: &Connection, last: u64) -> rusqlite::Result<()> {
    let whole = connection.unchecked_transaction()?;
    let after = [rows::number(last)];
    let number = |sql: &str| whole.query_row(sql, after, |row| row.get(0)).map(rows::positive);
    let details =
        format!("SELECT coalesce(sum({}), 0) FROM delivery WHERE key > ?1 << 16 | 65535", rows::DETAILS);
    let sizes = number("SELECT coalesce(sum(size), 0) FROM notification WHERE seq > ?1")?;
    let gone = sizes.saturating_add(number(&details)?);
    whole.execute("DELETE FROM delivery WHERE key > ?1 << 16 | 65535", after)?;
    whole.execute("DELETE FROM notification WHERE seq > ?1", after)?;
    let mut tally = Tally { last, ..Tally::read(&whole)? };
    tally.forget(gone);
    tally.write(&whole)?;
    whole.commit()
}

// === accept ===

fn accept(
    group: &mut Group<'_>,
    record: &Record,
    tally: &mut Tally,
    limits: &Limits,
) -> rusqlite::Result<Done> {
    let transaction = group.transaction;
    let notification = &record.notification;
    let open = record.deliveries.iter().filter(|d| !d.progress.state.has_ended()).count() as u64;
    let (size, details) = (record.size(), record.details());
    let has_room = open == 0 || limits.has_room(tally.open + open, notification.level);
    let most = limits.share_of_bytes(notification.level).checked_sub(size + details);
    if !has_room || most.is_none_or(|most| most < tally.bytes) {
        // Nothing makes room for what is there already.
        if let Some(known) = known(transaction, record)? {
            return Ok(known);
        }
        let Some(most) = most.filter(|_| has_room) else { return Ok(Done::Full) };
        if !make_room(transaction, most, tally)? {
            return Ok(Done::Full);
        }
    }
    let number = tally.last + 1;
    if number > rows::LAST_RECORD {
        return Err(rows::too_many());
    }
    let insert = ready(
        &mut group.notification,
        transaction,
        "INSERT INTO notification (seq, id, idempotency_key, accepted_at, level, title, body, color, \
         recipients, tags, link, key, resolves, size, is_unmatched) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT DO NOTHING",
    )?;
    let inserted = insert.execute(params![
        rows::number(number),
        notification.id,
        record.idempotency_key,
        rows::number(notification.at),
        notification.level.name(),
        notification.title,
        rows::body_out(&notification.body),
        notification.color,
        rows::list_out(&notification.to),
        rows::list_out(&notification.tags),
        notification.link,
        notification.key,
        notification.resolves,
        rows::number(size),
        record.deliveries.is_empty(),
    ])?;
    if inserted == 0 {
        // Something has this number that is none of ours.
        return known(transaction, record)?.ok_or(rusqlite::Error::StatementChangedRows(0));
    }
    for (delivery, n) in record.deliveries.iter().zip(0_u16..) {
        insert_delivery(group, DeliveryKey { record: number, n }, delivery)?;
    }
    tally.last = number;
    // What has ended already, or has no delivery, makes room for others.
    let is_open = open > 0 && open == record.deliveries.len() as u64;
    tally.least = tally.least.filter(|_| is_open).map(|least| least + size + details);
    tally.open += open;
    tally.bytes += size + details;
    Ok(Done::Accepted(number))
}

/// The record that has a record's id or idempotency key already.
fn known(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<Option<Done>> {
    let id = Some(&record.notification.id);
    for (column, value) in [("id", id), ("idempotency_key", record.idempotency_key.as_ref())] {
        let Some(value) = value else { continue };
        let sql = format!("SELECT {} FROM notification WHERE {column} = ?1", rows::NOTIFICATION);
        let mut select = transaction.prepare_cached(&sql)?;
        if let Some((known, _)) = select.query_row([value], rows::notification).optional()? {
            let is_same = say_the_same(&known, &record.notification);
            return Ok(Some(Done::Known { id: known.id.clone(), is_same }));
        }
    }
    Ok(None)
}

fn insert_delivery(group: &mut Group<'_>, key: DeliveryKey, delivery: &Delivery) -> rusqlite::Result<()> {
    let Delivery { target, progress } = delivery;
    if *progress == Progress::queued(progress.queued_at) {
        // Nearly all, and half of what it takes is to say what is the same in all of them.
        let insert = ready(
            &mut group.queued,
            group.transaction,
            "INSERT INTO delivery (key, target, state, attempts, queued_at, due_at, detail, tried, parts, faults, \
             sent, plain, room) VALUES (?1, ?2, 'queued', 0, ?3, ?3, '', 0, 0, 0, 0, 0, zeroblob(48))",
        )?;
        let queued_at = rows::number(progress.queued_at);
        return insert.execute(params![rows::key_out(key), target, queued_at]).map(drop);
    }
    let mut insert = group.transaction.prepare_cached(
        "INSERT INTO delivery (key, target, state, attempts, queued_at, due_at, ended_at, detail, tried, parts, \
         faults, sent, plain) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    insert.execute(params![
        rows::key_out(key),
        target,
        progress.state.name(),
        progress.attempts,
        rows::number(progress.queued_at),
        progress.due_at.map(rows::number),
        progress.ended_at.map(rows::number),
        progress.detail,
        progress.tried,
        progress.parts,
        progress.faults,
        progress.sent,
        progress.plain,
    ])?;
    Ok(())
}

// === endpoints ===

fn remember(transaction: &Transaction<'_>, health: &Health) -> rusqlite::Result<Done> {
    let Health { target, fingerprint, endpoint, last_error } = health;
    let state = serde_json::to_string(endpoint)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let (at, error) = last_error.as_ref().map(|(at, error)| (rows::number(*at), error)).unzip();
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO endpoint (target, fingerprint, state, last_error_at, last_error) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![target, fingerprint.cast_signed(), state, at, error])?;
    Ok(Done::Remembered)
}

// === settle ===

fn settle(
    group: &mut Group<'_>,
    settlement: &Settlement,
    tally: &mut Tally,
    limits: &Limits,
) -> rusqlite::Result<Done> {
    let Settlement { key, had_ended, level, replaces, progress } = settlement;
    let has_ended = progress.state.has_ended();
    if *had_ended && !has_ended && !limits.has_room(tally.open + 1, *level) {
        return Ok(Done::Full);
    }
    if !update(group, *key, *had_ended, progress)? {
        return Ok(Done::Unchanged);
    }
    let (reopens, ends) = (*had_ended && !has_ended, !*had_ended && has_ended);
    tally.open = (tally.open + u64::from(reopens)).saturating_sub(u64::from(ends));
    tally.bytes += progress.size();
    tally.forget(*replaces);
    let least = tally.least.filter(|_| !has_ended && !had_ended);
    tally.least = least.map(|least| (least + progress.size()).saturating_sub(*replaces));
    Ok(Done::Settled)
}

/// Writes down where a delivery stands; whether it had ended as it should have.
fn update(
    group: &mut Group<'_>,
    key: DeliveryKey,
    had_ended: bool,
    progress: &Progress,
) -> rusqlite::Result<bool> {
    let Progress { state, attempts, detail, class, reply, queued_at, .. } = progress;
    let instants = [progress.first_tried_at, progress.tried_at, progress.ended_at];
    let [first_tried_at, tried_at, ended_at] = instants.map(|at| at.map(rows::number));
    let (key, queued_at) = (rows::key_out(key), rows::number(*queued_at));
    let arrives = matches!(
        progress,
        Progress {
            state: State::Delivered,
            class: Some(Class::Delivered),
            due_at: None,
            reply: None,
            tried: 0,
            faults: 0,
            sent: 0,
            ..
        }
    );
    if arrives && !had_ended {
        // Nearly all, as in `insert_delivery`.
        let update = ready(
            &mut group.delivered,
            group.transaction,
            "UPDATE delivery SET state = 'delivered', attempts = ?2, queued_at = ?3, due_at = NULL, first_tried_at = ?4, \
             tried_at = ?5, ended_at = ?6, class = 'delivered', detail = ?7, status = NULL, reply = NULL, tried = 0, \
             parts = ?8, faults = 0, sent = 0, plain = ?9, room = NULL WHERE key = ?1 AND ended_at IS NULL",
        )?;
        let Progress { parts, plain, .. } = progress;
        let values =
            params![key, attempts, queued_at, first_tried_at, tried_at, ended_at, detail, parts, plain];
        return Ok(update.execute(values)? == 1);
    }
    let mut update = group.transaction.prepare_cached(
        "UPDATE delivery SET state = ?2, attempts = ?3, queued_at = ?4, due_at = ?5, first_tried_at = ?6, \
         tried_at = ?7, ended_at = ?8, class = ?9, detail = ?10, status = ?11, reply = ?12, tried = ?13, \
         parts = ?14, faults = ?15, sent = ?16, plain = ?17, room = NULL WHERE key = ?1 AND (ended_at IS NOT NULL) = ?18",
    )?;
    let (status, body) = reply.as_ref().map(|LastReply { status, body }| (status, body)).unzip();
    let updated = update.execute(params![
        key,
        state.name(),
        attempts,
        queued_at,
        progress.due_at.map(rows::number),
        first_tried_at,
        tried_at,
        ended_at,
        class.map(Class::name),
        detail,
        status,
        body,
        progress.tried,
        progress.parts,
        progress.faults,
        progress.sent,
        progress.plain,
        had_ended,
    ])?;
    Ok(updated == 1)
}

// === prune ===

fn prune(
    transaction: &Transaction<'_>,
    now: UnixMs,
    tally: &mut Tally,
    limits: &Limits,
) -> rusqlite::Result<Done> {
    let Limits { keep, keep_dead, max_bytes, .. } = *limits;
    let forgotten = shrink(transaction, max_bytes, STEP, tally)?
        + forget(transaction, Which::Ended, now.checked_sub(keep), STEP, tally)?
        + forget(transaction, Which::Dead, now.checked_sub(keep_dead), STEP, tally)?
        + forget_unmatched(transaction, now.checked_sub(keep), STEP, tally)?;
    if forgotten > 0 {
        tally.least = None;
    }
    let has_shrunk = give_back(transaction)?;
    if STEP <= forgotten || has_shrunk {
        return Ok(Done::Pruned { next: Some(now) });
    }
    let first = |sql: &str, keep: u64| -> rusqlite::Result<Option<UnixMs>> {
        let at: Option<i64> = transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(at.map(|at| rows::positive(at).saturating_add(keep)))
    };
    let ended = "SELECT min(ended_at) FROM delivery WHERE state IN ('delivered', 'dropped')";
    let dead = "SELECT min(ended_at) FROM delivery WHERE state = 'dead'";
    let unmatched = "SELECT min(accepted_at) FROM notification WHERE is_unmatched = 1";
    let next = [first(ended, keep)?, first(dead, keep_dead)?, first(unmatched, keep)?];
    Ok(Done::Pruned { next: next.into_iter().flatten().min() })
}

/// Which deliveries are forgotten.
#[derive(Clone, Copy)]
enum Which {
    Ended,
    Dead,
}

/// Forgets deliveries that ended at this instant or before, the oldest first, and the records of which nothing
/// is left. Returns how many.
fn forget(
    transaction: &Transaction<'_>,
    which: Which,
    until: Option<UnixMs>,
    most: u32,
    tally: &mut Tally,
) -> rusqlite::Result<u32> {
    let Some(until) = until else { return Ok(0) };
    let sql = match which {
        Which::Ended => {
            "DELETE FROM delivery WHERE key IN (SELECT key FROM delivery \
             WHERE state IN ('delivered', 'dropped') AND ended_at <= ?1 \
             ORDER BY ended_at, key LIMIT ?2) RETURNING key >> 16, "
        }
        Which::Dead => {
            "DELETE FROM delivery WHERE key IN (SELECT key FROM delivery \
             WHERE state = 'dead' AND ended_at <= ?1 ORDER BY ended_at LIMIT ?2) RETURNING key >> 16, "
        }
    };
    let mut delete = transaction.prepare_cached(&format!("{sql}{}", rows::DETAILS))?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, rows::positive(row.get(1)?)));
    let gone = delete.query_map(params![rows::number(until), most], read)?;
    let gone: Vec<(i64, u64)> = gone.collect::<Result<_, _>>()?;
    let empty = format!(
        "DELETE FROM notification WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE {}) RETURNING size",
        rows::is_of("key", "?1")
    );
    for (record, details) in &gone {
        tally.forget(*details);
        let mut delete = transaction.prepare_cached(&empty)?;
        let size: Option<i64> = delete.query_row([record], |row| row.get(0)).optional()?;
        tally.forget(size.map_or(0, rows::positive));
    }
    Ok(u32::try_from(gone.len()).unwrap_or(most))
}

/// As [`forget`], for records that no target wanted.
fn forget_unmatched(
    transaction: &Transaction<'_>,
    until: Option<UnixMs>,
    most: u32,
    tally: &mut Tally,
) -> rusqlite::Result<u32> {
    let Some(until) = until else { return Ok(0) };
    let mut delete = transaction.prepare_cached(&format!(
        "DELETE FROM notification WHERE seq IN (SELECT seq FROM notification WHERE is_unmatched = 1 \
         AND accepted_at <= ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE {}) \
         ORDER BY accepted_at, seq LIMIT ?2) RETURNING size",
        rows::is_of("key", "seq")
    ))?;
    let sizes = delete.query_map(params![rows::number(until), most], |row| row.get(0))?;
    let mut count = 0;
    for size in sizes {
        tally.forget(rows::positive(size?));
        count += 1;
    }
    Ok(count)
}

/// Makes room until all takes no more than this, where what is kept for look-ups only leaves as much; nothing
/// changes where it does not.
fn make_room(transaction: &Transaction<'_>, most: u64, tally: &mut Tally) -> rusqlite::Result<bool> {
    if tally.least.is_some_and(|least| most < least) {
        return Ok(false);
    }
    let before = *tally;
    transaction.execute_batch("SAVEPOINT room")?;
    shrink(transaction, most, MOST, tally)?;
    if tally.bytes <= most {
        return transaction.execute_batch("RELEASE room").map(|()| true);
    }
    *tally = Tally { least: Some(tally.bytes), ..before };
    transaction.execute_batch("ROLLBACK TO room; RELEASE room").map(|()| false)
}

/// Forgets what is kept for look-ups only until all takes no more than this. Returns how many were forgotten.
fn shrink(transaction: &Transaction<'_>, bytes: u64, most: u32, tally: &mut Tally) -> rusqlite::Result<u32> {
    let mut forgotten = 0;
    while bytes < tally.bytes && forgotten < most {
        let ended = forget(transaction, Which::Ended, Some(UnixMs::MAX), 1, tally)?;
        if ended == 0 && forget_unmatched(transaction, Some(UnixMs::MAX), 1, tally)? == 0 {
            break;
        }
        forgotten += 1;
    }
    Ok(forgotten)
}

/// Gives free pages back to the file system where they are more than a quarter of the file and worth it;
/// otherwise what comes next takes them. Whether it did.
fn give_back(transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
    let pages = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all) = (pages("freelist_count")?, pages("page_count")?);
    if free < i64::from(PAGES) || free < all / 4 {
        return Ok(false);
    }
    let mut vacuum = transaction.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    // It gives back a page a step.
    let mut pages = vacuum.raw_query();
    while pages.next()?.is_some() {}
    Ok(true)
}
