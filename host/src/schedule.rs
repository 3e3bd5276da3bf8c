//! What runs next: one lane a target, so that a slow endpoint holds up nobody else.
//!
//! Pure bookkeeping in memory: it is told the time and starts nothing itself, and to know when something is
//! due next costs it nothing. An item leaves its lane when it is due, its lane is open and not held, its lane
//! has fewer items in flight than it may have, and so has the whole schedule; but a lane with none in flight
//! always may have one, so that others that hang cannot keep it waiting. As many again may have come back and
//! be on their way to disk; a crash repeats no more than both. Within a lane first attempts leave in the order in
//! which they are due, and so do retries; of the first of both, the one with the smaller key. An item that has waited for
//! longer than its lane allows is too old, and leaves by another door.
//!
//! Retries can be held without holding first attempts. Of all that is in flight at most a fifth are retries,
//! but three may always be (Envoy's rule for its retry budget): where many endpoints fail at once, fresh
//! deliveries to the others go first. A lane whose endpoint is down counts none, since it tries one at a
//! time; there what was never tried goes first, so that no single delivery that cannot arrive keeps the
//! endpoint from showing that it works.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::UnixMs;
use crate::store::DeliveryKey;

mod queue;

use queue::Queue;

/// Of all that is in flight at most one in so many is a retry.
const RETRIES_ONE_IN: usize = 5;

/// But so many may always be.
const RETRIES_AT_LEAST: usize = 3;

/// Whether a delivery was tried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    First,
    Retry,
}

/// One value for each kind.
type ByKind<T> = [T; 2];

const KINDS: ByKind<Kind> = [Kind::First, Kind::Retry];

/// What is waiting, by lane.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    lanes: Vec<Lane<T>>,
    /// The lanes that could let an item go, by the instant from which they could.
    ready: BTreeMap<Class, BTreeSet<(UnixMs, usize)>>,
    /// The lanes in which something waits, by the instant from which its oldest is too old.
    aging: BTreeSet<(UnixMs, usize)>,
    in_all: usize,
    in_flight: usize,
    /// How many in flight count as retries.
    retries: usize,
    settling: usize,
    waiting: usize,
}

/// What may keep a lane's items from leaving beside the lane itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    /// Whether the lane has something in flight already.
    is_busy: bool,
    /// Whether what would leave counts as a retry.
    is_counted: bool,
}

/// What a lane allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How many items may be in flight; none where the lane is closed.
    pub(crate) concurrency: usize,
    /// How old an item may be, in milliseconds.
    pub(crate) max_age: u64,
}

/// An item, and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting<T> {
    pub(crate) key: DeliveryKey,
    /// From when on its age is counted.
    pub(crate) ages_from: UnixMs,
    /// When it may leave.
    pub(crate) due: UnixMs,
    pub(crate) kind: Kind,
    pub(crate) item: T,
}

/// An item that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken<T> {
    /// The item, and how it waited.
    pub(crate) waited: Waiting<T>,
    /// Whether it counts as a retry while it is in flight; [`Schedule::finish`] wants to know.
    pub(crate) is_counted: bool,
}

#[derive(Debug)]
struct Lane<T> {
    rules: Rules,
    queue: Queue<T>,
    in_flight: usize,
    settling: usize,
    held_until: ByKind<UnixMs>,
    /// Whether the endpoint is down.
    is_down: bool,
    /// Where the lane stands in `ready` for each kind.
    ready_at: ByKind<Option<(Class, UnixMs)>>,
    /// Where the lane stands in `aging`.
    aging_at: Option<UnixMs>,
}

impl<T> Schedule<T> {
    /// An empty schedule without lanes, in which so many items may be in flight; at least 1.
    pub(crate) fn new(in_all: usize) -> Self {
        Self {
            lanes: Vec::new(),
            ready: BTreeMap::new(),
            aging: BTreeSet::new(),
            in_all: in_all.max(1),
            in_flight: 0,
            retries: 0,
            settling: 0,
            waiting: 0,
        }
    }

    /// Adds a lane and returns its number, from 0.
    pub(crate) fn add_lane(&mut self, rules: Rules) -> usize {
        self.lanes.push(Lane {
            rules,
            queue: Queue::new(),
            in_flight: 0,
            settling: 0,
            held_until: ByKind::default(),
            is_down: false,
            ready_at: ByKind::default(),
            aging_at: None,
        });
        self.lanes.len() - 1
    }

