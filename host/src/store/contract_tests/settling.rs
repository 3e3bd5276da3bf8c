//! Where a delivery stands from one settlement to the next.

use super::*;

#[test]
fn a_delivery_stands_where_it_was_settled() {
    each(|store| {
        let number = accept(store, record("a", &["x", "y"]));
        let progress = Progress {
            state: State::Retrying,
            attempts: 2,
            detail: "status 503".into(),
            class: Some(Class::Transient),
            reply: Some(LastReply { status: 503, body: "busy".into() }),
            queued_at: NOW,
            due_at: Some(NOW + 9_000),
            first_tried_at: Some(NOW + 1),
            tried_at: Some(NOW + 2),
            ended_at: None,
            tried: 1,
            sent: 3,
            parts: 1,
            faults: 2,
            plain: true,
        };
        assert_eq!(settle(store, number, 1, false, progress.clone()), Done::Settled);
        let found = store.reader().find("a").unwrap().unwrap();
        assert_eq!(found.deliveries[0].progress, Progress::queued(NOW));
        assert_eq!(found.deliveries[1].progress, progress);
    });
}

#[test]
fn what_has_arrived_keeps_all_that_is_said_of_it() {
    let arrived = Progress {
        state: State::Delivered,
        attempts: 4,
        detail: "status 200".into(),
        class: Some(Class::Delivered),
        reply: None,
        queued_at: NOW + 1,
        due_at: None,
        first_tried_at: Some(NOW + 2),
        tried_at: Some(NOW + 3),
        ended_at: Some(NOW + 4),
        tried: 0,
        sent: 0,
        parts: 2,
        faults: 0,
        plain: true,
    };
    let reply = Some(LastReply { status: 200, body: "ok".into() });
    let all = [
        arrived.clone(),
        Progress { tried: 1, ..arrived.clone() },
        Progress { sent: 1, ..arrived.clone() },
        Progress { faults: 1, ..arrived.clone() },
        Progress { class: None, ..arrived.clone() },
        Progress { reply, ..arrived },
    ];
    each(|store| {
        for (id, arrived) in ('a'..).zip(&all) {
            let id = id.to_string();
            let number = accept(store, record(&id, &["x", "y"]));
            // What stood there before is gone.
            let (class, reply) =
                (Some(Class::Transient), Some(LastReply { status: 503, body: "busy".into() }));
            let tried = Progress { class, reply, tried: 1, sent: 1, ..progress(State::Retrying, NOW + 9) };
            for progress in [tried, arrived.clone()] {
                assert_eq!(settle(store, number, 1, false, progress), Done::Settled);
            }
            assert_eq!(settle(store, number, 1, false, arrived.clone()), Done::Unchanged);
            let found = store.reader().find(&id).unwrap().unwrap();
            assert_eq!(found.deliveries[0].progress, Progress::queued(NOW));
            assert_eq!(found.deliveries[1].progress, *arrived);
        }
    });
}

#[test]
fn what_ended_in_between_is_left_alone() {
    each(|store| {
        let number = accept(store, record("a", &["x"]));
        assert_eq!(settle(store, number, 0, true, progress(State::Queued, NOW)), Done::Unchanged);
        end(store, number, 0, State::Delivered, NOW);
        assert_eq!(settle(store, number, 0, false, progress(State::Dead, NOW)), Done::Unchanged);
        assert_eq!(settle(store, number, 1, false, progress(State::Dead, NOW)), Done::Unchanged);
        assert_eq!(settle(store, number + 1, 0, false, progress(State::Dead, NOW)), Done::Unchanged);
        assert_eq!(states(store, "a"), Some(vec![("x".into(), State::Delivered)]));
    });
}
