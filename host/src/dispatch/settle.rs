//! From an attempt's end to where the delivery stands.

use std::sync::Arc;

use super::attempt::Attempted;
use super::flights::Landing;
use super::item::{Flight, Item, Last};
use super::judge::Landed;
use super::{
    AFTER_A_FAILURE_MS, Dispatch, End, GUEST_INVALID, GUEST_TRAP, LONGEST_WAIT_MS, Ticket, shortened,
};
use crate::alert::{self, Trouble};
use crate::clock::UnixMs;
use crate::contract::{Judgement, Outcome, Tried, Verdict};
use crate::event::Happened;
use crate::store::{Done, LastReply, Operation, Settlement, State, StoreError};

/// How often the guest may fail a delivery before it is given up.
const MOST_FAULTS: u32 = 3;

/// How long a delivery waits after the guest failed it.
pub(super) const AFTER_A_FAULT_MS: u64 = 1_000;

/// How long a delivery waits at least that the guest parked.
const AFTER_PARKING_MS: u64 = 1_000;

/// A delivery of which it is being written down where it stands.
pub(super) struct Settling {
    item: Item,
    /// Whether it holds a place in its lane.
    was_flying: bool,
    then: Then,
}

/// What happens to a delivery once it is written down where it stands.
enum Then {
    /// It has ended.
    End,
    /// It waits, and somebody may want to know.
    Wait { due: UnixMs },
    /// Its next request is due.
    GoOn,
}

impl Dispatch {
    /// An attempt has ended. What came of it is judged by [`Dispatch::judge_landed`].
    pub(super) fn returned(&mut self, landing: Landing<Attempted>) {
        let Some((flight, attempted)) = self.flights.take(landing) else { return };
        let attempted = attempted.unwrap_or(Attempted::Lost);
        let Flight { item, is_counted, began, life, setup, number } = flight;
        let is_settling = !matches!(attempted, Attempted::Unread(_) | Attempted::Missing);
        self.schedule.finish(item.lane, is_counted, is_settling);
        let now = self.timeline.now();
        if !matches!(attempted, Attempted::Exchanged { .. }) {
            self.unjudged(item.lane, began);
        }
        match attempted {
            Attempted::Exchanged { outcome, why, parts } => {
                let (attempt, entropy) = (item.attempt(began), self.entropy.number());
                let tried = Tried { attempt, outcome, entropy };
                self.landed.push((Landed { item, began, life, setup, number, why, parts }, tried));
            }
            Attempted::Refused(reason) => {
                let last = Last { detail: shortened(reason), ..Last::default() };
                self.finish(item, true, State::Dead, last);
            }
            Attempted::Trapped(fault) => self.fail(item, true, now, GUEST_TRAP, &fault.to_string()),
            Attempted::Broken(what) => self.fail(item, true, now, GUEST_INVALID, &what),
            Attempted::Lost => {
                self.fail(item, true, now, "attempt-lost", "it panicked; standard error has more");
            }
            Attempted::Unread(error) => {
                tracing::error!(id = %item.id, %error, "the notification cannot be read; trying again");
                self.wait_until(now.saturating_add(AFTER_A_FAILURE_MS), item);
            }
            Attempted::Missing => {
                let target = self.lanes.name(item.lane);
                tracing::warn!(id = %item.id, %target, "somebody took it out of the queue");
            }
        }
    }

    /// Does what a judgement says.
    pub(super) fn follow(
        &mut self,
        mut item: Item,
        judgement: Judgement,
        outcome: Outcome,
        parts: u32,
        now: UnixMs,
    ) {
        let (class, detail) = (Some(judgement.class), judgement.detail);
        let reply = || match &outcome {
            Outcome::Reply(reply) => Some(LastReply::of(reply.status, &reply.body)),
            Outcome::Failed(_) => None,
        };
        item.faults = 0;
        if judgement.plain && !item.is_plain {
            // As plain text it may be other requests, so that nothing of it counts as delivered.
            (item.is_plain, item.parts) = (true, 0);
        }
        match judgement.verdict {
            Verdict::Delivered => {
                item.parts = item.parts.saturating_add(1);
                item.attempts = item.attempts.saturating_add(1);
                // The next request has its own retries.
                (item.tried, item.sent) = (0, 0);
                if item.parts >= parts {
                    self.finish(item, true, State::Delivered, Last { detail, class, reply: None });
                } else {
                    let last = Last { detail, class, reply: reply() };
                    self.settle(item, true, Some(now), last, Then::GoOn);
                }
            }
            Verdict::Retry(at) => {
                item.attempts = item.attempts.saturating_add(1);
                item.tried = item.tried.saturating_add(1);
                item.sent = item.sent.saturating_add(1);
                let due = at.clamp(now.saturating_add(1), now.saturating_add(LONGEST_WAIT_MS));
                self.wait(item, true, due, Last { detail, class, reply: reply() });
            }
            Verdict::Park => {
                item.attempts = item.attempts.saturating_add(1);
                item.sent = item.sent.saturating_add(1);
                // Behind all others that wait; `admit` says when. Not at once, or a guest that never counts and
                // always admits would send without end.
                let due = now.saturating_add(AFTER_PARKING_MS);
                self.wait(item, true, due, Last { detail, class, reply: reply() });
            }
            Verdict::Dead(reason) => {
                item.attempts = item.attempts.saturating_add(1);
                let reason = shortened(reason);
                let detail =
                    if detail.is_empty() { reason } else { format!("{reason}; the last was: {detail}") };
                self.finish(item, true, State::Dead, Last { detail, class, reply: reply() });
            }
        }
    }

