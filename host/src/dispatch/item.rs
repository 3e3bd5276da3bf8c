//! One delivery, as the loop knows it.

use std::sync::Arc;

use super::attempt::Setup;
use crate::clock::{Timeline, UnixMs};
use crate::contract::{Attempt, Class, Level, Notification, TargetNumber};
use crate::schedule::Kind;
use crate::store::{DeliveryKey, Entry, LastReply, Progress, State};

/// One delivery. Instants are the timeline's. It is small, since there can be a million: what the
/// notification says is in the store.
pub(super) struct Item {
    pub(super) key: DeliveryKey,
    /// The notification's id.
    pub(super) id: Arc<str>,
    pub(super) level: Level,
    pub(super) lane: usize,
    /// What is to be delivered, where it has not been left to the store.
    pub(super) notification: Option<Arc<Notification>>,
    pub(super) state: State,
    pub(super) queued_at: UnixMs,
    /// Its age is counted from then on at the earliest.
    pub(super) not_old_before: UnixMs,
    pub(super) first_tried: Option<UnixMs>,
    pub(super) attempts: u32,
    /// How many attempts counted of the request that is its turn.
    pub(super) tried: u32,
    /// How many there were of it, counted or not.
    pub(super) sent: u32,
    /// How many of the requests it takes are delivered.
    pub(super) parts: u32,
    /// How often the guest broke off since the last attempt.
    pub(super) faults: u32,
    /// Whether it is plain text, because the receiver refused its markup.
    pub(super) is_plain: bool,
    /// What the detail and the reply take that are in the store, in bytes.
    pub(super) stored: u64,
}

/// What is known of the last outcome.
#[derive(Default)]
pub(super) struct Last {
    pub(super) detail: String,
    pub(super) class: Option<Class>,
    pub(super) reply: Option<LastReply>,
}

/// An item whose attempt is under way, and with what.
pub(super) struct Flight {
    pub(super) item: Item,
    /// Whether it counts as a retry while it is in flight.
    pub(super) is_counted: bool,
    pub(super) began: UnixMs,
    /// Of which life of the endpoint it is.
    pub(super) life: u64,
    pub(super) setup: Arc<Setup>,
    /// The number that its target has there.
    pub(super) number: TargetNumber,
}

impl Item {
    /// A delivery that was found in the store, for a lane. Who set the wall clock back since then has not made
    /// it come from the future.
    pub(super) fn found(entry: &Entry, lane: usize, timeline: &Timeline) -> Self {
        let progress = &entry.delivery.progress;
        let instant = |at| timeline.of_wall(at).min(timeline.now());
        Self {
            key: entry.key,
            id: entry.id.as_str().into(),
            level: entry.level,
            lane,
            notification: None,
            state: progress.state,
            queued_at: instant(progress.queued_at),
            not_old_before: 0,
            first_tried: progress.first_tried_at.map(instant),
            attempts: progress.attempts,
            tried: progress.tried,
            sent: progress.sent,
            parts: progress.parts,
            faults: progress.faults,
            is_plain: progress.plain,
            stored: progress.size(),
        }
    }

    /// The attempt that begins, or began, then.
    pub(super) fn attempt(&self, began: UnixMs) -> Attempt {
        Attempt {
            number: self.tried,
            sent: self.sent,
            queued_at: self.queued_at,
            first_tried: self.first_tried.unwrap_or(began),
            began,
            level: self.level,
            plain: self.is_plain,
        }
    }

    /// Whether it was tried before.
    pub(super) fn kind(&self) -> Kind {
        if self.sent == 0 { Kind::First } else { Kind::Retry }
    }

    /// What the notification takes that is held here, in bytes.
    pub(super) fn body_size(&self) -> usize {
        self.notification.as_ref().map_or(0, |notification| notification.size())
    }

    /// Where it stands now, for the store; `due` is when the next attempt is, where there is one.
    pub(super) fn progress(&self, due: Option<UnixMs>, last: Last, timeline: &Timeline) -> Progress {
        let Last { detail, class, reply } = last;
        // Several looks would cost more than all else here.
        let look = timeline.look();
        Progress {
            state: self.state,
            attempts: self.attempts,
            detail,
            class,
            reply,
            queued_at: look.by_wall(self.queued_at),
            due_at: due.map(|due| look.by_wall(due)),
            first_tried_at: self.first_tried.map(|at| look.by_wall(at)),
            tried_at: Some(look.wall),
            ended_at: self.state.has_ended().then_some(look.wall),
            tried: self.tried,
            sent: self.sent,
            parts: self.parts,
            faults: self.faults,
            plain: self.is_plain,
        }
    }
}

/// When a delivery that was found in the store is due, on the timeline.
///
/// Who set the wall clock back since then does not make it wait for longer than it was to wait.
pub(super) fn due(progress: &Progress, timeline: &Timeline) -> UnixMs {
    let noted_at = progress.tried_at.unwrap_or(progress.queued_at);
    let due_at = progress.due_at.unwrap_or(noted_at);
    let wait = due_at.saturating_sub(noted_at);
    timeline.of_wall(due_at).min(timeline.now().saturating_add(wait))
}
