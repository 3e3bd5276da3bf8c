//! What begins, and what waits.

use std::sync::Arc;

use super::attempt::{Attempted, Job};
use super::item::{Flight, Item};
use super::settle::AFTER_A_FAULT_MS;
use super::{Dispatch, GUEST_TRAP, LONGEST_WAIT_MS};
use crate::clock::UnixMs;
use crate::contract::{Admission, Attempt, Hold};
use crate::event::Happened;
use crate::schedule::{Kind, Taken, Waiting};

/// How much of what waits is held in memory beside the store, in bytes: enough that a body is not read
/// back while deliveries flow.
const BODIES_HELD: usize = 16 << 20;

impl Dispatch {
    pub(super) fn start_due(&mut self, now: UnixMs) {
        while self.is_storing()
            && let Some((lane, _)) = self.schedule.next(now)
        {
            let mut taken = self.take_due(lane, now);
            if taken.is_empty() {
                return;
            }
            let attempts: Vec<Attempt> = taken.iter().map(|taken| taken.waited.item.attempt(now)).collect();
            let (number, endpoint) = (self.lanes.number(lane), self.lanes.endpoint(lane));
            match self.setup.dispatcher.admit(number, &attempts, endpoint, now) {
                Ok(Admission { count, hold, endpoint }) => {
                    let count = usize::try_from(count).unwrap_or(usize::MAX).min(taken.len());
                    let kept = taken.split_off(count);
                    self.lanes.asked(lane, attempts.len(), kept.is_empty());
                    if !taken.is_empty() {
                        self.remember(lane, endpoint);
                    }
                    for taken in taken {
                        self.start(lane, taken, now);
                    }
                    if let Some(next) = kept.first() {
                        self.hold(lane, hold, next.waited.kind, now);
                    }
                    self.put_back(lane, kept);
                }
                // Which of them it was shows when each goes alone.
                Err(_) if taken.len() > 1 => {
                    self.lanes.broke_off_at(lane, taken.len());
                    self.put_back(lane, taken);
                }
                Err(fault) => {
                    for Taken { waited: Waiting { item, .. }, is_counted } in taken {
                        self.held = self.held.saturating_sub(item.body_size());
                        self.schedule.finish(lane, is_counted, true);
                        // Whoever waits behind it would make the loop wait for the guest once more, each of them.
                        self.schedule.hold(lane, now.saturating_add(AFTER_A_FAULT_MS));
                        self.fail(item, true, now, GUEST_TRAP, &fault.to_string());
                    }
                }
            }
        }
    }

    /// Takes out of a lane what would leave it now, as many as the guest is asked about at once.
    fn take_due(&mut self, lane: usize, now: UnixMs) -> Vec<Taken<Item>> {
        let most = self.lanes.at_once(lane);
        let mut taken = Vec::with_capacity(most);
        while taken.len() < most && self.schedule.next(now).is_some_and(|(next, _)| next == lane) {
            let Some(next) = self.schedule.take(lane, now) else { break };
            taken.push(next);
        }
        taken
    }

    fn put_back(&mut self, lane: usize, taken: Vec<Taken<Item>>) {
        taken.into_iter().for_each(|taken| self.schedule.put_back(lane, taken));
    }

    /// Lets nothing of a lane go for as long as the guest says, of which a kind would be next.
    fn hold(&mut self, lane: usize, hold: Option<Hold>, next: Kind, now: UnixMs) {
        // A guest that says "wait" and means "now", or gives no reason, would turn the loop in circles.
        let later = |until: UnixMs| until.clamp(now.saturating_add(1), now.saturating_add(LONGEST_WAIT_MS));
        match hold {
            Some(Hold::Retries(until)) if next == Kind::Retry => {
                self.schedule.hold_retries(lane, later(until));
            }
            Some(Hold::Retries(until) | Hold::All(until)) => self.schedule.hold(lane, later(until)),
            None => self.schedule.hold(lane, later(now)),
        }
    }

    fn start(&mut self, lane: usize, taken: Taken<Item>, now: UnixMs) {
        let Taken { waited: Waiting { mut item, .. }, is_counted } = taken;
        self.held = self.held.saturating_sub(item.body_size());
        item.first_tried.get_or_insert(now);
        self.tell(&item, Happened::Started { attempt: item.attempts.saturating_add(1) });
        let (target, number, life) = (self.lanes.name(lane), self.lanes.number(lane), self.lanes.life(lane));
        let (is_plain, parts, now_there) = (item.is_plain, item.parts, self.timeline.wall());
        let job = Job { target, number, is_plain, parts, now: now_there };
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
        let setup = Arc::clone(&self.setup);
        self.flights.begin(Flight { item, is_counted, began: now, life, setup, number }, run);
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
