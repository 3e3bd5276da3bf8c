//! What the loop reads from the store: what was there when it began, and what has become too old; and what
//! it has the store forget.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::item::{self, Item, Last};
use super::{AFTER_A_FAILURE_MS, Dispatch, Ticket, shortened};
use crate::clock::UnixMs;
use crate::store::{DeliveryKey, Done, Entry, LARGEST_PAGE, Operation, Page, Query, State, StoreError};

/// How long ended deliveries gather before the store is asked when they are to be forgotten.
const BEFORE_PRUNING_MS: u64 = 60_000;

/// How long what is found in the store has at least, however old it is: enough for an attempt. The clock may have
/// been wrong when it was queued, and no machine is on all the time.
const GRACE_MS: u64 = 60_000;

/// Why a delivery ends that has waited too long.
const EXPIRED: &str = "expired";

/// How far the loop has come with what was in the store when it began.
///
/// Deliveries come in the order of their keys, so that a target's come in the order of acceptance; what is
/// accepted meanwhile is found at the end like everything before it.
#[derive(Default)]
pub(super) struct Recovery {
    after: Option<DeliveryKey>,
    /// The last record that was accepted since.
    accepted: u64,
    is_over: bool,
    /// How many were found for targets that the configuration does not have.
    orphans: BTreeMap<Arc<str>, u64>,
}

/// What was read.
pub(super) enum Reading {
    /// The next of what was there, up to the last record that had been accepted by then.
    Found(u64, Result<Page, StoreError>),
    /// What the store says of items that are too old.
    Expired(Vec<Item>, Result<Vec<Entry>, StoreError>),
}

