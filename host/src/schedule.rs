//! What runs next: one lane a target, so that a slow endpoint holds up nobody else.
//!
//! Pure bookkeeping in memory: it is told the time and starts nothing itself. An item leaves its lane when
//! it is due, its lane is not held, its lane has fewer items in flight than it may have, and so has the
//! whole schedule. Within a lane items leave in the order in which they are due, and those due at the same
//! instant in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::UnixMs;

/// How many items may be in flight.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    /// In one lane; at least 1.
    pub per_lane: usize,
    /// In all lanes together; at least 1.
    pub in_all: usize,
}

/// Items, each waiting in a lane until it is due.
#[derive(Debug)]
pub struct Schedule<T> {
    lanes: Vec<Lane<T>>,
    /// The lanes that could let an item go, by the instant from which they could.
    ready: BTreeSet<(UnixMs, usize)>,
    concurrency: Concurrency,
    in_flight: usize,
    waiting: usize,
    next: u64,
}

#[derive(Debug)]
struct Lane<T> {
    /// By due time, then by arrival.
    waiting: BTreeMap<(UnixMs, u64), T>,
    in_flight: usize,
    held_until: UnixMs,
    /// Where the lane stands in `ready`.
    ready_at: Option<UnixMs>,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { per_lane: 4, in_all: 256 }
    }
}

impl<T> Schedule<T> {
    /// An empty schedule with so many lanes, counted from 0.
    #[must_use]
    pub fn new(lanes: usize, concurrency: Concurrency) -> Self {
        let lane = || Lane { waiting: BTreeMap::new(), in_flight: 0, held_until: 0, ready_at: None };
        Self {
            lanes: (0..lanes).map(|_| lane()).collect(),
            ready: BTreeSet::new(),
            concurrency,
            in_flight: 0,
            waiting: 0,
            next: 0,
        }
    }

    /// Puts an item into a lane. A lane that does not exist takes nothing and gives the item back.
    #[must_use]
    pub fn push(&mut self, lane: usize, due: UnixMs, item: T) -> Option<T> {
        let Some(slot) = self.lanes.get_mut(lane) else { return Some(item) };
        slot.waiting.insert((due, self.next), item);
        self.next = self.next.wrapping_add(1);
        self.waiting += 1;
        self.index(lane);
        None
    }

    /// The item that [`Schedule::take`] would take out now, and its lane.
    #[must_use]
    pub fn peek(&self, now: UnixMs) -> Option<(usize, &T)> {
        if self.in_flight >= self.concurrency.in_all {
            return None;
        }
        let (_, lane) = self.ready.first().copied().filter(|(at, _)| *at <= now)?;
        self.lanes.get(lane)?.waiting.first_key_value().map(|(_, item)| (lane, item))
    }

    /// Takes out an item that may run now; it counts as in flight until [`Schedule::finish`].
    pub fn take(&mut self, now: UnixMs) -> Option<(usize, T)> {
        let (lane, _) = self.peek(now)?;
        let slot = self.lanes.get_mut(lane)?;
        let (_, item) = slot.waiting.pop_first()?;
        slot.in_flight += 1;
        self.in_flight += 1;
        self.waiting -= 1;
        self.index(lane);
        Some((lane, item))
    }

    /// An item of this lane is no longer in flight.
    pub fn finish(&mut self, lane: usize) {
        if let Some(slot) = self.lanes.get_mut(lane)
            && slot.in_flight > 0
        {
            slot.in_flight -= 1;
            self.in_flight -= 1;
            self.index(lane);
        }
    }

    /// Lets nothing leave a lane before an instant.
    pub fn hold(&mut self, lane: usize, until: UnixMs) {
        if let Some(slot) = self.lanes.get_mut(lane) {
            slot.held_until = until;
            self.index(lane);
        }
    }

