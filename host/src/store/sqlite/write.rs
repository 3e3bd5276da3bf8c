//! The operations, each a few statements within the transaction of its group.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, params};

use super::{forget, rows};
use crate::clock::UnixMs;
use crate::contract::Class;
use crate::store::record::{
    Delivery, DeliveryKey, Health, LastReply, Progress, Record, SOON_MS, Settlement, State,
};
use crate::store::{Done, Limits, Operation, say_the_same};

/// What counts against the limits, and how far the file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// The number of the last record.
    pub(super) last: u64,
    /// When the latest delivery was queued: those from then on are queued in the order of their keys. Where the clock
    /// was ahead then, no other is until it has come that far.
    pub(super) queued_at: UnixMs,
    /// No delivery up to this key is in line to be forgotten by the order of the keys.
    pub(super) passed: i64,
    pub(super) open: u64,
    pub(super) bytes: u64,
    /// What would be left if all that is kept for look-ups were forgotten; `None` where that is not known.
    pub(super) least: Option<u64>,
}

impl Tally {
    /// As the file has it. What has not ended is counted anew: it decides what is taken in.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let open = "SELECT count(*) FROM open_delivery";
        let open = connection.query_row(open, [], |row| row.get(0)).map(rows::positive)?;
        // What has been written is not written over, whatever somebody says was the last.
        let sql =
            "SELECT max(last, coalesce((SELECT max(seq) FROM notification), 0)), queued_at, bytes FROM tally";
        let positive = |row: &Row<'_>, column| row.get(column).map(rows::positive);
        let read = |row: &Row<'_>| Ok((positive(row, 0)?, positive(row, 1)?, positive(row, 2)?));
        let (last, queued_at, bytes) = connection.query_row(sql, [], read)?;
        if last < rows::LAST_RECORD {
            Ok(Self { last, queued_at, passed: 0, open, bytes, least: None })
        } else {
            Err(rows::too_many())
        }
    }

    /// Writes it down.
    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE tally SET last = ?1, queued_at = ?2, open = ?3, bytes = ?4";
        let Self { last, queued_at, open, bytes, .. } = *self;
        connection.prepare_cached(sql)?.execute([last, queued_at, open, bytes].map(rows::number)).map(drop)
    }

    /// Writes it down where it is not what the file has.
    pub(super) fn write_over(&self, before: &Self, connection: &Connection) -> rusqlite::Result<()> {
        let is_known = (self.last, self.open, self.bytes) == (before.last, before.open, before.bytes);
        if is_known { Ok(()) } else { self.write(connection) }
    }

    pub(super) fn forget(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// The transaction of a group, and the statements that most operations take: to look one up for each takes as long as a
/// tenth of what it does.
pub(super) struct Group<'t> {
    transaction: &'t Transaction<'t>,
    notification: Option<CachedStatement<'t>>,
    queued: Option<CachedStatement<'t>>,
    ended: Option<CachedStatement<'t>>,
    delivered: Option<CachedStatement<'t>>,
}

