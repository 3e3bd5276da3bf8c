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
        self.push(lane, Waiting { key, ages_from: 0, due, kind: Kind::First, item });
    }

    fn run(&mut self, now: UnixMs) -> Option<(usize, &'static str)> {
        let (lane, shown) = self.next(now).map(|(lane, item)| (lane, *item))?;
        let taken = self.take(lane, now)?;
        assert_eq!((taken.waited.item, taken.is_counted), (shown, false));
        Some((lane, taken.waited.item))
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
    schedule.finish(0, false, false);
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
    schedule.finish(0, false, false);
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
        schedule.finish(0, false, true);
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
    schedule.push(0, Waiting { key: key(7), ages_from: 5, due: 9_000, kind: Kind::First, item: "late" });
    schedule.push(0, Waiting { key: key(3), ages_from: 6, due: 1, kind: Kind::First, item: "early" });
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
        schedule.push(0, Waiting { key: key(n), ages_from: n, due: 100 - n, kind: Kind::First, item: "x" });
    }
    assert_eq!(schedule.remove(0, key(1)), Some("x"));
    assert_eq!((schedule.remove(0, key(1)), schedule.remove(1, key(0))), (None, None));
    assert_eq!((schedule.waiting(), schedule.next_due()), (2, Some(98)));
}

fn retry(n: u64, due: UnixMs, item: &'static str) -> Waiting<&'static str> {
    Waiting { key: key(n), ages_from: 0, due, kind: Kind::Retry, item }
}

/// Takes what would leave now: the item, and whether it counts as a retry.
fn take(schedule: &mut Schedule<&'static str>, now: UnixMs) -> Option<(&'static str, bool)> {
    let (lane, _) = schedule.next(now)?;
    schedule.take(lane, now).map(|taken| (taken.waited.item, taken.is_counted))
}

#[test]
fn retries_can_be_held_while_first_attempts_go() {
    let mut schedule = schedule(9, 9);
    schedule.push(0, retry(0, 1, "again"));
    schedule.put(0, 2, "fresh");
    schedule.hold_retries(0, 50);
    assert_eq!((take(&mut schedule, 9), take(&mut schedule, 9)), (Some(("fresh", false)), None));
    assert_eq!((schedule.next_due(), schedule.outlook(0)), (Some(50), (Some(50), 1)));
    schedule.hold(0, 0);
    assert_eq!(take(&mut schedule, 9), Some(("again", true)));
}

#[test]
fn retries_are_at_most_a_fifth_of_all_or_three() {
    let mut schedule = schedule(99, 99);
    for n in 0..5 {
        schedule.push(0, retry(n, 1, "again"));
    }
    let mut taken: Vec<_> = std::iter::from_fn(|| take(&mut schedule, 9)).collect();
    assert_eq!((taken.len(), schedule.next_due()), (3, None));
    for n in 5..22 {
        let fresh = Waiting { key: key(n), ages_from: 0, due: 2, kind: Kind::First, item: "fresh" };
        schedule.push(1, fresh);
    }
    taken.extend(std::iter::from_fn(|| take(&mut schedule, 9)));
    assert_eq!(taken.iter().filter(|(_, is_counted)| *is_counted).count(), 4, "20 of which 4");
    schedule.finish(0, true, false);
    assert_eq!(take(&mut schedule, 9), Some(("again", true)));
}

#[test]
fn where_the_endpoint_is_down_what_was_never_tried_goes_first_and_no_retry_counts() {
    let mut schedule = schedule(9, 9);
    schedule.push(0, retry(0, 1, "poison"));
    schedule.put(0, 5, "fresh");
    schedule.set_down(0, true);
    schedule.hold(0, 7);
    let order: Vec<_> = std::iter::from_fn(|| take(&mut schedule, 9)).collect();
    assert_eq!(order, [("fresh", false), ("poison", false)]);
}

proptest! {
    #[test]
    fn every_item_leaves_once_and_limits_hold(
        items in prop::collection::vec((0_usize..3, 0_u64..50, any::<bool>()), 0..60),
        per_lane in 1_usize..4, in_all in 1_usize..6, down in 0_usize..4,
    ) {
        let mut schedule = Schedule::new(in_all);
        for _ in 0..3 {
            schedule.add_lane(Rules { concurrency: per_lane, max_age: AGE });
        }
        schedule.set_down(down, true);
        for (n, (lane, due, is_retry)) in items.iter().enumerate() {
            let kind = if *is_retry { Kind::Retry } else { Kind::First };
            schedule.push(*lane, Waiting { key: key(n as u64), ages_from: 0, due: *due, kind, item: n });
        }
        let (mut left, mut flying, mut now) = (vec![], vec![], 0);
        while schedule.waiting() > 0 {
            while let Some((lane, shown)) = schedule.next(now).map(|(lane, item)| (lane, *item)) {
                let Taken { waited: Waiting { item: n, .. }, is_counted } = schedule.take(lane, now).unwrap();
                prop_assert!(n == shown && items[n].1 <= now && items[n].0 == lane);
                prop_assert_eq!(is_counted, items[n].2 && lane != down);
                left.push(n);
                flying.push((lane, is_counted));
                let retries = flying.iter().filter(|(_, is_counted)| *is_counted).count();
                prop_assert!(retries <= 3.max(flying.len() / 5));
                let in_lane = flying.iter().filter(|(other, _)| *other == lane).count();
                prop_assert!(in_lane == 1 || (flying.len() <= in_all && in_lane <= per_lane));
            }
            match schedule.next_due() {
                Some(due) => { prop_assert!(due > now); now = due; }
                None => {
                    let (lane, was_counted) = flying.remove(0);
                    schedule.finish(lane, was_counted, false);
                }
            }
        }
        left.sort_unstable();
        prop_assert_eq!(left, (0..items.len()).collect::<Vec<_>>());
        prop_assert_eq!(schedule.next_old(), None);
    }
}

#[test]
fn what_is_put_back_waits_as_it_did_and_nothing_of_it_is_in_flight() {
    let mut schedule = schedule(2, 9);
    for (due, item) in [(1, "a"), (2, "b"), (3, "c")] {
        schedule.put(0, due, item);
    }
    let [first, second] = std::array::from_fn(|_| schedule.take(0, 5).unwrap());
    assert_eq!((schedule.in_flight(), schedule.next(5)), (2, None));
    schedule.put_back(0, second);
    schedule.put_back(0, first);
    assert_eq!((schedule.in_flight(), schedule.waiting(), schedule.next_due()), (0, 3, Some(1)));
    assert_eq!(schedule.run(5), Some((0, "a")));
    assert_eq!(schedule.run(5), Some((0, "b")));
}