    /// Changes what a lane allows; what is in flight stays there.
    pub(crate) fn set_rules(&mut self, lane: usize, rules: Rules) {
        if let Some(slot) = self.lanes.get_mut(lane) {
            slot.rules = rules;
            self.index(lane);
        }
    }

    /// Changes how many items may be in flight in all; at least 1.
    pub(crate) fn set_in_all(&mut self, in_all: usize) {
        self.in_all = in_all.max(1);
    }

    /// Puts an item into a lane, which must be one of [`Schedule::add_lane`]'s.
    pub(crate) fn push(&mut self, lane: usize, waiting: Waiting<T>) {
        let Some(slot) = self.lanes.get_mut(lane) else { return };
        let is_new = slot.queue.insert(waiting);
        self.waiting += usize::from(is_new);
        self.index(lane);
    }

    /// What would leave now, and its lane.
    pub(crate) fn next(&self, now: UnixMs) -> Option<(usize, &T)> {
        let (_, lane) = self.next_ready().filter(|(at, _)| *at <= now)?;
        let (_, key) = self.head(lane, now)?;
        self.lanes.get(lane)?.queue.get(key).map(|item| (lane, item))
    }

    /// Takes out of a lane what [`Schedule::next`] showed; it counts as in flight until [`Schedule::finish`].
    pub(crate) fn take(&mut self, lane: usize, now: UnixMs) -> Option<Taken<T>> {
        let (kind, key) = self.head(lane, now)?;
        let slot = self.lanes.get_mut(lane)?;
        let is_counted = slot.counts(kind);
        slot.in_flight += 1;
        self.in_flight += 1;
        self.retries += usize::from(is_counted);
        self.take_out(lane, key).map(|waited| Taken { waited, is_counted })
    }

    /// Puts back into a lane what [`Schedule::take`] took out of it and did not begin.
    pub(crate) fn put_back(&mut self, lane: usize, taken: Taken<T>) {
        self.finish(lane, taken.is_counted, false);
        self.push(lane, taken.waited);
    }

    /// Of a lane that could let an item go now, which one.
    fn head(&self, lane: usize, now: UnixMs) -> Option<(Kind, DeliveryKey)> {
        let slot = self.lanes.get(lane)?;
        let ready = KINDS.into_iter().zip(slot.ready_at).filter_map(|(kind, at)| {
            let (class, at) = at?;
            let (_, key) = slot.queue.first_due(kind)?;
            (at <= now && self.has_room(class)).then_some((kind, key))
        });
        // While the endpoint is down, what was never tried goes first; else what was accepted first.
        let kind_first = |kind| if slot.is_down { Some(kind) } else { None };
        ready.min_by_key(|(kind, key)| (kind_first(*kind), *key))
    }

    /// Takes out an item, wherever it stands in its lane.
    pub(crate) fn remove(&mut self, lane: usize, key: DeliveryKey) -> Option<T> {
        self.take_out(lane, key).map(|waited| waited.item)
    }

    fn take_out(&mut self, lane: usize, key: DeliveryKey) -> Option<Waiting<T>> {
        let slot = self.lanes.get_mut(lane)?;
        let waited = slot.queue.remove(key)?;
        self.waiting -= 1;
        self.index(lane);
        Some(waited)
    }

    /// Takes out an item that is too old, and says in which lane it was.
    pub(crate) fn take_old(&mut self, now: UnixMs) -> Option<(usize, T)> {
        let (_, lane) = self.aging.first().copied().filter(|(at, _)| *at <= now)?;
        let (_, key) = self.lanes.get(lane)?.queue.oldest()?;
        self.remove(lane, key).map(|item| (lane, item))
    }

    /// An item of this lane is no longer in flight, which counted as a retry or did not. Where its end is being
    /// written, it still counts in its lane, until [`Schedule::settled`].
    pub(crate) fn finish(&mut self, lane: usize, was_counted: bool, is_settling: bool) {
        let Some(slot) = self.lanes.get_mut(lane).filter(|slot| slot.in_flight > 0) else { return };
        slot.in_flight -= 1;
        self.in_flight -= 1;
        self.retries = self.retries.saturating_sub(usize::from(was_counted));
        slot.settling += usize::from(is_settling);
        self.settling += usize::from(is_settling);
        self.index(lane);
    }

