//! Forgetting: what has been kept for its time, and what makes room for others.
//!
//! Deliveries are forgotten in the order in which their time to be kept began. Nearly all of them arrive soon after they
//! were queued, and for those that is the order of their keys, so that no index is kept of them: `kept_from` is NULL. The
//! others have an index of their own: those that took longer, died, were replayed, or were queued by a clock that was
//! set back.

use rusqlite::{OptionalExtension, Transaction, params};

use super::rows;
use super::write::Tally;
use crate::clock::UnixMs;
use crate::store::record::SOON_MS;
use crate::store::{Done, Limits};

/// How many deliveries are forgotten in one step, and how many at most to make room for one record.
const STEP: u32 = 256;
const MOST: u32 = 4_096;

/// How many records may lie between two that go at once: all of them are looked at.
const FAR: i64 = 4_096;

/// How many free pages are given back to the file system in one step.
const PAGES: u32 = 256;

/// Forgets what has been kept for its time by this instant, as far as a small step goes.
pub(super) fn prune(
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
    let first = |which| apart(transaction, which, UnixMs::MAX, 1);
    let (late, dead) = (first(Which::Ended)?, first(Which::Dead)?);
    let soon = in_order(transaction, UnixMs::MAX, 1, tally)?;
    let sql = format!(
        "SELECT accepted_at FROM notification WHERE is_unmatched = 1 AND {} ORDER BY accepted_at LIMIT 1",
        has_none("seq")
    );
    let unmatched = transaction.prepare_cached(&sql)?.query_row([], |row| row.get(0)).optional()?;
    let kept_from = |first: &[(UnixMs, i64)]| first.first().map(|(kept_from, _)| *kept_from);
    let kept = [
        (kept_from(&late), keep),
        (kept_from(&soon), keep),
        (kept_from(&dead), keep_dead),
        (unmatched.map(rows::positive), keep),
    ];
    let next = kept.into_iter().filter_map(|(from, keep)| Some(from?.saturating_add(keep))).min();
    Ok(Done::Pruned { next })
}

/// Which deliveries are forgotten.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Ended,
    Dead,
}

/// Forgets deliveries whose time began at this instant or before, the oldest first, and the records of which nothing
/// is left. Returns how many.
fn forget(
    transaction: &Transaction<'_>,
    which: Which,
    until: Option<UnixMs>,
    most: u32,
    tally: &mut Tally,
) -> rusqlite::Result<u32> {
    let Some(until) = until else { return Ok(0) };
    let mut apart = apart(transaction, which, until, most)?.into_iter().peekable();
    let mut in_order = match which {
        Which::Ended => in_order(transaction, until, most, tally)?.into_iter().peekable(),
        Which::Dead => Vec::new().into_iter().peekable(),
    };
    let (mut forgotten, mut range) = (0, None);
    while forgotten < most {
        let is_apart = match (apart.peek(), in_order.peek()) {
            (Some(one), Some(other)) => one < other,
            (one, _) => one.is_some(),
        };
        let Some((_, key)) = (if is_apart { apart.next() } else { in_order.next() }) else { break };
        if is_apart {
            forget_between(transaction, [key, key], tally)?;
        } else {
            // All from the first to the last go at once.
            let (first, _) = range.unwrap_or((key, key));
            range = Some((first, key));
        }
        forgotten += 1;
    }
    if let Some((first, last)) = range {
        forget_between(transaction, [first, last], tally)?;
    }
    Ok(forgotten)
}