impl Recovery {
    /// Whether a delivery that was accepted has been found, or will be: the store may have shown it before it
    /// said that it was there.
    pub(super) fn finds(&mut self, key: DeliveryKey) -> bool {
        self.accepted = self.accepted.max(key.record);
        !self.is_over || self.after.is_some_and(|last| key <= last)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Dispatch {
    /// Reads the next of what was in the store.
    pub(super) fn read_on(&mut self) {
        if self.recovery.is_over || !self.readings.is_empty() {
            return;
        }
        let query = Query { after: self.recovery.after, limit: LARGEST_PAGE, ..Query::open() };
        let (reads, accepted) = (self.reads.clone(), self.recovery.accepted);
        let find = async move { reads.run(move |reader| reader.list(&query)).await };
        self.readings.spawn(async move { Reading::Found(accepted, find.await) });
    }

    pub(super) fn read(&mut self, reading: Reading) {
        match reading {
            Reading::Found(accepted, Ok(page)) => self.found(accepted, &page),
            Reading::Found(_, Err(error)) => self.fails(&error),
            Reading::Expired(items, entries) => self.expired(items, entries),
        }
    }

    fn found(&mut self, accepted: u64, page: &Page) {
        for (key, why) in &page.unreadable {
            tracing::error!(delivery = %key, why, "what stands in the queue is no delivery; it is left there");
        }
        for entry in &page.entries {
            let progress = &entry.delivery.progress;
            let due = match progress.state {
                // In the order in which they were accepted, whatever the clock was then.
                State::Queued => self.began_at,
                _ => item::due(progress, &self.timeline),
            };
            let lane = self.take_up(entry, due);
            if !self.lanes.is_open(lane) {
                *self.recovery.orphans.entry(entry.delivery.target.clone()).or_default() += 1;
            }
        }
        let last = page.entries.last().map(|entry| entry.key);
        let last = last.max(page.unreadable.last().map(|(key, _)| *key));
        self.recovery.after = last.or(self.recovery.after);
        // What was accepted while the page was read may not be on it.
        self.recovery.is_over = page.next.is_none() && self.recovery.accepted <= accepted;
        if !self.recovery.is_over {
            return self.read_on();
        }
        for (target, deliveries) in std::mem::take(&mut self.recovery.orphans) {
            tracing::warn!(%target, deliveries, "waiting for a target that the configuration does not have");
        }
        self.prune_at = Some(self.timeline.now());
        std::mem::take(&mut self.after_recovery).into_iter().for_each(|question| self.answer(question));
    }

    /// Schedules a delivery that was found in the store; returns its lane.
    pub(super) fn take_up(&mut self, entry: &Entry, due: UnixMs) -> usize {
        let lane = self.lanes.of(&entry.delivery.target, &mut self.schedule);
        let not_old_before =
            self.timeline.now().saturating_add(GRACE_MS).saturating_sub(self.lanes.max_age(lane));
        let item = Item { not_old_before, ..Item::found(entry, lane, &self.timeline) };
        self.wait_until(due, item);
        lane
    }

    /// Ends what has waited too long; what the receiver said last is in the store.
    pub(super) fn end_old(&mut self, now: UnixMs) {
        if !self.is_storing() {
            return;
        }
        let mut old = Vec::new();
        while old.len() < LARGEST_PAGE
            && let Some((_, item)) = self.schedule.take_old(now)
        {
            self.held = self.held.saturating_sub(item.body_size());
            old.push(item);
        }
        if old.is_empty() {
            return;
        }
        self.ending_old += old.len();
        let (reads, keys) = (self.reads.clone(), old.iter().map(|item| item.key).collect::<Vec<_>>());
        let find = async move { reads.run(move |reader| reader.entries(&keys)).await };
        self.readings.spawn(async move { Reading::Expired(old, find.await) });
    }

    fn expired(&mut self, items: Vec<Item>, entries: Result<Vec<Entry>, StoreError>) {
        self.ending_old -= items.len();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                // They are no younger when the store can be read again.
                self.fails(&error);
                let now = self.timeline.now();
                return items.into_iter().for_each(|item| self.wait_until(now, item));
            }
        };
        let mut found: HashMap<DeliveryKey, Entry> = entries.into_iter().map(|e| (e.key, e)).collect();
        for item in items {
            let Some(entry) = found.remove(&item.key) else {
                tracing::warn!(id = %item.id, "somebody took it out of the queue");
                continue;
            };
            let progress = entry.delivery.progress;
            let age = self.timeline.now().saturating_sub(item.queued_at) / 1_000;
            let age = humantime::format_duration(Duration::from_secs(age));
            let detail = match progress.detail.as_str() {
                "" => format!("{EXPIRED}: not delivered within {age}"),
                last => format!("{EXPIRED}: not delivered within {age}; the last was: {last}"),
            };
            let last = Last { detail: shortened(detail), class: progress.class, reply: progress.reply };
            self.finish(item, false, State::Dead, last);
        }
    }

    // === forgetting ===

    /// Has the store asked, after a while, what it can forget.
    pub(super) fn prune_later(&mut self) {
        let wait = self.limits.keep.min(self.limits.keep_dead).min(BEFORE_PRUNING_MS);
        self.prune_at.get_or_insert_with(|| self.timeline.now().saturating_add(wait));
    }

    pub(super) fn prune(&mut self, now: UnixMs) {
        if self.prune_at.is_some_and(|at| at <= now) && !self.is_pruning {
            (self.prune_at, self.is_pruning) = (None, true);
            // By the timeline: who sets the clock forward has nothing forgotten before its time.
            self.submit(Ticket::Prune, Operation::Prune(now));
        }
    }

    pub(super) fn pruned(&mut self, result: &Result<Done, StoreError>) {
        self.is_pruning = false;
        let now = self.timeline.now();
        let soonest = now.saturating_add(AFTER_A_FAILURE_MS);
        let next = match result {
            // There is more: at once, in another small step.
            Ok(Done::Pruned { next: Some(next) }) if *next <= now => Some(now),
            Ok(Done::Pruned { next }) => next.map(|next| next.max(soonest)),
            Ok(_) => None,
            Err(_) => Some(soonest),
        };
        self.prune_at = self.prune_at.into_iter().chain(next).min();
    }
}
