//! Which deliveries are forgotten, and in which order.

use super::*;

/// Whether notifications with these ids are there.
fn are_there<const N: usize>(store: &dyn Store, ids: [&str; N]) -> [bool; N] {
    ids.map(|id| states(store, id).is_some())
}

fn accept_all<const N: usize>(store: &mut dyn Store, ids: [&str; N]) -> [u64; N] {
    ids.map(|id| accept(store, record(id, &["x"])))
}

#[test]
fn what_lies_between_those_that_are_forgotten_stays() {
    each(|store| {
        limit(store, |limits| limits.keep = 1_000);
        let [first, dead, late, open] = accept_all(store, ["first", "dead", "late", "open"]);
        let notification =
            Notification { id: "nobody".into(), at: NOW + 20_000, ..Notification::new(Level::Info, "t") };
        accept(store, Record { notification: Arc::new(notification), ..record("nobody", &[]) });
        let [last] = accept_all(store, ["last"]);
        end(store, last, 0, State::Delivered, NOW + 1);
        end(store, dead, 0, State::Dead, NOW + 2);
        end(store, late, 0, State::Delivered, NOW + 20_000);
        end(store, first, 0, State::Delivered, NOW + 3);
        assert_eq!(prune(store, NOW + 11_000), Some(NOW + 21_000));
        let there = are_there(store, ["first", "dead", "late", "open", "nobody", "last"]);
        assert_eq!(there, [false, true, true, true, true, false]);
        // What ends behind those that are gone is no less forgotten.
        end(store, open, 0, State::Delivered, NOW + 4);
        assert_eq!(prune(store, NOW + 11_000), Some(NOW + 21_000));
        assert_eq!(are_there(store, ["open"]), [false]);
    });
}

#[test]
fn what_was_replayed_keeps_nothing_else_for_longer() {
    each(|store| {
        limit(store, |limits| limits.keep = 1_000);
        let [arrived, dropped, other] = accept_all(store, ["arrived", "dropped", "other"]);
        for replayed in [arrived, dropped] {
            end(store, replayed, 0, State::Dead, NOW + 1);
            let again = Progress::queued(NOW + 50_000);
            assert_eq!(settle(store, replayed, 0, true, again), Done::Settled);
        }
        let again = |state| Progress { queued_at: NOW + 50_000, ..progress(state, NOW + 50_001) };
        assert_eq!(settle(store, arrived, 0, false, again(State::Delivered)), Done::Settled);
        assert_eq!(settle(store, dropped, 0, false, again(State::Dead)), Done::Settled);
        assert_eq!(settle(store, dropped, 0, true, again(State::Dropped)), Done::Settled);
        end(store, other, 0, State::Delivered, NOW + 2);
        assert_eq!(prune(store, NOW + 11_000), Some(NOW + 61_000));
        assert_eq!(are_there(store, ["arrived", "dropped", "other"]), [true, true, false]);
        assert_eq!(prune(store, NOW + 61_000), None);
        assert_eq!(are_there(store, ["arrived", "dropped"]), [false, false]);
    });
}

#[test]
fn a_clock_that_was_wrong_keeps_nothing_else_for_longer() {
    const YEAR: u64 = 365 * 24 * 60 * 60 * 1_000;
    each(|store| {
        limit(store, |limits| limits.keep = 1_000);
        // It was ahead when the first arrived, when the second was retried, and when two more were handed in.
        let ahead = |state| Progress { queued_at: NOW + YEAR, ..progress(state, NOW + YEAR + 1) };
        let [first, second, third] = accept_all(store, ["first", "second", "third"]);
        assert_eq!(settle(store, first, 0, false, ahead(State::Delivered)), Done::Settled);
        assert_eq!(settle(store, second, 0, false, ahead(State::Retrying)), Done::Settled);
        assert_eq!(settle(store, second, 0, false, ahead(State::Delivered)), Done::Settled);
        end(store, third, 0, State::Delivered, NOW + 1);
        let queued =
            |id| Record { deliveries: vec![Delivery::queued("x", NOW + YEAR)], ..record(id, &["x"]) };
        let [fourth, fifth] = ["fourth", "fifth"].map(|id| accept(store, queued(id)));
        assert_eq!(settle(store, fourth, 0, false, ahead(State::Delivered)), Done::Settled);
        // It was put right before this one was dropped.
        let dropped = Progress { queued_at: NOW + YEAR, ..progress(State::Dropped, NOW + 2) };
        assert_eq!(settle(store, fifth, 0, false, dropped), Done::Settled);
        let [last] = accept_all(store, ["last"]);
        end(store, last, 0, State::Delivered, NOW + 3);
        assert_eq!(prune(store, NOW + 11_000), Some(NOW + YEAR + 11_000));
        let there = are_there(store, ["first", "second", "third", "fourth", "fifth", "last"]);
        assert_eq!(there, [true, true, false, true, false, false]);
        assert_eq!(prune(store, NOW + YEAR + 11_000), None);
    });
}

#[test]
fn hundreds_make_room_for_a_large_one_and_no_more_than_it_takes() {
    each(|store| {
        let ids: Vec<String> = (0..600).map(|n| format!("id-{n:03}")).collect();
        let sizes: Vec<u64> = ids.iter().map(|id| record(id, &["x"]).size()).collect();
        limit(store, |limits| (limits.max_bytes, limits.reserve_for) = (sizes.iter().sum(), Level::Trace));
        for id in &ids {
            let number = accept(store, record(id, &["x"]));
            end(store, number, 0, State::Delivered, NOW + 1);
        }
        // As large as 300 of them, but for a byte.
        let room: u64 = sizes[..300].iter().sum::<u64>() - 1;
        let mut large = record("large", &["x"]);
        let text = "x".repeat(usize::try_from(room - large.size()).unwrap());
        let notification =
            Notification { title: large.notification.title.clone() + &text, ..(*large.notification).clone() };
        large.notification = Arc::new(notification);
        assert_eq!(large.size(), room);
        accept(store, large);
        let left: Vec<bool> = ids.iter().map(|id| states(store, id).is_some()).collect();
        assert_eq!(left.iter().position(|is_there| *is_there), Some(300));
        assert!(left[300..].iter().all(|is_there| *is_there));
    });
}

#[test]
fn what_makes_room_goes_in_the_order_in_which_its_time_began() {
    each(|store| {
        let size = record("1", &["x"]).size();
        limit(store, |limits| (limits.max_bytes, limits.reserve_for) = (3 * size, Level::Trace));
        let [late, early, soon] = accept_all(store, ["1", "2", "3"]);
        end(store, late, 0, State::Delivered, NOW + 30_000);
        end(store, early, 0, State::Delivered, NOW + 20_000);
        end(store, soon, 0, State::Delivered, NOW + 9_000);
        for (id, left) in [("4", [true, true, false]), ("5", [true, false, false]), ("6", [false; 3])] {
            accept(store, record(id, &["x"]));
            assert_eq!(are_there(store, ["1", "2", "3"]), left, "{id}");
        }
    });
}
