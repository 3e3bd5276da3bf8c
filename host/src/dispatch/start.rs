//! What begins, and what waits.

use std::sync::Arc;

use super::attempt::{Attempted, Job};
use super::item::{Flight, Item};
use super::settle::AFTER_A_FAULT_MS;
use super::{Dispatch, GUEST_TRAP, LONGEST_WAIT_MS};
use crate::clock::UnixMs;
use crate::contract::Admission;
use crate::event::Happened;
use crate::schedule::Waiting;

/// How much of what waits is held in memory beside the store, in bytes: enough that a body is not read
/// back while deliveries flow.
const BODIES_HELD: usize = 16 << 20;

impl Dispatch {
    pub(super) fn start_due(&mut self, now: UnixMs) {
        while self.is_storing()
            && let Some(lane) = self.schedule.next_lane(now)
        {
            let target = self.lanes.name(lane);
            let admission = self.setup.dispatcher.admit(&target, self.lanes.endpoint(lane), now);
            if let Ok(Admission::Wait(until)) = admission {
                // A guest that says "wait" and means "now" would turn the loop in circles.
                let until = until.clamp(now.saturating_add(1), now.saturating_add(LONGEST_WAIT_MS));
                self.schedule.hold(lane, until);
                continue;
            }
            let Some(item) = self.schedule.take(lane) else { return };
            self.held = self.held.saturating_sub(item.body_size());
            match admission {
                Ok(_) => self.start(item, target, now),
                Err(fault) => {
                    self.schedule.finish(lane, true);
                    // Whoever waits behind it would make the loop wait for the guest once more, each of them.
                    self.schedule.hold(lane, now.saturating_add(AFTER_A_FAULT_MS));
                    self.fail(item, true, now, GUEST_TRAP, &fault.to_string());
                }
            }
        }
    }

    fn start(&mut self, mut item: Item, target: Arc<str>, now: UnixMs) {
        item.first_tried.get_or_insert(now);
        self.tell(&item, Happened::Started { attempt: item.attempts.saturating_add(1) });
        let job = Job { target, attempt: item.attempt(now), parts: item.parts, now };
        let (setup, reads) = (Arc::clone(&self.setup), self.reads.clone());
        let (record, notification) = (item.key.record, item.notification.clone());
        let run = async move {
            let notification = match notification {
                Some(notification) => Ok(Some(notification)),
                None => reads.run(move |reader| reader.notification(record)).await,
            };
            match notification {
                Ok(Some(notification)) => setup.send(&job, &notification).await,
                Ok(None) => Attempted::Missing,
                Err(error) => Attempted::Unread(error),
            }
        };
        let handle = self.attempts.spawn(run);
        self.flying.insert(handle.id(), Flight { item, setup: Arc::clone(&self.setup) });
    }

    /// Puts an item where it waits, with what it says as far as there is room.
    pub(super) fn wait_until(&mut self, due: UnixMs, mut item: Item) {
        let held = self.held.saturating_add(item.body_size());
        if BODIES_HELD < held {
            item.notification = None;
        } else {
            self.held = held;
        }
        let (key, ages_from) = (item.key, item.queued_at.max(item.not_old_before));
        self.schedule.push(item.lane, Waiting { key, ages_from, due, item });
    }
}
