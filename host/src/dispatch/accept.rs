//! From hand-in to the queue.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::item::Item;
use super::{Dispatch, End, GUEST_INVALID, Handed, Ticket, shorten};
use crate::contract::{Choice, Decision, Notification};
use crate::crash;
use crate::event::Happened;
use crate::nuncio::{NotifyError, Receipt};
use crate::store::{Delivery, DeliveryKey, Done, Operation, Progress, Record, StoreError};

/// How many targets that the guest invents are written down with a notification.
const MOST_INVENTED: usize = 8;

/// A notification on its way into the store.
pub(super) struct Accepting {
    decisions: Vec<Decision>,
    from: From,
}

/// Whose notification it is.
enum From {
    /// Somebody's, who is to be told.
    Caller(oneshot::Sender<Result<Receipt, NotifyError>>),
    /// Our own: a notice about this target.
    Ourselves(Arc<str>),
}

impl Dispatch {
    /// Whether more may be on its way into the store.
    pub(super) fn has_room(&self) -> bool {
        self.accepting.0 < super::MOST_ACCEPTING && self.accepting.1 < super::LARGEST_ACCEPTING
    }

    pub(super) fn take_in(&mut self, handed: Handed) {
        let Handed { notification, idempotency_key, reply } = handed;
        if let Some(why) = self.why_broken.clone() {
            // Whoever handed it in may have stopped listening; likewise below.
            let _ = reply.send(Err(StoreError::Broken(why).into()));
            return;
        }
        match self.setup.dispatcher.route(&notification) {
            Ok(decisions) => self.keep(notification, idempotency_key, decisions, From::Caller(reply)),
            Err(fault) => drop(reply.send(Err(fault.into()))),
        }
    }

    /// As [`Dispatch::take_in`], for a notice of our own about a target.
    pub(super) fn take_own(&mut self, notice: Notification, about: Arc<str>) {
        match self.setup.dispatcher.route(&notice) {
            Ok(decisions) => self.keep(notice, None, decisions, From::Ourselves(about)),
            Err(fault) => self.forgo(&about, &fault),
        }
    }

    /// A notice could not be given; the next death gives rise to another.
    fn forgo(&mut self, about: &str, why: &dyn std::error::Error) {
        tracing::error!(target = %about, %why, "a notice was not taken");
        self.alerts.forget(about);
    }

    fn keep(
        &mut self,
        notification: Notification,
        idempotency_key: Option<String>,
        mut decisions: Vec<Decision>,
        from: From,
    ) {
        self.sift(&mut decisions, &notification.to);
        let at = self.timeline.wall();
        let delivery = |decision: &Decision| {
            let target = decision.target.as_str();
            match decision.choice {
                Choice::Skip => None,
                Choice::Unknown => Some(Delivery::dead(target, at, decision.because.clone())),
                Choice::Send if self.lanes.open(target).is_some() => Some(Delivery::queued(target, at)),
                // Only a guest that invents targets gets here.
                Choice::Send => Some(Delivery::dead(target, at, format!("{GUEST_INVALID}: no such target"))),
            }
        };
        let deliveries: Vec<Delivery> =
            decisions.iter().filter_map(delivery).take(usize::from(u16::MAX)).collect();
        let record = Record { notification: Arc::new(notification), idempotency_key, deliveries };
        self.accepting.0 += 1;
        self.accepting.1 += record.notification.size();
        self.submit(Ticket::Accept(Accepting { decisions, from }), Operation::Accept(record));
    }

    /// Leaves of what the guest decided one decision for each target and each name that was asked for, and
    /// of targets that it invents enough to show that it does.
    fn sift(&self, decisions: &mut Vec<Decision>, to: &[String]) {
        let asked: HashSet<&str> = to.iter().map(String::as_str).collect();
        // A guest that names a target twice would have it delivered twice.
        let (mut seen, mut invented) = (HashSet::new(), 0);
        let wanted = decisions.iter().map(|Decision { target, .. }| {
            let is_known = self.lanes.open(target).is_some() || asked.contains(target.as_str());
            let is_new = seen.insert(target.as_str());
            invented += usize::from(is_new && !is_known);
            is_new && (is_known || invented <= MOST_INVENTED)
        });
        let mut wanted = wanted.collect::<Vec<bool>>().into_iter();
        decisions.retain(|_| wanted.next().unwrap_or_default());
        for Decision { target, because, .. } in decisions {
            if !asked.contains(target.as_str()) {
                shorten(target);
            }
            shorten(because);
        }
    }

    pub(super) fn accepted(
        &mut self,
        accepting: Accepting,
        record: Record,
        result: Result<Done, StoreError>,
    ) {
        let Accepting { decisions, from } = accepting;
        let id = record.notification.id.clone();
        self.accepting.0 -= 1;
        self.accepting.1 -= record.notification.size();
        let answer = match result {
            Ok(Done::Accepted(number)) => {
                crash::at("after-enqueue");
                self.enter(number, record);
                Ok(Receipt { id, decisions, is_repeat: false })
            }
            // Where it goes was decided when it came first.
            Ok(Done::Known { id, is_same: true }) => {
                Ok(Receipt { id, decisions: Vec::new(), is_repeat: true })
            }
            Ok(Done::Known { id, is_same: false }) => Err(StoreError::Reused(id)),
            Ok(_) => Err(StoreError::Full),
            Err(error) => Err(error),
        };
        match (from, answer) {
            (From::Caller(reply), answer) => drop(reply.send(answer.map_err(NotifyError::from))),
            (From::Ourselves(_), Ok(_)) => {}
            (From::Ourselves(about), Err(error)) => self.forgo(&about, &error),
        }
    }

    /// A record that is in the store from now on.
    fn enter(&mut self, number: u64, record: Record) {
        let Record { notification, deliveries, .. } = record;
        self.stats.accepted += 1;
        if deliveries.is_empty() {
            self.stats.unmatched += 1;
            tracing::warn!(id = %notification.id, "no target matched");
            self.prune_later();
        }
        let (id, now): (Arc<str>, _) = (notification.id.as_str().into(), self.timeline.now());
        for (Delivery { target, progress }, n) in deliveries.into_iter().zip(0..) {
            if progress.state.has_ended() {
                let Progress { state, attempts, detail, .. } = &progress;
                self.tell_end(&End { id: &id, target: &target, state: *state, attempts: *attempts, detail });
                self.prune_later();
                continue;
            }
            let item = Item {
                key: DeliveryKey { record: number, n },
                id: Arc::clone(&id),
                level: notification.level,
                lane: self.lanes.of(&target, &mut self.schedule),
                notification: Some(Arc::clone(&notification)),
                state: progress.state,
                queued_at: now,
                not_old_before: 0,
                first_tried: None,
                attempts: 0,
                tried: 0,
                sent: 0,
                parts: 0,
                faults: 0,
                is_plain: false,
                stored: 0,
            };
            self.tell(&item, Happened::Queued);
            // What is in the store already comes first, and this with it in its turn.
            if !self.recovery.finds(item.key) {
                self.wait_until(now, item);
            }
        }
    }
}
