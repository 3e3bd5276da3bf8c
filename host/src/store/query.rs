//! What can be asked of a store: lists of deliveries, and how much it holds.

use serde::Serialize;

use super::record::{Delivery, DeliveryKey, State, name_of_level, rfc_3339};
use crate::clock::UnixMs;
use crate::contract::Level;

/// No page has more entries.
pub const LARGEST_PAGE: usize = 1_000;

/// Which deliveries; all conditions must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Of the notification with this id.
    pub id: Option<String>,
    /// In one of these states; in any where there are none.
    pub states: Vec<State>,
    /// To this target.
    pub target: Option<String>,
    /// Of a notification at least as serious as this.
    pub level: Option<Level>,
    /// Of which something was heard since: it ended, had an outcome or was queued then or later.
    pub since: Option<UnixMs>,
    /// Whose detail contains this text.
    pub reason: Option<String>,
    /// After this one, in the order of their keys.
    pub after: Option<DeliveryKey>,
    /// At most so many; no more than [`LARGEST_PAGE`].
    pub limit: usize,
}

/// A part of a list, in the order of the keys, which is that in which notifications were accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The deliveries.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` where there is nothing more.
    pub next: Option<DeliveryKey>,
    /// Those that are no deliveries as they stand there, and why.
    pub unreadable: Vec<(DeliveryKey, String)>,
}

/// A delivery in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Which delivery.
    #[serde(skip)]
    pub key: DeliveryKey,
    /// The notification's id.
    pub id: String,
    /// The notification's level.
    #[serde(serialize_with = "name_of_level")]
    pub level: Level,
    /// The notification's title.
    pub title: String,
    /// When the notification was handed in, by the wall clock.
    #[serde(serialize_with = "rfc_3339")]
    pub at: UnixMs,
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// How much a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Deliveries that have not ended.
    pub open: u64,
    /// What all records take, roughly, in bytes.
    pub bytes: u64,
    /// What the file takes, in bytes; 0 where there is none.
    pub file_bytes: u64,
    /// How many deliveries each target has in each state, sorted by target, then by state; states without a
    /// delivery are left out.
    pub targets: Vec<Count>,
}

/// How many deliveries a target has in a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The target's name.
    pub target: String,
    /// The state.
    pub state: State,
    /// How many.
    pub deliveries: u64,
    /// When the oldest of them was queued, by the wall clock.
    #[serde(serialize_with = "rfc_3339")]
    pub oldest: UnixMs,
}

impl Default for Query {
    /// Everything, in pages of 100.
    fn default() -> Self {
        Self {
            id: None,
            states: Vec::new(),
            target: None,
            level: None,
            since: None,
            reason: None,
            after: None,
            limit: 100,
        }
    }
}

impl Query {
    /// Those that have not ended.
    #[must_use]
    pub fn open() -> Self {
        Self { states: State::OPEN.to_vec(), ..Self::default() }
    }

    /// How many entries its page has at most: at least 1, at most [`LARGEST_PAGE`].
    #[must_use]
    pub fn page(&self) -> usize {
        self.limit.clamp(1, LARGEST_PAGE)
    }

    /// Whether a delivery is meant, wherever it stands in the list.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let progress = &entry.delivery.progress;
        let heard = progress.ended_at.or(progress.tried_at).unwrap_or(progress.queued_at);
        self.id.as_ref().is_none_or(|id| *id == entry.id)
            && (self.states.is_empty() || self.states.contains(&progress.state))
            && self.target.as_ref().is_none_or(|target| **target == *entry.delivery.target)
            && self.level.is_none_or(|level| level as u8 <= entry.level as u8)
            && self.since.is_none_or(|since| since <= heard)
            && self.reason.as_ref().is_none_or(|reason| progress.detail.contains(reason))
    }
}