    /// When an item could run next: the past where one could now; `None` where none can before one in
    /// flight is finished, or where there is none.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMs> {
        if self.in_flight >= self.concurrency.in_all {
            return None;
        }
        self.ready.first().map(|(at, _)| *at)
    }

    /// How many items are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many items wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Every item that waits, lane by lane.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.lanes.iter().flat_map(|lane| lane.waiting.values())
    }

    /// Puts a lane where it belongs in `ready`.
    fn index(&mut self, lane: usize) {
        let Some(slot) = self.lanes.get_mut(lane) else { return };
        if let Some(at) = slot.ready_at.take() {
            self.ready.remove(&(at, lane));
        }
        let has_room = slot.in_flight < self.concurrency.per_lane;
        if let Some(((due, _), _)) = slot.waiting.first_key_value().filter(|_| has_room) {
            let at = (*due).max(slot.held_until);
            slot.ready_at = Some(at);
            self.ready.insert((at, lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(per_lane: usize, in_all: usize) -> Schedule<&'static str> {
        Schedule::new(2, Concurrency { per_lane, in_all })
    }

    #[test]
    fn items_leave_a_lane_in_the_order_they_are_due_then_came() {
        let mut schedule = schedule(9, 9);
        for (due, item) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            assert_eq!(schedule.push(0, due, item), None);
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.take(9)).map(|(_, item)| item).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn nothing_leaves_before_it_is_due() {
        let mut schedule = schedule(9, 9);
        assert_eq!(schedule.push(0, 100, "a"), None);
        assert_eq!((schedule.take(99), schedule.next_due()), (None, Some(100)));
        assert_eq!(schedule.take(100), Some((0, "a")));
    }

    #[test]
    fn a_full_lane_holds_up_no_other() {
        let mut schedule = schedule(1, 9);
        for (lane, item) in [(0, "slow"), (0, "behind it"), (1, "elsewhere")] {
            assert_eq!(schedule.push(lane, 1, item), None);
        }
        assert_eq!(schedule.take(1), Some((0, "slow")));
        assert_eq!(schedule.take(1), Some((1, "elsewhere")));
        assert_eq!((schedule.take(1), schedule.next_due()), (None, None));
        schedule.finish(0);
        assert_eq!(schedule.take(1), Some((0, "behind it")));
    }

    #[test]
    fn all_lanes_together_have_a_limit_too() {
        let mut schedule = schedule(9, 1);
        assert_eq!((schedule.push(0, 1, "a"), schedule.push(1, 1, "b")), (None, None));
        assert!(schedule.take(1).is_some());
        assert_eq!((schedule.take(1), schedule.next_due()), (None, None));
    }

    #[test]
    fn a_held_lane_waits_and_the_other_does_not() {
        let mut schedule = schedule(9, 9);
        assert_eq!((schedule.push(0, 1, "held"), schedule.push(1, 2, "free")), (None, None));
        schedule.hold(0, 50);
        assert_eq!((schedule.take(9), schedule.take(9)), (Some((1, "free")), None));
        assert_eq!(schedule.next_due(), Some(50));
        assert_eq!(schedule.take(50), Some((0, "held")));
    }

    #[test]
    fn a_lane_that_does_not_exist_gives_the_item_back() {
        assert_eq!(schedule(1, 1).push(2, 0, "a"), Some("a"));
    }

    proptest! {
        #[test]
        fn every_item_leaves_once_and_limits_hold(
            items in prop::collection::vec((0_usize..3, 0_u64..50), 0..60), per_lane in 1_usize..4, in_all in 1_usize..6
        ) {
            let mut schedule = Schedule::new(3, Concurrency { per_lane, in_all });
            for (n, (lane, due)) in items.iter().enumerate() {
                prop_assert_eq!(schedule.push(*lane, *due, n), None);
            }
            let (mut left, mut flying, mut now) = (vec![], vec![], 0);
            while schedule.waiting() > 0 {
                while let Some((lane, n)) = schedule.take(now) {
                    prop_assert!(items[n].1 <= now && items[n].0 == lane);
                    left.push(n);
                    flying.push(lane);
                    prop_assert!(flying.len() <= in_all && flying.iter().filter(|l| **l == lane).count() <= per_lane);
                }
                match schedule.next_due() {
                    Some(due) => { prop_assert!(due > now); now = due; }
                    None => { schedule.finish(flying.remove(0)); }
                }
            }
            left.sort_unstable();
            prop_assert_eq!(left, (0..items.len()).collect::<Vec<_>>());
        }
    }
}
