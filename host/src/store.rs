//! Where notifications and the state of their deliveries are kept.
//!
//! The store remembers; it decides nothing. What is due when, and what runs now, is the
//! [schedule](crate::schedule)'s.

use std::sync::Arc;

use serde::Serialize;

use crate::clock::UnixMs;
use crate::contract::Notification;

mod memory;

pub use memory::MemoryStore;

/// One notification on its way to one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// The target's name.
    pub target: String,
    /// Where it stands.
    pub state: State,
    /// How many attempts there were.
    pub attempts: u32,
    /// The last outcome in words, or why the delivery ended; empty before the first attempt. Holds no secret.
    pub detail: String,
    /// When the first attempt began.
    #[serde(skip)]
    pub first_tried: Option<UnixMs>,
    /// How many attempts there were of the request that is its turn.
    #[serde(skip)]
    pub tried: u32,
    /// How many of the requests it takes are delivered.
    #[serde(skip)]
    pub parts: u32,
    /// How often the guest broke off, or described what is no request, since the last attempt.
    #[serde(skip)]
    pub faults: u32,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waiting for its first attempt.
    Queued,
    /// Waiting for another attempt.
    Retrying,
    /// Arrived.
    Delivered,
    /// Given up.
    Dead,
}

/// A notification and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The notification.
    pub notification: Arc<Notification>,
    /// Its deliveries; none where no target's filter wanted it.
    pub deliveries: Vec<Delivery>,
}

/// The store cannot do what it is there for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It holds as much as it may. There is room again when deliveries have ended.
    #[error("the queue is full; try again later")]
    Full,
    /// It has a record of this id already.
    #[error("a notification of this id was handed in already")]
    Duplicate,
    /// It cannot be read or written; this is why. Nothing may be accepted until it can.
    #[error("the queue cannot be used: {0}")]
    Broken(String),
}

/// A place that keeps records.
pub trait Store: Send + 'static {
    /// Keeps a new record. When this returns, the record survives whatever the store promises to survive.
    ///
    /// # Errors
    ///
    /// Where it could not be kept; then it is as if it had never been handed in.
    fn accept(&mut self, record: Record) -> Result<(), StoreError>;

    /// Writes down where a delivery of a record stands now; `n` counts the record's deliveries from 0. A
    /// record that is not known is nobody's loss and no error.
    ///
    /// # Errors
    ///
    /// Where it could not be written; the delivery then stands where it stood.
    fn settle(&mut self, id: &str, n: usize, delivery: Delivery) -> Result<(), StoreError>;

    /// The record of a notification; `None` where it was never accepted, or ended so long ago that it is
    /// no longer kept.
    ///
    /// # Errors
    ///
    /// Where it could not be read.
    fn find(&self, id: &str) -> Result<Option<Record>, StoreError>;
}

impl Delivery {
    /// A delivery that waits for its first attempt.
    #[must_use]
    pub fn queued(target: String) -> Self {
        Self {
            target,
            state: State::Queued,
            attempts: 0,
            detail: String::new(),
            first_tried: None,
            tried: 0,
            parts: 0,
            faults: 0,
        }
    }

    /// A delivery that ended before its first attempt.
    #[must_use]
    pub fn dead(target: String, reason: String) -> Self {
        Self { state: State::Dead, detail: reason, ..Self::queued(target) }
    }

    /// Whether nothing more happens to it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Delivered | State::Dead)
    }
}

impl Record {
    /// Whether nothing more happens to it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.deliveries.iter().all(Delivery::has_ended)
    }
}
