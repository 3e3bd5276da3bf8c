//! From hand-in to the queue.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::item::Item;
use super::{Dispatch, End, GUEST_INVALID, LARGEST_AT_ONCE, Ticket, shortened};
use crate::contract::{Notification, Routed, UnknownName};
use crate::crash;
use crate::event::Happened;
use crate::nuncio::{NotifyError, Receipt, UnknownTarget};
use crate::store::{Delivery, DeliveryKey, Done, Operation, Progress, Record, StoreError};

/// How many hand-ins may be on their way to the store, and how much they may hold, in bytes.
const MOST_ACCEPTING: usize = 1_024;
const LARGEST_ACCEPTING: usize = 16 << 20;

/// A notification that was handed in, and whom to tell what became of it.
pub(crate) struct Handed {
    pub(crate) notification: Notification,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) reply: oneshot::Sender<Result<Receipt, NotifyError>>,
}

/// A notification on its way into the store.
pub(super) struct Accepting {
    going: Going,
    from: From,
}

/// A notification that was handed in, without what it says.
pub(super) struct Arrival {
    idempotency_key: Option<String>,
    from: From,
}

/// Where a notification goes.
struct Going {
    /// The names of the targets that get it.
    targets: Vec<Arc<str>>,
    unknown: Vec<UnknownTarget>,
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
        self.accepting.0 < MOST_ACCEPTING && self.accepting.1 < LARGEST_ACCEPTING
    }

    pub(super) fn take_in(&mut self, handed: Handed) {
        let Handed { notification, idempotency_key, reply } = handed;
        if let Some(why) = self.why_broken.clone() {
            // Whoever handed it in may have stopped listening; likewise below.
            let _ = reply.send(Err(StoreError::Broken(why).into()));
            return;
        }
        self.arrive(notification, Arrival { idempotency_key, from: From::Caller(reply) });
    }

    /// As [`Dispatch::take_in`], for a notice of our own about a target.
    pub(super) fn take_own(&mut self, notice: Notification, about: Arc<str>) {
        self.arrive(notice, Arrival { idempotency_key: None, from: From::Ourselves(about) });
    }

    fn arrive(&mut self, notification: Notification, arrival: Arrival) {
        self.accepting.0 += 1;
        self.accepting.1 += notification.size();
        self.arrived.0.push(notification);
        self.arrived.1.push(arrival);
    }

    /// Has the guest say of all that was handed in where it goes, of as much at once as it may be asked about.
    pub(super) fn route_arrived(&mut self) {
        let (mut notifications, mut arrivals) = std::mem::take(&mut self.arrived);
        while !notifications.is_empty() {
            let sizes = notifications.iter().scan(0_usize, |size, next| {
                *size = size.saturating_add(next.size());
                Some(*size)
            });
            let count = sizes.take(self.routed_at_once).take_while(|size| *size <= LARGEST_AT_ONCE).count();
            let count = count.clamp(1, notifications.len());
            let (rest, later) = (notifications.split_off(count), arrivals.split_off(count));
            self.route(notifications, arrivals);
            (notifications, arrivals) = (rest, later);
        }
    }

    fn route(&mut self, notifications: Vec<Notification>, arrivals: Vec<Arrival>) {
        let routed = self.setup.dispatcher.route(&notifications);
        let (asked, all) = (notifications.len(), notifications.into_iter().zip(arrivals));
        match routed {
            Ok(routed) => {
                for ((notification, arrival), routed) in all.zip(routed) {
                    self.keep(notification, arrival, routed);
                }
            }
            // Which of them it was shows when each goes alone.
            Err(fault) if asked > 1 => {
                self.routed_at_once = (self.routed_at_once / 2).max(1);
                let next = self.routed_at_once;
                tracing::warn!(%fault, asked, next, "the guest broke off at several notifications; each goes alone");
                all.for_each(|(notification, arrival)| self.route(vec![notification], vec![arrival]));
            }
            Err(fault) => {
                for (notification, Arrival { from, .. }) in all {
                    self.accepting.0 -= 1;
                    self.accepting.1 -= notification.size();
                    match from {
                        From::Caller(reply) => drop(reply.send(Err(fault.clone().into()))),
                        From::Ourselves(about) => self.forgo(&about, &fault),
                    }
                }
            }
        }
    }

    /// A notice could not be given; the next death gives rise to another.
    fn forgo(&mut self, about: &str, why: &dyn std::error::Error) {
        tracing::error!(target = %about, %why, "a notice was not taken");
        self.alerts.forget(about);
    }

    fn keep(&mut self, notification: Notification, arrival: Arrival, routed: Routed) {
        let Arrival { idempotency_key, from } = arrival;
        let going = self.going(routed, &notification);
        let at = self.timeline.wall();
        let queued = going.targets.iter().map(|target| Delivery::queued(Arc::clone(target), at));
        let dead = going
            .unknown
            .iter()
            .map(|unknown| Delivery::dead(unknown.name.as_str(), at, unknown.because.clone()));
        let deliveries: Vec<Delivery> = queued.chain(dead).take(usize::from(u16::MAX)).collect();
        let record = Record { notification: Arc::new(notification), idempotency_key, deliveries };
        self.submit(Ticket::Accept(Accepting { going, from }), Operation::Accept(record));
    }

    /// What the guest decided, by names: each target once, whatever it said. What it makes up is told in the log alone.
    fn going(&self, routed: Routed, notification: &Notification) -> Going {
        let Routed { targets: mut numbers, unknown } = routed;
        let asked = &notification.to;
        let invented = |number: &u32| self.lanes.numbered(*number).is_none();
        if let Some(number) = numbers.iter().copied().find(invented) {
            tracing::error!(id = %notification.id, number, "{GUEST_INVALID}: it chose a target that there is not");
        }
        if !numbers.is_sorted_by(|one, next| one < next) {
            numbers.sort_unstable();
            numbers.dedup();
        }
        let lanes = numbers.into_iter().filter_map(|number| self.lanes.numbered(number));
        let targets: Vec<Arc<str>> = lanes.map(|lane| self.lanes.name(lane)).collect();
        if unknown.is_empty() {
            return Going { targets, unknown: Vec::new() };
        }
        let names = unknown.iter().map(|UnknownName { at, .. }| asked.get(usize::try_from(*at).ok()?));
        let names: Vec<Option<&String>> = names.collect();
        if names.iter().any(Option::is_none) {
            tracing::error!(id = %notification.id, "{GUEST_INVALID}: it says that a name is unknown which nobody asked for");
        }
        let mut seen: HashSet<&str> = targets.iter().map(|target| &**target).collect();
        let named = unknown.into_iter().zip(names).filter_map(|(unknown, name)| Some((unknown, name?)));
        let new = named.filter(|(_, name)| seen.insert(name.as_str()));
        let unknown = new
            .map(|(unknown, name)| UnknownTarget { name: name.clone(), because: shortened(unknown.because) });
        let unknown = unknown.collect();
        Going { targets, unknown }
    }

    pub(super) fn accepted(
        &mut self,
        accepting: Accepting,
        record: Record,
        result: Result<Done, StoreError>,
    ) {
        let Accepting { going: Going { targets, unknown }, from } = accepting;
        let id = record.notification.id.clone();
        self.accepting.0 -= 1;
        self.accepting.1 -= record.notification.size();
        let answer = match result {
            Ok(Done::Accepted(number)) => {
                crash::at("after-enqueue");
                self.enter(number, record);
                Ok(Receipt { id, targets, unknown, is_repeat: false })
            }
            // Where it goes was decided when it came first.
            Ok(Done::Known { id, is_same: true }) => {
                Ok(Receipt { id, targets: Vec::new(), unknown: Vec::new(), is_repeat: true })
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