    /// The end of an item of this lane is written.
    pub(crate) fn settled(&mut self, lane: usize) {
        let Some(slot) = self.lanes.get_mut(lane).filter(|slot| slot.settling > 0) else { return };
        slot.settling -= 1;
        self.settling -= 1;
        self.index(lane);
    }

    /// Lets nothing leave a lane before an instant.
    pub(crate) fn hold(&mut self, lane: usize, until: UnixMs) {
        self.set_held(lane, [until, until]);
    }

    /// Lets no retry leave a lane before an instant.
    pub(crate) fn hold_retries(&mut self, lane: usize, until: UnixMs) {
        self.set_held(lane, [0, until]);
    }

    fn set_held(&mut self, lane: usize, until: ByKind<UnixMs>) {
        if let Some(slot) = self.lanes.get_mut(lane).filter(|slot| slot.held_until != until) {
            slot.held_until = until;
            self.index(lane);
        }
    }

    /// Whether the endpoint of a lane is down.
    pub(crate) fn set_down(&mut self, lane: usize, is_down: bool) {
        if let Some(slot) = self.lanes.get_mut(lane).filter(|slot| slot.is_down != is_down) {
            slot.is_down = is_down;
            self.index(lane);
        }
    }

    /// When something could leave a lane next, and how many items wait in it.
    pub(crate) fn outlook(&self, lane: usize) -> (Option<UnixMs>, usize) {
        let Some(slot) = self.lanes.get(lane) else { return (None, 0) };
        (slot.ready_at.iter().flatten().map(|(_, at)| *at).min(), slot.queue.len())
    }

    /// When an item could run next: the past where one could now; `None` where none can before one in
    /// flight is finished, or where there is none.
    pub(crate) fn next_due(&self) -> Option<UnixMs> {
        self.next_ready().map(|(at, _)| at)
    }

    /// When an item will be too old next.
    pub(crate) fn next_old(&self) -> Option<UnixMs> {
        self.aging.first().map(|(at, _)| *at)
    }

    /// How many items are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many items have come back and are being written.
    pub(crate) fn settling(&self) -> usize {
        self.settling
    }

    /// How many items wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Every item that waits, lane by lane.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.lanes.iter().flat_map(|lane| lane.queue.iter())
    }

    fn next_ready(&self) -> Option<(UnixMs, usize)> {
        let open = self.ready.iter().filter(|(class, _)| self.has_room(**class));
        open.filter_map(|(_, lanes)| lanes.first().copied()).min()
    }

    fn has_room(&self, class: Class) -> bool {
        let most_retries = (self.in_flight / RETRIES_ONE_IN).max(RETRIES_AT_LEAST);
        (!class.is_busy || self.in_flight < self.in_all) && (!class.is_counted || self.retries < most_retries)
    }

    /// Puts a lane where it belongs in `ready` and `aging`.
    fn index(&mut self, lane: usize) {
        let Some(slot) = self.lanes.get_mut(lane) else { return };
        let has_room = slot.in_flight.max(slot.settling) < slot.rules.concurrency;
        let class = |kind| Class { is_busy: slot.in_flight > 0, is_counted: slot.counts(kind) };
        let ready_at = KINDS.map(|kind| {
            let (due, _) = slot.queue.first_due(kind).filter(|_| has_room)?;
            Some((class(kind), due.max(slot.held(kind))))
        });
        let aging_at = slot.queue.oldest().map(|(at, _)| at.saturating_add(slot.rules.max_age));
        if slot.ready_at != ready_at {
            for (class, at) in slot.ready_at.into_iter().flatten() {
                self.ready.entry(class).or_default().remove(&(at, lane));
            }
            for (class, at) in ready_at.into_iter().flatten() {
                self.ready.entry(class).or_default().insert((at, lane));
            }
            slot.ready_at = ready_at;
        }
        if slot.aging_at != aging_at {
            if let Some(at) = slot.aging_at {
                self.aging.remove(&(at, lane));
            }
            self.aging.extend(aging_at.map(|at| (at, lane)));
            slot.aging_at = aging_at;
        }
    }
}

impl<T> Lane<T> {
    fn held(&self, kind: Kind) -> UnixMs {
        let [first, retry] = self.held_until;
        match kind {
            Kind::First => first,
            Kind::Retry => retry,
        }
    }

    /// Whether an item of a kind counts as a retry while it is in flight.
    fn counts(&self, kind: Kind) -> bool {
        kind == Kind::Retry && !self.is_down
    }
}

#[cfg(test)]
mod tests;
