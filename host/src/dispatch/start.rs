//! What begins, and what waits.

use std::sync::Arc;

use super::attempt::{Attempted, Job};
use super::item::{Flight, Item};
use super::settle::AFTER_A_FAULT_MS;
use super::{Dispatch, GUEST_TRAP, LONGEST_WAIT_MS};
use crate::clock::UnixMs;
use crate::contract::Admission;
use crate::event::Happened;
use crate::schedule::{Taken, Waiting};

/// How much of what waits is held in memory beside the store, in bytes: enough that a body is not read
/// back while deliveries flow.
const BODIES_HELD: usize = 16 << 20;

impl Dispatch {
    pub(super) fn start_due(&mut self, now: UnixMs) {
        while self.is_storing()
            && let Some((lane, next)) = self.schedule.next(now)
        {
            let (target, attempt) = (self.lanes.name(lane), next.attempt(now));
            let admission = self.setup.dispatcher.admit(&target, attempt, self.lanes.endpoint(lane), now);
            // A guest that says "wait" and means "now" would turn the loop in circles.
            let later =
                |until: UnixMs| until.clamp(now.saturating_add(1), now.saturating_add(LONGEST_WAIT_MS));
            match admission {
                Ok(Admission::Wait(until)) => self.schedule.hold(lane, later(until)),
                Ok(Admission::Later(until)) if attempt.sent > 0 => {
                    self.schedule.hold_retries(lane, later(until));
                }
                Ok(admission) => {
                    if let Admission::Send(endpoint) = admission {
                        self.remember(lane, endpoint);
                    }
                    let Some(Taken { item, is_counted }) = self.schedule.take(lane, now) else { return };
                    self.held = self.held.saturating_sub(item.body_size());
                    self.start(item, is_counted, target, now);
                }
                Err(fault) => {
                    let Some(Taken { item, is_counted }) = self.schedule.take(lane, now) else { return };
                    self.held = self.held.saturating_sub(item.body_size());
                    self.schedule.finish(lane, is_counted, true);
                    // Whoever waits behind it would make the loop wait for the guest once more, each of them.
                    self.schedule.hold(lane, now.saturating_add(AFTER_A_FAULT_MS));
                    self.fail(item, true, now, GUEST_TRAP, &fault.to_string());
                }
            }
        }
    }

    fn start(&mut self, mut item: Item, is_counted: bool, target: Arc<str>, now: UnixMs) {
        item.first_tried.get_or_insert(now);
        self.tell(&item, Happened::Started { attempt: item.attempts.saturating_add(1) });
        let job = Job { target, attempt: item.attempt(now), parts: item.parts, now: self.timeline.wall() };
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
        let (setup, life) = (Arc::clone(&self.setup), self.lanes.life(item.lane));
        self.flying.insert(handle.id(), Flight { item, is_counted, began: now, life, setup });
    }

    /// Puts an item where it waits, with what it says as far as there is room.
    pub(super) fn wait_until(&mut self, due: UnixMs, mut item: Item) {
        let held = self.held.saturating_add(item.body_size());
        if BODIES_HELD < held {
            item.notification = None;
        } else {
            self.held = held;
        }
        let (key, kind) = (item.key, item.kind());
        let ages_from = item.queued_at.max(item.not_old_before);
        self.schedule.push(item.lane, Waiting { key, ages_from, due, kind, item });
    }
}