/// Forgets the one delivery of this key, or all from one key to another that are forgotten in the order of their keys.
fn forget_between(transaction: &Transaction<'_>, keys: [i64; 2], tally: &mut Tally) -> rusqlite::Result<()> {
    let mut forget = |sql: &str, between: [i64; 2]| -> rusqlite::Result<()> {
        let mut delete = transaction.prepare_cached(sql)?;
        for bytes in delete.query_map(between, |row| row.get(0))? {
            tally.forget(rows::positive(bytes?));
        }
        Ok(())
    };
    let deliveries = format!(
        "DELETE FROM ended_delivery WHERE key BETWEEN ?1 AND ?2 AND (kept_from IS NULL OR ?1 = ?2) RETURNING {}",
        rows::DETAILS
    );
    let records = format!(
        "DELETE FROM notification WHERE seq BETWEEN ?1 AND ?2 AND is_unmatched = 0 AND {} RETURNING size",
        has_none("seq")
    );
    forget(&deliveries, keys)?;
    forget(&records, keys.map(|key| key >> 16))
}

/// Those that are not forgotten in the order of their keys whose time began first, at this instant or before, and when.
fn apart(
    transaction: &Transaction<'_>,
    which: Which,
    until: UnixMs,
    most: u32,
) -> rusqlite::Result<Vec<(UnixMs, i64)>> {
    let mut select = transaction.prepare_cached(
        "SELECT kept_from, key FROM ended_delivery WHERE kept_from IS NOT NULL AND (state = 'dead') = ?1 \
         AND kept_from <= ?2 ORDER BY kept_from, key LIMIT ?3",
    )?;
    let read = |row: &rusqlite::Row<'_>| Ok((rows::positive(row.get(0)?), row.get(1)?));
    select.query_map(params![which == Which::Dead, rows::number(until), most], read)?.collect()
}

/// As [`apart`], for those that are.
fn in_order(
    transaction: &Transaction<'_>,
    until: UnixMs,
    most: u32,
    tally: &mut Tally,
) -> rusqlite::Result<Vec<(UnixMs, i64)>> {
    let mut select = transaction.prepare_cached(
        "SELECT queued_at, key FROM ended_delivery WHERE key > ?1 AND kept_from IS NULL ORDER BY key LIMIT ?2",
    )?;
    let mut rows = select.query(params![tally.passed, most])?;
    let (mut first, mut last) = (Vec::new(), None);
    tally.passed = i64::MAX;
    while let Some(row) = rows.next()? {
        let (queued_at, key) = (rows::positive(row.get(0)?), row.get(1)?);
        let kept_from = queued_at.saturating_add(SOON_MS);
        tally.passed = tally.passed.min(key - 1);
        let is_far = last.replace(key).is_some_and(|last| FAR < (key - last) >> 16);
        if until < kept_from || is_far {
            break;
        }
        first.push((kept_from, key));
    }
    Ok(first)
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
         AND accepted_at <= ?1 AND {} ORDER BY accepted_at, seq LIMIT ?2) RETURNING size",
        has_none("seq")
    ))?;
    let sizes = delete.query_map(params![rows::number(until), most], |row| row.get(0))?;
    let mut count = 0;
    for size in sizes {
        tally.forget(rows::positive(size?));
        count += 1;
    }
    Ok(count)
}

/// A condition on a record's number: it has no delivery.
fn has_none(record: &str) -> String {
    format!("NOT EXISTS (SELECT 1 FROM delivery WHERE {})", rows::is_of("key", record))
}

/// Makes room until all takes no more than this, where what is kept for look-ups only leaves as much; nothing
/// changes where it does not.
pub(super) fn make_room(
    transaction: &Transaction<'_>,
    most: u64,
    tally: &mut Tally,
) -> rusqlite::Result<bool> {
    if tally.least.is_some_and(|least| most < least) {
        return Ok(false);
    }
    let before = *tally;
    let say = |sql| transaction.prepare_cached(sql)?.execute([]).map(drop);
    say("SAVEPOINT room")?;
    shrink(transaction, most, MOST, tally)?;
    let is_enough = tally.bytes <= most;
    if !is_enough {
        *tally = Tally { least: Some(tally.bytes), ..before };
        say("ROLLBACK TO room")?;
    }
    say("RELEASE room")?;
    Ok(is_enough)
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