impl<'t> Group<'t> {
    pub(super) fn of(transaction: &'t Transaction<'t>) -> Self {
        Self { transaction, notification: None, queued: None, ended: None, delivered: None }
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
        Operation::Prune(now) => forget::prune(transaction, *now, tally, limits),
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
    whole.execute("DELETE FROM open_delivery WHERE key > ?1 << 16 | 65535", after)?;
    whole.execute("DELETE FROM ended_delivery WHERE key > ?1 << 16 | 65535", after)?;
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
        if !forget::make_room(transaction, most, tally)? {
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
        insert_delivery(group, DeliveryKey { record: number, n }, delivery, tally)?;
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

fn insert_delivery(
    group: &mut Group<'_>,
    key: DeliveryKey,
    delivery: &Delivery,
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    let Delivery { target, progress } = delivery;
    if progress.state.has_ended() {
        return insert_ended(group, key, target, progress, false, tally);
    }
    let is_moved = progress.queued_at < tally.queued_at;
    tally.queued_at = tally.queued_at.max(progress.queued_at);
    if is_moved || *progress != Progress::queued(progress.queued_at) {
        return insert_open(group.transaction, key, target, progress, is_moved);
    }
    // Nearly all, and half of what it takes is to say what is the same in all of them. Where somebody put a row of this
    // key there, this one takes its place.
    let insert = ready(
        &mut group.queued,
        group.transaction,
        "INSERT INTO open_delivery (key, target, state, attempts, queued_at, due_at, detail, tried, parts, faults, \
         sent, plain, moved) VALUES (?1, ?2, 'queued', 0, ?3, ?3, '', 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
    )?;
    if insert.execute(params![rows::key_out(key), target, rows::number(progress.queued_at)])? == 1 {
        return Ok(());
    }
    insert_open(group.transaction, key, target, progress, false)
}

fn insert_open(
    transaction: &Transaction<'_>,
    key: DeliveryKey,
    target: &str,
    progress: &Progress,
    is_moved: bool,
) -> rusqlite::Result<()> {
    let (status, body) = progress.reply.as_ref().map(|LastReply { status, body }| (status, body)).unzip();
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO open_delivery (key, target, state, attempts, queued_at, due_at, first_tried_at, \
         tried_at, class, detail, status, reply, tried, parts, faults, sent, plain, moved) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    let inserted = insert.execute(params![
        rows::key_out(key),
        target,
        progress.state.name(),
        progress.attempts,
        rows::number(progress.queued_at),
        progress.due_at.map(rows::number),
        progress.first_tried_at.map(rows::number),
        progress.tried_at.map(rows::number),
        progress.class.map(Class::name),
        progress.detail,
        status,
        body,
        progress.tried,
        progress.parts,
        progress.faults,
        progress.sent,
        progress.plain,
        is_moved,
    ]);
    inserted.map(drop)
}

/// Adds a delivery to those that have ended; `is_in_order` where those before it were queued before it.
fn insert_ended(
    group: &mut Group<'_>,
    key: DeliveryKey,
    target: &str,
    progress: &Progress,
    is_in_order: bool,
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    let Progress { state, attempts, detail, class, reply, queued_at, .. } = progress;
    let instants = [progress.first_tried_at, progress.tried_at, progress.ended_at];
    let [first_tried_at, tried_at, ended_at] = instants.map(|at| at.map(rows::number));
    let kept_from = progress.kept_from().filter(|_| !is_in_order || !progress.ended_soon());
    let (key, queued_at) = (rows::key_out(key), rows::number(*queued_at));
    let arrived = matches!(
        progress,
        Progress {
            state: State::Delivered,
            class: Some(Class::Delivered),
            reply: None,
            tried: 0,
            faults: 0,
            sent: 0,
            ..
        }
    );
    if kept_from.is_none() {
        tally.passed = tally.passed.min(key - 1);
    }
    if arrived && kept_from.is_none() {
        // Nearly all, as in `insert_delivery`.
        let insert = ready(
            &mut group.delivered,
            group.transaction,
            "INSERT INTO ended_delivery (key, target, state, attempts, queued_at, first_tried_at, \
             tried_at, ended_at, class, detail, tried, parts, faults, sent, plain) \
             VALUES (?1, ?2, 'delivered', ?3, ?4, ?5, ?6, ?7, 'delivered', ?8, 0, ?9, 0, 0, ?10) \
             ON CONFLICT DO NOTHING",
        )?;
        let Progress { parts, plain, .. } = progress;
        let values = params![
            key,
            target,
            attempts,
            queued_at,
            first_tried_at,
            tried_at,
            ended_at,
            detail,
            parts,
            plain
        ];
        if insert.execute(values)? == 1 {
            return Ok(());
        }
    }
    let mut insert = group.transaction.prepare_cached(
        "INSERT OR REPLACE INTO ended_delivery (key, target, state, attempts, queued_at, first_tried_at, tried_at, \
         ended_at, class, detail, status, reply, tried, parts, faults, sent, plain, kept_from) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    let (status, body) = reply.as_ref().map(|LastReply { status, body }| (status, body)).unzip();
    let inserted = insert.execute(params![
        key,
        target,
        state.name(),
        attempts,
        queued_at,
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
        kept_from.map(rows::number),
    ]);
    inserted.map(drop)
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
    let Settlement { key, target, had_ended, level, replaces, progress } = settlement;
    let has_ended = progress.state.has_ended();
    if *had_ended && !has_ended && !limits.has_room(tally.open + 1, *level) {
        return Ok(Done::Full);
    }
    let taken = if *had_ended {
        take_ended(group.transaction, *key)?
    } else {
        take_open(group, *key, progress.queued_at)?
    };
    match (taken, has_ended) {
        (Some(is_in_order), true) => insert_ended(group, *key, target, progress, is_in_order, tally)?,
        (Some(is_in_order), false) => insert_open(group.transaction, *key, target, progress, !is_in_order)?,
        (None, _) => return Ok(Done::Unchanged),
    }
    let (reopens, ends) = (*had_ended && !has_ended, !*had_ended && has_ended);
    tally.open = (tally.open + u64::from(reopens)).saturating_sub(u64::from(ends));
    tally.bytes += progress.size();
    tally.forget(*replaces);
    let least = tally.least.filter(|_| !has_ended && !had_ended);
    tally.least = least.map(|least| (least + progress.size()).saturating_sub(*replaces));
    Ok(Done::Settled)
}

/// Takes a delivery out of those that have not ended; whether it was queued in the order of the keys, or `None` where
/// it is not there.
fn take_open(group: &mut Group<'_>, key: DeliveryKey, queued_at: UnixMs) -> rusqlite::Result<Option<bool>> {
    let key = rows::key_out(key);
    // It is said anew each time when that was, by the clock of that time.
    let about = [queued_at.saturating_sub(SOON_MS), queued_at.saturating_add(SOON_MS)];
    let [from, to] = about.map(rows::number);
    let take = ready(
        &mut group.ended,
        group.transaction,
        "DELETE FROM open_delivery WHERE key = ?1 AND moved = 0 AND queued_at BETWEEN ?2 AND ?3",
    )?;
    if take.execute([key, from, to])? == 1 {
        return Ok(Some(true));
    }
    let mut take = group.transaction.prepare_cached("DELETE FROM open_delivery WHERE key = ?1")?;
    Ok((take.execute([key])? == 1).then_some(false))
}

/// The same for those that have, of which none is in that order any more.
fn take_ended(transaction: &Transaction<'_>, key: DeliveryKey) -> rusqlite::Result<Option<bool>> {
    let mut take = transaction.prepare_cached("DELETE FROM ended_delivery WHERE key = ?1")?;
    Ok((take.execute([rows::key_out(key)])? == 1).then_some(false))
}
