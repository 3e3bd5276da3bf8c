//! Where notifications and the state of their deliveries are kept.
//!
//! A store remembers; it decides nothing. What is due when, and what runs now, is the schedule's. Operations come in groups, each of which is kept as a whole or not at all:
//! what a store that writes to disk pays for is the group.

use std::sync::Arc;

use crate::clock::UnixMs;
use crate::contract::{Level, Notification};

#[cfg(test)]
mod contract_tests;
mod memory;
#[cfg(test)]
mod model_tests;
mod query;
mod record;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::MemoryStore;
pub use query::{Count, Entry, LARGEST_PAGE, Page, Query, Usage};
pub use record::{
    Delivery, DeliveryKey, Health, LONGEST_REPLY, LastReply, NoKey, Progress, Record, Settlement, State,
    timestamp,
};
#[cfg(feature = "sqlite")]
pub use sqlite::{InUse, OpenError, Owner, SqliteReader, SqliteStore};

/// A place that keeps records.
pub trait Store: Send + 'static {
    /// Does these operations in their order, all or none. When this returns, what was done survives whatever
    /// the store promises to survive.
    ///
    /// # Errors
    ///
    /// Where nothing was done, not even in part. The same operations can be tried again.
    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError>;

    /// The limits that it keeps to.
    fn limits(&self) -> Limits;

    /// Another way to read, which does not wait for `commit` and sees what was done before.
    fn reader(&self) -> Box<dyn Reader>;

    /// Whether calls wait for a disk, so that they need a thread of their own.
    fn waits(&self) -> bool;
}

/// Reads what a store holds. A call sees one state of it.
pub trait Reader: Send + 'static {
    /// A record's notification; `None` where there is no such record.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read; likewise for all others here.
    fn notification(&mut self, record: u64) -> Result<Option<Arc<Notification>>, StoreError>;

    /// The record of a notification's id; `None` where it was never accepted, or ended so long ago that it
    /// is no longer kept.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    fn find(&mut self, id: &str) -> Result<Option<Record>, StoreError>;

    /// These deliveries, in this order, without those that are not there.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    fn entries(&mut self, keys: &[DeliveryKey]) -> Result<Vec<Entry>, StoreError>;

    /// A page of a list. Entries that somebody broke are left out, and named.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    fn list(&mut self, query: &Query) -> Result<Page, StoreError>;

    /// How many deliveries a whole list has, from its first page on.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    fn count(&mut self, query: &Query) -> Result<u64, StoreError>;

    /// How much the store holds.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    fn usage(&mut self) -> Result<Usage, StoreError>;

    /// What is remembered of endpoints, by the names of their targets. What somebody broke is left out.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    fn healths(&mut self) -> Result<Vec<Health>, StoreError>;
}

/// Something for a store to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Keep a new record.
    Accept(Record),
    /// Write down where a delivery stands.
    Settle(Settlement),
    /// Remember how a target's endpoint is.
    Remember(Health),
    /// Forget how a target's endpoint is.
    Forget(String),
    /// Forget a few of those deliveries that ended long enough before this instant.
    Prune(UnixMs),
    /// Keep to these limits from now on. What is there already goes with the next prunings.
    Limit(Limits),
    /// Write something that changes nothing, to find out whether writing works.
    Probe,
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The record is kept, under this number: larger than every one before.
    Accepted(u64),
    /// A record of this id or idempotency key is there already.
    Known {
        /// The id of the notification that came first.
        id: String,
        /// Whether it says the same as this one; `at` and, for a known key, the id may differ.
        is_same: bool,
    },
    /// There is no room for it.
    Full,
    /// The delivery stands there now.
    Settled,
    /// The delivery is not there, or had ended where it must not have, or the other way round.
    Unchanged,
    /// It is remembered, or forgotten.
    Remembered,
    /// What was to be forgotten is, as far as a small step goes.
    Pruned {
        /// When there is more to forget, by the wall clock; `None` where there is nothing.
        next: Option<UnixMs>,
    },
    /// The limits hold.
    Limited,
    /// Writing works.
    Probed,
}

/// How much a store may hold, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many deliveries may wait for their end.
    pub max_messages: u64,
    /// What all records may take, roughly, in bytes. Deliveries that have arrived or were dropped make room
    /// before their time.
    pub max_bytes: u64,
    /// Notifications less serious than this leave the last tenth of both to others.
    pub reserve_for: Level,
    /// How long deliveries are kept after they arrived or were dropped, in milliseconds; those that did so within ten
    /// seconds, ten seconds and as long after they were queued. As long, at least, a repeated hand-in is known as such.
    pub keep: u64,
    /// How long dead letters are kept, in milliseconds.
    pub keep_dead: u64,
}

/// The store cannot do what it is there for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It holds as much as it may. There is room again when deliveries have ended.
    #[error("the queue is full; try again later")]
    Full,
    /// Its id or its idempotency key was used for another notification. Choose another one.
    #[error("its id or its idempotency key belongs to another notification, {0}")]
    Reused(String),
    /// It cannot be read or written; this is why. Nothing may be accepted until it can.
    #[error("the queue cannot be used: {0}")]
    Broken(String),
}

impl Default for Limits {
    /// 1 million deliveries, 1 GiB, the last tenth for errors, a day, and 30 days for dead letters.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        Self {
            max_messages: 1_000_000,
            max_bytes: 1 << 30,
            reserve_for: Level::Error,
            keep: DAY,
            keep_dead: 30 * DAY,
        }
    }
}

impl Limits {
    /// Whether there is room for so many open deliveries in all, for a notification of a level.
    pub(crate) fn has_room(&self, open: u64, level: Level) -> bool {
        open <= self.share(self.max_messages, level)
    }

    /// How many bytes records may take in all, for a notification of a level.
    pub(crate) fn share_of_bytes(&self, level: Level) -> u64 {
        self.share(self.max_bytes, level)
    }

    fn share(&self, of: u64, level: Level) -> u64 {
        if (level as u8) < self.reserve_for as u8 { of - of / 10 } else { of }
    }
}

/// Whether two notifications say the same: all but when they came, and under which id.
fn say_the_same(one: &Notification, other: &Notification) -> bool {
    let Notification { id: _, at: _, level, title, body, color, to, tags, link, key, resolves } = one;
    (*level, title, body, color) == (other.level, &other.title, &other.body, &other.color)
        && (to, tags, link) == (&other.to, &other.tags, &other.link)
        && (key, resolves) == (&other.key, &other.resolves)
}