    /// The guest failed a delivery: it gets another chance, but not for ever.
    pub(super) fn fail(&mut self, mut item: Item, was_flying: bool, now: UnixMs, reason: &str, what: &str) {
        item.faults = item.faults.saturating_add(1);
        let what = shortened(what.to_owned());
        let target = self.lanes.name(item.lane);
        tracing::error!(id = %item.id, %target, reason, what, "the guest failed");
        if item.faults >= MOST_FAULTS {
            let detail = shortened(format!("{reason}: {what}"));
            self.finish(item, was_flying, State::Dead, Last { detail, ..Last::default() });
        } else {
            let last = Last { detail: what, ..Last::default() };
            self.wait(item, was_flying, now.saturating_add(AFTER_A_FAULT_MS), last);
        }
    }

    fn wait(&mut self, mut item: Item, was_flying: bool, due: UnixMs, last: Last) {
        item.state = State::Retrying;
        self.settle(item, was_flying, Some(due), last, Then::Wait { due });
    }

    pub(super) fn finish(&mut self, mut item: Item, was_flying: bool, state: State, last: Last) {
        item.state = state;
        self.settle(item, was_flying, None, last, Then::End);
    }

    /// Has it written down where a delivery stands; what follows, follows then.
    fn settle(&mut self, item: Item, was_flying: bool, due: Option<UnixMs>, last: Last, then: Then) {
        let (key, level, replaces) = (item.key, item.level, item.stored);
        let (target, progress) = (self.lanes.name(item.lane), item.progress(due, last, &self.timeline));
        let settlement = Settlement { key, target, had_ended: false, level, replaces, progress };
        let settling = Settling { item, was_flying, then };
        self.submit(Ticket::Settle(settling), Operation::Settle(settlement));
    }

    pub(super) fn settled(
        &mut self,
        settling: Settling,
        settlement: Settlement,
        result: Result<Done, StoreError>,
    ) {
        if result.is_err() {
            return self.hold_back(Ticket::Settle(settling), Operation::Settle(settlement));
        }
        // Unchanged: an attempt to write it down before was said to have failed, and had not; or somebody
        // changed the file. Either way the store has the last word on it.
        let Settling { mut item, was_flying, then } = settling;
        if was_flying {
            self.schedule.settled(item.lane);
        }
        item.stored = settlement.progress.size();
        match then {
            Then::End => {
                let target = self.lanes.name(item.lane);
                let (state, attempts, detail) = (item.state, item.attempts, &settlement.progress.detail);
                self.tell_end(&End { id: &item.id, target: &target, state, attempts, detail });
                self.prune_later();
                if item.state == State::Dead {
                    self.alert(Some(&item.id), &target, Trouble::Death, detail);
                }
            }
            Then::Wait { due } => {
                let (class, detail) = (settlement.progress.class, settlement.progress.detail);
                let next = self.timeline.by_wall(due.max(self.lanes.not_before(item.lane)));
                self.tell(&item, Happened::Retrying { class, detail, due: next });
                self.wait_until(due, item);
            }
            Then::GoOn => self.wait_until(self.timeline.now(), item),
        }
    }

    // === the store fails ===

    /// Something was written.
    pub(super) fn works(&mut self) {
        if self.why_broken.take().is_some() {
            tracing::info!("the queue can be written again");
        }
    }

    /// Something could not be written, or read at the start: nothing is taken in and nothing begins before
    /// that works again.
    pub(super) fn fails(&mut self, error: &StoreError) {
        if self.why_broken.is_none() {
            tracing::error!(%error, "nothing is taken in and nothing sent until the queue can be written");
        }
        self.why_broken = Some(match error {
            StoreError::Broken(why) => why.clone(),
            other => other.to_string(),
        });
        self.probe_at.get_or_insert_with(|| self.timeline.now().saturating_add(AFTER_A_FAILURE_MS));
    }

    /// Keeps what must be written until it can be.
    pub(super) fn hold_back(&mut self, ticket: Ticket, operation: Operation) {
        self.unwritten.push_back((ticket, operation));
    }

    /// Tries the store again.
    pub(super) fn probe(&mut self, now: UnixMs) {
        if self.probe_at.is_none_or(|at| now < at) {
            return;
        }
        self.probe_at = None;
        // The first to fail or to work says how it stands.
        self.submit(Ticket::Probe, Operation::Probe);
        self.submit(Ticket::Limit, Operation::Limit(self.limits));
        for (ticket, operation) in std::mem::take(&mut self.unwritten) {
            self.submit(ticket, operation);
        }
        self.read_on();
    }

    /// Whether the store can be used, as far as is known: what could not be written is.
    pub(super) fn is_storing(&self) -> bool {
        self.why_broken.is_none() && self.unwritten.is_empty()
    }

    /// Tells those who asked for it of trouble with a target.
    pub(super) fn alert(&mut self, id: Option<&str>, target: &Arc<str>, what: Trouble, detail: &str) {
        let (now, at, entropy) = (self.timeline.now(), self.timeline.wall(), Arc::clone(&self.entropy));
        let report = alert::Report { target, id, what, detail };
        let notice = self.alerts.about(&report, &self.setup.alerts_to, now, || entropy.id(at));
        if let Some(mut notice) = notice {
            notice.at = at;
            self.take_own(notice, Arc::clone(target));
        }
    }
}
