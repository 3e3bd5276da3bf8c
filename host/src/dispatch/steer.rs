//! What an operator can do with deliveries: have them tried now, drop them, replay dead letters.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::item::{Item, Last};
use super::{Dispatch, End, Question, Ticket};
use crate::clock::UnixMs;
use crate::store::{Done, Entry, Operation, Progress, Settlement, State, StoreError};

/// What is to happen to deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Steer {
    /// What waits is due now. Its endpoint's guards hold all the same.
    Retry,
    /// What waits, and what is dead, is taken out: it ends as dropped.
    Drop,
    /// What is dead is queued again, as if it had just been handed in; requests of it that were delivered are
    /// not sent again.
    Replay,
}

/// What became of deliveries that were to be steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Steered {
    /// So many stand where they were to stand.
    pub changed: u64,
    /// So many were left alone: they are under way, or are not (any more) what this can be done with.
    pub unchanged: u64,
    /// So many dead letters found no room in the queue.
    pub full: u64,
    /// So many could not be written down.
    pub failed: u64,
}

/// Deliveries that are steered together.
pub(super) struct Batch {
    left: usize,
    steered: Steered,
    reply: oneshot::Sender<Steered>,
}

/// A delivery that is being steered.
pub(super) struct Steering {
    entry: Entry,
    /// What was taken out of the schedule for it.
    item: Option<Item>,
    batch: u64,
    /// Whether it could not be written the first time, so that nobody knows whether it was.
    is_again: bool,
}

impl Steer {
    /// Where a delivery stands afterwards; `None` where this cannot be done with it. `now` is by the wall
    /// clock.
    #[must_use]
    pub fn settlement(self, entry: &Entry, now: UnixMs) -> Option<Settlement> {
        let before = &entry.delivery.progress;
        let had_ended = before.state.has_ended();
        let progress = match self {
            Self::Retry if !had_ended => Progress { due_at: Some(now), ..before.clone() },
            Self::Drop if !had_ended || before.state == State::Dead => {
                let detail = match before.detail.as_str() {
                    "" => "dropped".to_owned(),
                    last => format!("dropped; the last was: {last}"),
                };
                let (state, ended_at) = (State::Dropped, Some(now));
                Progress { state, detail, ended_at, due_at: None, ..before.clone() }
            }
            Self::Replay if before.state == State::Dead => {
                let again = Progress::queued(now);
                let Progress { attempts, detail, class, reply, parts, plain, tried_at, .. } = before.clone();
                Progress { attempts, detail, class, reply, parts, plain, tried_at, ..again }
            }
            _ => return None,
        };
        let (key, level, replaces) = (entry.key, entry.level, before.size());
        let target = Arc::clone(&entry.delivery.target);
        Some(Settlement { key, target, had_ended, level, replaces, progress })
    }
}

impl Steered {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.full += other.full;
        self.failed += other.failed;
    }

    /// Counts what became of one delivery.
    pub fn count(&mut self, result: &Result<Done, StoreError>) {
        match result {
            Ok(Done::Settled) => self.changed += 1,
            Ok(Done::Full) => self.full += 1,
            Ok(_) => self.unchanged += 1,
            Err(_) => self.failed += 1,
        }
    }
}

impl Dispatch {
    pub(super) fn steer(&mut self, steer: Steer, entries: Vec<Entry>, reply: oneshot::Sender<Steered>) {
        if self.why_broken.is_some() {
            let failed = Steered { failed: entries.len() as u64, ..Steered::default() };
            let _ = reply.send(failed);
            return;
        }
        if !self.recovery.is_over() {
            // What is not scheduled yet cannot be taken out of the schedule.
            self.after_recovery.push(Question::Steer(steer, entries, reply));
            return;
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        self.batches.insert(batch, Batch { left: entries.len(), steered: Steered::default(), reply });
        for entry in entries {
            self.steer_one(steer, entry, batch);
        }
        self.close_batch(batch);
    }

    fn steer_one(&mut self, steer: Steer, mut entry: Entry, batch: u64) {
        let lane = self.lanes.of(&entry.delivery.target, &mut self.schedule);
        let mut item = None;
        if !entry.delivery.progress.state.has_ended() {
            // Under way, or its end is being written.
            let Some(waiting) = self.schedule.remove(lane, entry.key) else {
                return self.count(batch, &Ok(Done::Unchanged));
            };
            self.held = self.held.saturating_sub(waiting.body_size());
            if waiting.attempts != entry.delivery.progress.attempts {
                // It was read before the last attempt; whoever asks again sees what came of that.
                self.wait_until(self.timeline.now(), waiting);
                return self.count(batch, &Ok(Done::Unchanged));
            }
            let Progress { detail, class, reply, due_at, tried_at, .. } = entry.delivery.progress;
            let progress = waiting.progress(due_at, Last { detail, class, reply }, &self.timeline);
            entry.delivery.progress = Progress { due_at, tried_at, ..progress };
            item = Some(waiting);
        }
        match steer.settlement(&entry, self.timeline.wall()) {
            Some(settlement) => {
                let ticket = Ticket::Steer(Box::new(Steering { entry, item, batch, is_again: false }));
                self.submit(ticket, Operation::Settle(settlement));
            }
            None => {
                if let Some(item) = item {
                    let due = super::item::due(&entry.delivery.progress, &self.timeline);
                    self.wait_until(due, item);
                }
                self.count(batch, &Ok(Done::Unchanged));
            }
        }
    }

    /// A delivery was steered, or could not be.
    pub(super) fn steered(
        &mut self,
        steering: Steering,
        settlement: Settlement,
        result: Result<Done, StoreError>,
    ) {
        if result.is_err() {
            let again = Steering { is_again: true, ..steering };
            return self.hold_back(Ticket::Steer(Box::new(again)), Operation::Settle(settlement));
        }
        let Steering { mut entry, item, batch, is_again } = steering;
        let result = match result {
            // It had been written after all.
            Ok(Done::Unchanged) if is_again => Ok(Done::Settled),
            other => other,
        };
        if result == Ok(Done::Settled) {
            entry.delivery.progress = settlement.progress;
            let progress = &entry.delivery.progress;
            if progress.state.has_ended() {
                let (id, target, attempts) = (&entry.id, &entry.delivery.target, progress.attempts);
                let end = End { id, target, state: progress.state, attempts, detail: &progress.detail };
                self.tell_end(&end);
                self.prune_later();
            } else {
                self.take_up(&entry, self.timeline.now());
            }
        } else if let Some(item) = item {
            // It goes on as it stood.
            let due = super::item::due(&entry.delivery.progress, &self.timeline);
            self.wait_until(due, item);
        }
        self.count(batch, &result);
        self.close_batch(batch);
    }

    fn count(&mut self, batch: u64, result: &Result<Done, StoreError>) {
        if let Some(batch) = self.batches.get_mut(&batch) {
            batch.steered.count(result);
            batch.left -= 1;
        }
    }

    fn close_batch(&mut self, batch: u64) {
        if self.batches.get(&batch).is_some_and(|batch| batch.left == 0)
            && let Some(Batch { steered, reply, .. }) = self.batches.remove(&batch)
        {
            // Whoever asked may have stopped listening.
            let _ = reply.send(steered);
        }
    }
}
