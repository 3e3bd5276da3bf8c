//! What every store must do, asked of each of them.

use std::sync::Arc;

use super::*;
use crate::contract::{Arrivals, Body, Breaker, Class, Endpoint, Field, Pace, Probe, Recent};

mod forgetting;
mod settling;

const NOW: UnixMs = 1_795_383_000_000;

/// The stores, each empty.
fn each(test: impl Fn(&mut dyn Store)) {
    test(&mut MemoryStore::default());
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().unwrap();
        test(&mut SqliteStore::open(folder.path().join("queue.db")).unwrap());
    }
}

fn record(id: &str, targets: &[&str]) -> Record {
    let notification = Notification { id: id.to_owned(), at: NOW, ..Notification::new(Level::Info, "t") };
    let deliveries = targets.iter().map(|target| Delivery::queued(*target, NOW)).collect();
    Record { notification: Arc::new(notification), idempotency_key: None, deliveries }
}

fn of_level(mut record: Record, level: Level) -> Record {
    Arc::make_mut(&mut record.notification).level = level;
    record
}

fn do_one(store: &mut dyn Store, operation: Operation) -> Done {
    store.commit(&[operation]).unwrap().remove(0)
}

fn accept(store: &mut dyn Store, record: Record) -> u64 {
    match do_one(store, Operation::Accept(record)) {
        Done::Accepted(number) => number,
        other => panic!("{other:?}"),
    }
}

fn progress(state: State, at: UnixMs) -> Progress {
    let ended_at = state.has_ended().then_some(at);
    Progress { state, due_at: (!state.has_ended()).then_some(at), ended_at, ..Progress::queued(NOW) }
}

fn settle(store: &mut dyn Store, record: u64, n: u16, had_ended: bool, progress: Progress) -> Done {
    let key = DeliveryKey { record, n };
    let there = store.reader().entries(&[key]).unwrap();
    let replaces = there.first().map_or(0, |entry| entry.delivery.progress.size());
    let (level, target) =
        (Level::Info, there.first().map_or("x".into(), |entry| Arc::clone(&entry.delivery.target)));
    do_one(store, Operation::Settle(Settlement { key, target, had_ended, level, replaces, progress }))
}

fn end(store: &mut dyn Store, record: u64, n: u16, state: State, at: UnixMs) {
    assert_eq!(settle(store, record, n, false, progress(state, at)), Done::Settled);
}

fn limit(store: &mut dyn Store, change: impl FnOnce(&mut Limits)) {
    let mut limits = store.limits();
    change(&mut limits);
    assert_eq!(do_one(store, Operation::Limit(limits)), Done::Limited);
    assert_eq!(store.limits(), limits);
}

fn states(store: &dyn Store, id: &str) -> Option<Vec<(String, State)>> {
    let record = store.reader().find(id).unwrap()?;
    Some(record.deliveries.into_iter().map(|d| (d.target.to_string(), d.progress.state)).collect())
}

