//! What runs next: one lane a target, so that a slow endpoint holds up nobody else.
//!
//! Pure bookkeeping in memory: it is told the time and starts nothing itself, and to know when something is
//! due next costs it nothing. An item leaves its lane when it is due, its lane is open and not held, its lane
//! has fewer items in flight than it may have, and so has the whole schedule; but a lane with none in flight
//! always may have one, so that others that hang cannot keep it waiting. As many again may have come back and
//! be on their way to disk; a crash repeats no more than both. Within a lane items leave in the order in which
//! they are due, and those due at the same instant in the order of their keys. An item that has waited for
//! longer than its lane allows is too old, and leaves by another door.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::UnixMs;
use crate::store::DeliveryKey;

/// What is waiting, by lane.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    lanes: Vec<Lane<T>>,
    /// The lanes that could let an item go, by the instant from which they could: those with none in flight,
    /// and those with some.
    ready: [BTreeSet<(UnixMs, usize)>; 2],
    /// The lanes in which something waits, by the instant from which its oldest is too old.
    aging: BTreeSet<(UnixMs, usize)>,
    in_all: usize,
    in_flight: usize,
    settling: usize,
    waiting: usize,
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
    pub(crate) item: T,
}

#[derive(Debug)]
struct Lane<T> {
    rules: Rules,
    /// What waits, when it is due, and from when on its age is counted.
    waiting: BTreeMap<DeliveryKey, (UnixMs, UnixMs, T)>,
    by_due: BTreeSet<(UnixMs, DeliveryKey)>,
    by_age: BTreeSet<(UnixMs, DeliveryKey)>,
    in_flight: usize,
    settling: usize,
    held_until: UnixMs,
    /// Where the lane stands in `ready`, and in which of the two.
    ready_at: Option<(usize, UnixMs)>,
    /// Where the lane stands in `aging`.
    aging_at: Option<UnixMs>,
}

impl<T> Schedule<T> {
    /// An empty schedule without lanes, in which so many items may be in flight; at least 1.
    pub(crate) fn new(in_all: usize) -> Self {
        Self {
            lanes: Vec::new(),
            ready: Default::default(),
            aging: BTreeSet::new(),
            in_all: in_all.max(1),
            in_flight: 0,
            settling: 0,
            waiting: 0,
        }
    }

