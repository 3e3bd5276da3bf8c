//! Forgetting: what has been kept for its time, and what makes room for others.
//!
//! Deliveries are forgotten in the order in which their time to be kept began. Nearly all of them arrive soon after they
//! were queued, and for those that is the order of their keys, so that no index is kept of them: `kept_from` is NULL. The
//! others have an index of their own: those that took longer, died, were replayed, or were queued by a clock that was
//! set back.

use rusqlite::{OptionalExtension, Row, Transaction};

use super::rows;
use super::write::Tally;
use crate::clock::UnixMs;
use crate::store::record::SOON_MS;
use crate::store::{Done, Limits};

/// How many deliveries are forgotten in one step, and how many at most to make room for one record.
const STEP: usize = 256;
const MOST: usize = 4_096;

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
        + forget(transaction, Which::Ended, now.checked_sub(keep), STEP, tally, |_| false)?
        + forget(transaction, Which::Dead, now.checked_sub(keep_dead), STEP, tally, |_| false)?
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
    let kept_from = |first: &[Kept]| first.first().map(|(kept_from, ..)| *kept_from);
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

/// A delivery that can be forgotten: since when its time counts, its key, and what its details take.
type Kept = (UnixMs, i64, u64);

/// Forgets deliveries whose time began at this instant or before, the oldest first, and the records of which nothing
/// is left, until it is enough. Returns how many.
fn forget(
    transaction: &Transaction<'_>,
    which: Which,
    until: Option<UnixMs>,
    most: usize,
    tally: &mut Tally,
    is_enough: impl Fn(&Tally) -> bool,
) -> rusqlite::Result<usize> {
    let Some(until) = until else { return Ok(0) };
    let mut oldest = apart(transaction, which, until, most)?;
    if which == Which::Ended {
        oldest.extend(in_order(transaction, until, most, tally)?);
        oldest.sort_unstable();
    }
    // No `RETURNING`: that makes a table of its own each time.
    let mut delete = transaction.prepare_cached("DELETE FROM ended_delivery WHERE key = ?1")?;
    let select_empty = format!("SELECT size FROM notification WHERE seq = ?1 AND {}", has_none("?1"));
    let mut select_empty = transaction.prepare_cached(&select_empty)?;
    let mut delete_empty = transaction.prepare_cached("DELETE FROM notification WHERE seq = ?1")?;
    let mut forgotten = 0;
    for (_, key, details) in oldest.into_iter().take(most) {
        if is_enough(tally) {
            break;
        }
        delete.execute([key])?;
        tally.forget(details);
        let record = [key >> 16];
        if let Some(size) = select_empty.query_row(record, |row| row.get(0)).optional()? {
            delete_empty.execute(record)?;
            tally.forget(rows::positive(size));
        }
        forgotten += 1;
    }
    Ok(forgotten)
}

/// Those that are not forgotten in the order of their keys whose time began first, at this instant or before.
fn apart(
    transaction: &Transaction<'_>,
    which: Which,
    until: UnixMs,
    most: usize,
) -> rusqlite::Result<Vec<Kept>> {
    // Were the state or a limit bound, SQLite would prepare the statement anew each time.
    let mut select = transaction.prepare_cached(&format!(
        "SELECT kept_from, key, {} FROM ended_delivery WHERE kept_from IS NOT NULL AND (state = 'dead') = {} \
         AND kept_from <= ?1 ORDER BY kept_from, key",
        rows::DETAILS,
        u8::from(which == Which::Dead)
    ))?;
    select.query_map([rows::number(until)], kept)?.take(most).collect()
}

/// As [`apart`], for those that are; `most` is not 0.
fn in_order(
    transaction: &Transaction<'_>,
    until: UnixMs,
    most: usize,
    tally: &mut Tally,
) -> rusqlite::Result<Vec<Kept>> {
    let mut select = transaction.prepare_cached(&format!(
        "SELECT queued_at, key, {} FROM ended_delivery WHERE key > ?1 AND kept_from IS NULL ORDER BY key",
        rows::DETAILS
    ))?;
    let mut oldest = Vec::new();
    let passed = std::mem::replace(&mut tally.passed, i64::MAX);
    for row in select.query_map([passed], kept)?.take(most) {
        let (queued_at, key, details) = row?;
        let kept_from = queued_at.saturating_add(SOON_MS);
        tally.passed = tally.passed.min(key - 1);
        if until < kept_from {
            break;
        }
        oldest.push((kept_from, key, details));
    }
    Ok(oldest)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok((rows::positive(row.get(0)?), row.get(1)?, rows::positive(row.get(2)?)))
}

/// As [`forget`], for records that no target wanted.
fn forget_unmatched(
    transaction: &Transaction<'_>,
    until: Option<UnixMs>,
    most: usize,
    tally: &mut Tally,
) -> rusqlite::Result<usize> {
    let Some(until) = until else { return Ok(0) };
    let mut select = transaction.prepare_cached(&format!(
        "SELECT seq, size FROM notification WHERE is_unmatched = 1 AND accepted_at <= ?1 AND {} \
         ORDER BY accepted_at, seq",
        has_none("seq")
    ))?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, rows::positive(row.get(1)?)));
    let oldest = select.query_map([rows::number(until)], read)?.take(most);
    let oldest: Vec<(i64, u64)> = oldest.collect::<Result<_, _>>()?;
    let mut delete = transaction.prepare_cached("DELETE FROM notification WHERE seq = ?1")?;
    for (record, size) in &oldest {
        delete.execute([record])?;
        tally.forget(*size);
    }
    Ok(oldest.len())
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
fn shrink(
    transaction: &Transaction<'_>,
    bytes: u64,
    most: usize,
    tally: &mut Tally,
) -> rusqlite::Result<usize> {
    let is_enough = |tally: &Tally| tally.bytes <= bytes;
    // Mostly one is enough.
    let (mut forgotten, mut step) = (0, 1);
    while !is_enough(tally) && forgotten < most {
        let ended = forget(transaction, Which::Ended, Some(UnixMs::MAX), step, tally, is_enough)?;
        if ended == 0 && forget_unmatched(transaction, Some(UnixMs::MAX), 1, tally)? == 0 {
            break;
        }
        forgotten += ended.max(1);
        step = (2 * step).min(STEP).min(most - forgotten);
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