fn prune(store: &mut dyn Store, now: UnixMs) -> Option<UnixMs> {
    match do_one(store, Operation::Prune(now)) {
        Done::Pruned { next } => next,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_found_as_it_was_handed_in() {
    let bodies = [
        Body::Text(String::new()),
        Body::Text("a\nb \u{0} 'x'".into()),
        Body::Items(vec![]),
        Body::Items(vec!["a".into(), String::new()]),
        Body::Fields(vec![]),
        Body::Fields(vec![Field { name: "n".into(), value: "v".into() }]),
    ];
    each(|store| {
        for (n, body) in bodies.iter().enumerate() {
            let id = format!("id-{n}");
            let notification = Notification {
                id: id.clone(),
                at: NOW + 7,
                level: Level::Fatal,
                title: "a \"title\"".into(),
                body: body.clone(),
                color: (n % 2 == 0).then_some(0xff_ffff),
                to: vec!["phone".into()],
                tags: vec!["ä,b".into(), "c".into()],
                link: (n % 2 == 1).then(|| "https://example.org/?a=1".into()),
                key: (n % 3 == 0).then(|| "disk/ä".into()),
                resolves: (n % 3 == 1).then(|| "disk/ä".into()),
            };
            let deliveries =
                vec![Delivery::queued("phone", NOW), Delivery::dead("fone", NOW, "no such target".into())];
            let idempotency_key = Some(format!("key-{n}"));
            let record = Record { notification: Arc::new(notification), idempotency_key, deliveries };
            let number = accept(store, record.clone());
            let mut reader = store.reader();
            assert_eq!(reader.find(&id).unwrap(), Some(record.clone()));
            assert_eq!(reader.notification(number).unwrap(), Some(record.notification));
        }
        let mut reader = store.reader();
        assert_eq!(reader.find("another").unwrap(), None);
        assert_eq!(reader.notification(99).unwrap(), None);
    });
}

#[test]
fn records_are_numbered_in_the_order_of_acceptance() {
    each(|store| {
        let operations: Vec<_> =
            ["z", "a", "m"].iter().map(|id| Operation::Accept(record(id, &["x"]))).collect();
        let done = store.commit(&operations).unwrap();
        let numbers: Vec<u64> = done
            .iter()
            .map(|done| match done {
                Done::Accepted(number) => *number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let page = store.reader().list(&Query::open()).unwrap();
        let ids: Vec<&str> = page.entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["z", "a", "m"]);
    });
}

#[test]
fn a_repeated_hand_in_is_known_by_its_id_or_its_key() {
    each(|store| {
        let keyed = |id: &str, key: &str| Record { idempotency_key: Some(key.into()), ..record(id, &["x"]) };
        let different = |mut record: Record| {
            Arc::make_mut(&mut record.notification).title = "another".into();
            record
        };
        accept(store, keyed("a", "k"));
        accept(store, record("b", &["x"]));
        let known = |id: &str, is_same| Done::Known { id: id.into(), is_same };
        for (again, done) in [
            (record("a", &["x"]), known("a", true)),
            (record("a", &["y", "z"]), known("a", true)),
            (different(record("a", &["x"])), known("a", false)),
            (keyed("c", "k"), known("a", true)),
            (different(keyed("c", "k")), known("a", false)),
            (keyed("b", "k"), known("b", true)),
        ] {
            assert_eq!(do_one(store, Operation::Accept(again)), done);
        }
        assert_eq!(store.reader().usage().unwrap().open, 2);
    });
}

#[test]
fn a_repeated_hand_in_is_known_within_its_group_and_when_the_queue_is_full() {
    each(|store| {
        limit(store, |limits| limits.max_messages = 1);
        let error = |id| Operation::Accept(of_level(record(id, &["x"]), Level::Error));
        let done = store.commit(&[error("a"), error("a"), error("b")]).unwrap();
        assert_eq!(done[1], Done::Known { id: "a".into(), is_same: true });
        assert_eq!(done[2], Done::Full);
    });
}

#[test]
fn what_waits_is_bounded_and_the_last_tenth_is_for_what_is_serious() {
    each(|store| {
        limit(store, |limits| limits.max_messages = 10);
        for n in 0..9 {
            accept(store, record(&n.to_string(), &["x"]));
        }
        let warn = || Operation::Accept(of_level(record("warn", &["x"]), Level::Warn));
        assert_eq!(do_one(store, warn()), Done::Full);
        let two = of_level(record("two", &["x", "y"]), Level::Error);
        assert_eq!(do_one(store, Operation::Accept(two)), Done::Full);
        let error = accept(store, of_level(record("error", &["x"]), Level::Error));
        let fatal = of_level(record("fatal", &["x"]), Level::Fatal);
        assert_eq!(do_one(store, Operation::Accept(fatal)), Done::Full);
        // What nobody wants waits for nothing.
        accept(store, record("nobody", &[]));
        end(store, error, 0, State::Delivered, NOW);
        end(store, error - 1, 0, State::Dead, NOW);
        accept(store, record("again", &["x"]));
        assert_eq!(store.reader().usage().unwrap().open, 9);
    });
}

#[test]
fn what_is_kept_is_bounded_and_what_arrived_makes_room_but_no_dead_letter() {
    each(|store| {
        let size = record("0", &["x"]).size();
        limit(store, |limits| (limits.max_bytes, limits.reserve_for) = (4 * size, Level::Trace));
        let numbers: Vec<u64> = (0..4).map(|n| accept(store, record(&n.to_string(), &["x"]))).collect();
        let full = |store: &mut dyn Store| do_one(store, Operation::Accept(record("9", &["x"])));
        assert_eq!(full(store), Done::Full);
        end(store, numbers[0], 0, State::Dead, NOW);
        assert_eq!(full(store), Done::Full);
        end(store, numbers[2], 0, State::Delivered, NOW);
        assert!(matches!(full(store), Done::Accepted(_)));
        // What is in vain is not begun.
        let large = "x".repeat(usize::try_from(5 * size).unwrap());
        let notification = Notification { id: "large".into(), ..Notification::new(Level::Info, large) };
        let large = Record { notification: Arc::new(notification), ..record("large", &["x"]) };
        end(store, numbers[3], 0, State::Delivered, NOW);
        assert_eq!(do_one(store, Operation::Accept(large)), Done::Full);
        let left: Vec<bool> =
            ["0", "1", "2", "3", "9"].iter().map(|id| states(store, id).is_some()).collect();
        assert_eq!(left, [true, true, false, true, true]);
        assert_eq!(store.reader().usage().unwrap().bytes, 4 * size);
    });
}

#[test]
fn what_ended_is_kept_for_its_time_and_then_forgotten() {
    each(|store| {
        limit(store, |limits| (limits.keep, limits.keep_dead) = (1_000, 5_000));
        let both = accept(store, record("both", &["x", "y"]));
        accept(store, record("open", &["x"]));
        accept(store, record("nobody", &[]));
        let dropped = accept(store, record("dropped", &["x"]));
        assert_eq!(prune(store, NOW + 999), Some(NOW + 1_000));
        end(store, both, 0, State::Dead, NOW + 100);
        end(store, both, 1, State::Delivered, NOW + 200);
        end(store, dropped, 0, State::Dropped, NOW + 10_300);
        assert_eq!(prune(store, NOW + 1_000), Some(NOW + 5_100));
        assert!(states(store, "nobody").is_none());
        assert_eq!(prune(store, NOW + 5_100), Some(NOW + 11_000));
        assert_eq!(states(store, "both"), Some(vec![("y".into(), State::Delivered)]));
        // What arrived at once is kept as if it had taken ten seconds.
        assert_eq!(prune(store, NOW + 10_999), Some(NOW + 11_000));
        assert_eq!(prune(store, NOW + 11_000), Some(NOW + 11_300));
        assert!(states(store, "both").is_none() && states(store, "dropped").is_some());
        assert_eq!(prune(store, NOW + 11_300), None);
        assert!(states(store, "dropped").is_none() && states(store, "open").is_some());
        // And an id can be used anew.
        accept(store, record("both", &["x"]));
    });
}

#[test]
fn what_is_over_a_smaller_limit_is_forgotten_step_by_step() {
    each(|store| {
        for n in 0..700 {
            let number = accept(store, record(&n.to_string(), &["x"]));
            end(store, number, 0, State::Delivered, NOW);
        }
        let size = record("0", &["x"]).size();
        limit(store, |limits| limits.max_bytes = 100 * size);
        let mut steps = 0;
        while prune(store, NOW) == Some(NOW) {
            steps += 1;
        }
        assert!((2..=4).contains(&steps), "{steps}");
        let bytes = store.reader().usage().unwrap().bytes;
        assert!(bytes <= 100 * size && 90 * size < bytes, "{bytes}");
    });
}

#[test]
fn a_probe_writes_and_changes_nothing() {
    each(|store| {
        accept(store, record("a", &["x"]));
        let before = store.reader().usage().unwrap().open;
        assert_eq!(do_one(store, Operation::Probe), Done::Probed);
        assert_eq!(store.reader().usage().unwrap().open, before);
    });
}

#[test]
fn forgetting_goes_by_small_steps() {
    each(|store| {
        limit(store, |limits| limits.keep = 0);
        for n in 0..600 {
            let number = accept(store, record(&n.to_string(), &["x"]));
            end(store, number, 0, State::Delivered, NOW);
        }
        let mut steps = 1;
        while prune(store, NOW + 10_000).is_some() {
            steps += 1;
        }
        assert!((3..=9).contains(&steps), "{steps}");
        let usage = store.reader().usage().unwrap();
        assert_eq!((usage.open, usage.bytes), (0, 0));
    });
}

#[test]
fn a_dead_letter_is_replayed_where_there_is_room() {
    each(|store| {
        limit(store, |limits| (limits.max_messages, limits.reserve_for) = (1, Level::Trace));
        let number = accept(store, record("a", &["x"]));
        end(store, number, 0, State::Dead, NOW);
        let other = accept(store, record("b", &["x"]));
        let again = || progress(State::Queued, NOW + 5);
        assert_eq!(settle(store, number, 0, true, again()), Done::Full);
        end(store, other, 0, State::Delivered, NOW);
        assert_eq!(settle(store, number, 0, true, again()), Done::Settled);
        assert_eq!(settle(store, number, 0, true, again()), Done::Full);
        // Twice is once.
        limit(store, |limits| limits.max_messages = 2);
        assert_eq!(settle(store, number, 0, true, again()), Done::Unchanged);
        // The last tenth is not for replays of what is less serious.
        limit(store, |limits| (limits.max_messages, limits.reserve_for) = (10, Level::Error));
        for n in 0..8 {
            accept(store, record(&n.to_string(), &["x"]));
        }
        end(store, number, 0, State::Dead, NOW);
        accept(store, record("ninth", &["x"]));
        assert_eq!(settle(store, number, 0, true, again()), Done::Full);
        assert_eq!(states(store, "a"), Some(vec![("x".into(), State::Dead)]));
        assert_eq!(store.reader().usage().unwrap().open, 9);
    });
}

#[test]
fn a_list_has_those_that_are_meant_page_by_page() {
    each(|store| {
        for n in 0..10 {
            let level = if n < 5 { Level::Info } else { Level::Error };
            accept(store, of_level(record(&format!("id-{n}"), &["x", "y"]), level));
        }
        for (record, n, state, at) in [
            (1, 0, State::Dead, 50),
            (2, 1, State::Dead, 60),
            (8, 0, State::Dead, 70),
            (9, 0, State::Dropped, 80),
        ] {
            let detail = format!("because of {record}");
            let dead = Progress { detail, ..progress(state, NOW + at) };
            assert_eq!(settle(store, record, n, false, dead), Done::Settled);
        }
        let mut reader = store.reader();
        let mut keys = |query: &Query| -> Vec<String> {
            let (mut query, mut keys) = (query.clone(), Vec::new());
            loop {
                let page = reader.list(&query).unwrap();
                assert!(page.entries.len() <= query.page());
                keys.extend(page.entries.iter().map(|entry| entry.key.to_string()));
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
            let count = reader.count(&query).unwrap();
            assert_eq!(count, keys.len() as u64);
            keys
        };
        let all = Query { limit: 3, ..Query::default() };
        let dead = Query { states: vec![State::Dead], limit: 2, ..Query::default() };
        assert_eq!(keys(&all).len(), 20);
        assert_eq!(keys(&Query { limit: 3, ..Query::open() }).len(), 16);
        assert_eq!(keys(&dead), ["1.0", "2.1", "8.0"]);
        assert_eq!(keys(&Query { target: Some("y".into()), ..dead.clone() }), ["2.1"]);
        assert_eq!(keys(&Query { level: Some(Level::Warn), ..dead.clone() }), ["8.0"]);
        assert_eq!(keys(&Query { since: Some(NOW + 60), ..dead.clone() }), ["2.1", "8.0"]);
        assert_eq!(keys(&Query { reason: Some("of 1".into()), ..dead }), ["1.0"]);
        assert_eq!(keys(&Query { id: Some("id-7".into()), ..all.clone() }), ["8.0", "8.1"]);
        let ended = Query { states: vec![State::Dead, State::Dropped, State::Delivered], ..all };
        assert_eq!(keys(&ended), ["1.0", "2.1", "8.0", "9.0"]);

        let page = reader.list(&Query { limit: 1, ..Query::default() }).unwrap();
        let (entry, number) = (&page.entries[0], DeliveryKey { record: 1, n: 0 });
        assert_eq!(
            (entry.key, entry.id.as_str(), entry.level, entry.title.as_str(), entry.at),
            (number, "id-0", Level::Info, "t", NOW)
        );
        assert_eq!(entry.delivery.progress.detail, "because of 1");
        let missing = DeliveryKey { record: 1, n: 9 };
        let entries = reader.entries(&[DeliveryKey { record: 8, n: 0 }, missing, number]).unwrap();
        assert_eq!(entries.iter().map(|e| e.key.to_string()).collect::<Vec<_>>(), ["8.0", "1.0"]);
    });
}

#[test]
fn usage_counts_by_target_and_state() {
    each(|store| {
        let number = accept(store, record("a", &["y", "x"]));
        accept(store, record("b", &["x"]));
        end(store, number, 0, State::Delivered, NOW);
        let usage = store.reader().usage().unwrap();
        let counts: Vec<_> =
            usage.targets.iter().map(|c| (c.target.as_str(), c.state, c.deliveries)).collect();
        assert_eq!(counts, [("x", State::Queued, 2), ("y", State::Delivered, 1)]);
        assert_eq!((usage.open, usage.targets[0].oldest), (2, NOW));
    });
}

#[test]
fn how_endpoints_are_is_remembered_by_name_until_it_is_forgotten() {
    let probe = Probe { at: u64::MAX, number: 3, is_held: true };
    let health = |target: &str, breaker| Health {
        target: target.to_owned(),
        fingerprint: u64::MAX,
        endpoint: Endpoint {
            updated: NOW,
            not_before: u64::MAX,
            spent_milli: 9_999,
            credited: NOW,
            breaker,
            consecutive_failures: 7,
            recent: Recent { since: 1, successes: 2, failures: 3, successes_before: 4, failures_before: 5 },
            arrivals: Arrivals { since: 1, latest: 2, count: 3, count_before: 4 },
            pace: Pace {
                is_draining: true,
                next_us: 1,
                interval_us: 2,
                since: 3,
                successes: 4,
                throttled: 5,
                in_a_row: 6,
            },
            last_success: None,
            last_failure: Some(NOW),
            unreadable_hints: 1,
        },
        last_error: Some((NOW, "status 503".to_owned())),
    };
    each(|store| {
        let (phone, desk) = (health("phone", Breaker::Open(probe)), health("desk", Breaker::Gone));
        let quiet = Health { last_error: None, ..health("phone", Breaker::Closed) };
        let remember = |health: &Health| Operation::Remember(health.clone());
        let operations = [remember(&phone), remember(&desk), remember(&quiet)];
        assert_eq!(
            store.commit(&operations).unwrap(),
            [Done::Remembered, Done::Remembered, Done::Remembered]
        );
        assert_eq!(store.reader().healths().unwrap(), [desk, quiet.clone()]);
        let forget = ["desk", "watch"].map(|name| Operation::Forget(name.to_owned()));
        assert_eq!(store.commit(&forget).unwrap(), [Done::Remembered, Done::Remembered]);
        assert_eq!(store.reader().healths().unwrap(), [quiet]);
    });
}