    /// Adds a lane and returns its number, from 0.
    pub(crate) fn add_lane(&mut self, rules: Rules) -> usize {
        self.lanes.push(Lane {
            rules,
            waiting: BTreeMap::new(),
            by_due: BTreeSet::new(),
            by_age: BTreeSet::new(),
            in_flight: 0,
            settling: 0,
            held_until: 0,
            ready_at: None,
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
        let Waiting { key, ages_from, due, item } = waiting;
        slot.waiting.insert(key, (due, ages_from, item));
        slot.by_due.insert((due, key));
        slot.by_age.insert((ages_from, key));
        self.waiting += 1;
        self.index(lane);
    }

    /// The lane of which [`Schedule::take`] would take out an item now.
    pub(crate) fn next_lane(&self, now: UnixMs) -> Option<usize> {
        self.next_ready().filter(|(at, _)| *at <= now).map(|(_, lane)| lane)
    }

    /// Takes out the next item of a lane that [`Schedule::next_lane`] named; it counts as in flight until
    /// [`Schedule::finish`].
    pub(crate) fn take(&mut self, lane: usize) -> Option<T> {
        let slot = self.lanes.get_mut(lane)?;
        let (_, key) = *slot.by_due.first()?;
        slot.in_flight += 1;
        self.in_flight += 1;
        self.remove(lane, key)
    }

    /// Takes out an item, wherever it stands in its lane.
    pub(crate) fn remove(&mut self, lane: usize, key: DeliveryKey) -> Option<T> {
        let slot = self.lanes.get_mut(lane)?;
        let (due, ages_from, item) = slot.waiting.remove(&key)?;
        slot.by_due.remove(&(due, key));
        slot.by_age.remove(&(ages_from, key));
        self.waiting -= 1;
        self.index(lane);
        Some(item)
    }

    /// Takes out an item that is too old, and says in which lane it was.
    pub(crate) fn take_old(&mut self, now: UnixMs) -> Option<(usize, T)> {
        let (_, lane) = self.aging.first().copied().filter(|(at, _)| *at <= now)?;
        let (_, key) = *self.lanes.get(lane)?.by_age.first()?;
        self.remove(lane, key).map(|item| (lane, item))
    }

    /// An item of this lane is no longer in flight. Where its end is being written, it still counts, until
    /// [`Schedule::settled`].
    pub(crate) fn finish(&mut self, lane: usize, is_settling: bool) {
        let Some(slot) = self.lanes.get_mut(lane).filter(|slot| slot.in_flight > 0) else { return };
        slot.in_flight -= 1;
        self.in_flight -= 1;
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
        if let Some(slot) = self.lanes.get_mut(lane) {
            slot.held_until = until;
            self.index(lane);
        }
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
        self.lanes.iter().flat_map(|lane| lane.waiting.values().map(|(_, _, item)| item))
    }

    fn next_ready(&self) -> Option<(UnixMs, usize)> {
        let [free, busy] = &self.ready;
        let busy = busy.first().filter(|_| self.in_flight < self.in_all);
        free.first().into_iter().chain(busy).min().copied()
    }

    /// Puts a lane where it belongs in `ready` and `aging`.
    fn index(&mut self, lane: usize) {
        let Some(slot) = self.lanes.get_mut(lane) else { return };
        let is_busy = usize::from(slot.in_flight > 0);
        let has_room = slot.in_flight.max(slot.settling) < slot.rules.concurrency;
        let due = slot.by_due.first().filter(|_| has_room).map(|(due, _)| *due);
        let ready_at = due.map(|due| (is_busy, due.max(slot.held_until)));
        let max_age = slot.rules.max_age;
        let aging_at = slot.by_age.first().map(|(at, _)| at.saturating_add(max_age));
        if slot.ready_at != ready_at {
            if let Some((which, at)) = slot.ready_at {
                self.ready.get_mut(which).map(|ready| ready.remove(&(at, lane)));
            }
            if let Some((which, at)) = ready_at {
                self.ready.get_mut(which).map(|ready| ready.insert((at, lane)));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGE: u64 = 1_000;

    fn schedule(per_lane: usize, in_all: usize) -> Schedule<&'static str> {
        let mut schedule = Schedule::new(in_all);
        for _ in 0..2 {
            schedule.add_lane(Rules { concurrency: per_lane, max_age: AGE });
        }
        schedule
    }

    fn key(record: u64) -> DeliveryKey {
        DeliveryKey { record, n: 0 }
    }

    impl Schedule<&'static str> {
        fn put(&mut self, lane: usize, due: UnixMs, item: &'static str) {
            let key = key(self.waiting as u64 + self.in_flight as u64);
            self.push(lane, Waiting { key, ages_from: 0, due, item });
        }

        fn run(&mut self, now: UnixMs) -> Option<(usize, &'static str)> {
            let lane = self.next_lane(now)?;
            Some((lane, self.take(lane)?))
        }
    }

    #[test]
    fn items_leave_a_lane_in_the_order_they_are_due_then_came() {
        let mut schedule = schedule(9, 9);
        for (due, item) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            schedule.put(0, due, item);
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.run(9)).map(|(_, item)| item).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn nothing_leaves_before_it_is_due() {
        let mut schedule = schedule(9, 9);
        schedule.put(0, 100, "a");
        assert_eq!((schedule.run(99), schedule.next_due()), (None, Some(100)));
        assert_eq!(schedule.run(100), Some((0, "a")));
    }

    #[test]
    fn a_full_lane_holds_up_no_other() {
        let mut schedule = schedule(1, 9);
        for (lane, item) in [(0, "slow"), (0, "behind it"), (1, "elsewhere")] {
            schedule.put(lane, 1, item);
        }
        assert_eq!(schedule.run(1), Some((0, "slow")));
        assert_eq!(schedule.run(1), Some((1, "elsewhere")));
        assert_eq!((schedule.run(1), schedule.next_due()), (None, None));
        schedule.finish(0, false);
        assert_eq!(schedule.run(1), Some((0, "behind it")));
    }

    #[test]
    fn all_lanes_together_have_a_limit_too_but_each_may_have_one() {
        let mut schedule = schedule(9, 2);
        for (lane, item) in [(0, "a"), (0, "b"), (0, "c"), (1, "d"), (1, "e")] {
            schedule.put(lane, 1, item);
        }
        let left: Vec<_> = std::iter::from_fn(|| schedule.run(1)).map(|(_, item)| item).collect();
        assert_eq!((left, schedule.next_due()), (vec!["a", "b", "d"], None));
        schedule.finish(0, false);
        assert_eq!(schedule.next_due(), None);
        schedule.set_in_all(3);
        assert_eq!(schedule.run(1), Some((0, "c")));

        let mut schedule = self::schedule(9, 1);
        schedule.put(0, 1, "hangs");
        assert!(schedule.run(1).is_some());
        schedule.put(1, 1, "another's");
        assert_eq!(schedule.run(1), Some((1, "another's")));
    }

    #[test]
    fn as_many_as_may_be_in_flight_may_be_on_their_way_to_disk() {
        let mut schedule = schedule(2, 9);
        for item in ["a", "b", "c", "d", "e"] {
            schedule.put(0, 1, item);
        }
        for _ in 0..2 {
            assert!(schedule.run(1).is_some());
            schedule.finish(0, true);
        }
        assert_eq!((schedule.run(1), schedule.settling()), (None, 2));
        schedule.settled(0);
        assert!(schedule.run(1).is_some() && schedule.run(1).is_some());
        assert_eq!((schedule.run(1), schedule.in_flight(), schedule.settling()), (None, 2, 1));
    }

    #[test]
    fn a_held_lane_waits_and_the_other_does_not() {
        let mut schedule = schedule(9, 9);
        schedule.put(0, 1, "held");
        schedule.put(1, 2, "free");
        schedule.hold(0, 50);
        assert_eq!((schedule.run(9), schedule.run(9)), (Some((1, "free")), None));
        assert_eq!(schedule.next_due(), Some(50));
        assert_eq!(schedule.run(50), Some((0, "held")));
    }

    #[test]
    fn a_closed_lane_lets_nothing_go_until_it_is_open_again() {
        let mut schedule = schedule(9, 9);
        schedule.put(0, 1, "a");
        schedule.set_rules(0, Rules { concurrency: 0, max_age: AGE });
        assert_eq!((schedule.run(9), schedule.next_due()), (None, None));
        schedule.set_rules(0, Rules { concurrency: 1, max_age: AGE });
        assert_eq!(schedule.run(9), Some((0, "a")));
    }

    #[test]
    fn what_is_too_old_leaves_even_a_lane_that_is_held() {
        let mut schedule = schedule(9, 9);
        schedule.push(0, Waiting { key: key(7), ages_from: 5, due: 9_000, item: "late" });
        schedule.push(0, Waiting { key: key(3), ages_from: 6, due: 1, item: "early" });
        schedule.hold(0, 9_999);
        assert_eq!((schedule.next_old(), schedule.take_old(1_004)), (Some(1_005), None));
        assert_eq!(schedule.take_old(1_005), Some((0, "late")));
        schedule.set_rules(0, Rules { concurrency: 9, max_age: 1 });
        assert_eq!(schedule.take_old(7), Some((0, "early")));
        assert_eq!((schedule.next_old(), schedule.next_due(), schedule.waiting()), (None, None, 0));
    }

    #[test]
    fn an_item_is_taken_out_wherever_it_stands() {
        let mut schedule = schedule(9, 9);
        for n in 0..3 {
            schedule.push(0, Waiting { key: key(n), ages_from: n, due: 100 - n, item: "x" });
        }
        assert_eq!(schedule.remove(0, key(1)), Some("x"));
        assert_eq!((schedule.remove(0, key(1)), schedule.remove(1, key(0))), (None, None));
        assert_eq!((schedule.waiting(), schedule.next_due()), (2, Some(98)));
    }

    proptest! {
        #[test]
        fn every_item_leaves_once_and_limits_hold(
            items in prop::collection::vec((0_usize..3, 0_u64..50), 0..60), per_lane in 1_usize..4, in_all in 1_usize..6
        ) {
            let mut schedule = Schedule::new(in_all);
            for _ in 0..3 {
                schedule.add_lane(Rules { concurrency: per_lane, max_age: AGE });
            }
            for (n, (lane, due)) in items.iter().enumerate() {
                schedule.push(*lane, Waiting { key: key(n as u64), ages_from: 0, due: *due, item: n });
            }
            let (mut left, mut flying, mut now) = (vec![], vec![], 0);
            while schedule.waiting() > 0 {
                while let Some(lane) = schedule.next_lane(now) {
                    let n = schedule.take(lane).unwrap();
                    prop_assert!(items[n].1 <= now && items[n].0 == lane);
                    left.push(n);
                    flying.push(lane);
                    let in_lane = flying.iter().filter(|other| **other == lane).count();
                    prop_assert!(in_lane == 1 || (flying.len() <= in_all && in_lane <= per_lane));
                }
                match schedule.next_due() {
                    Some(due) => { prop_assert!(due > now); now = due; }
                    None => { schedule.finish(flying.remove(0), false); }
                }
            }
            left.sort_unstable();
            prop_assert_eq!(left, (0..items.len()).collect::<Vec<_>>());
            prop_assert_eq!(schedule.next_old(), None);
        }
    }
}
