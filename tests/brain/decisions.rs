//! Decisions that the embedded brain never makes.

use std::time::Duration;

use nuncio::Remains;
use nuncio::contract::{Level, Notification};
use nuncio::store::{SqliteStore, State};

use super::{delivery, start, start_with, target};
use crate::scripted::{Receiver, reply};
use crate::stage::BEGINNING;

#[tokio::test]
async fn what_is_no_target_gets_nothing_and_the_others_get_theirs() {
    for mode in ["invents", "invents-many"] {
        let receiver = Receiver::start([reply(200)]);
        let stage = start(&[target(mode, &receiver)]);
        let receipt = stage.hand_in(Notification::new(Level::Info, "x")).await;
        assert!(stage.drive().await.is_empty());
        assert_eq!((receipt.targets, receipt.unknown), (vec![mode.into()], vec![]));
        assert_eq!(stage.deliveries(&receipt.id).await.len(), 1);
        assert_eq!(delivery(&stage, &receipt.id, mode).await.progress.state, State::Delivered);
    }
}

#[tokio::test]
async fn a_notification_is_shown_whole_where_a_target_has_a_condition_and_nowhere_else() {
    // Each breaks off at the other form.
    for mode in ["has-a-condition", "has-no-condition"] {
        let receiver = Receiver::start([reply(200)]);
        let stage = start(&[target(mode, &receiver)]);
        let receipt = stage.hand_in(Notification::new(Level::Info, "x")).await;
        assert_eq!(receipt.targets, [mode.into()]);
    }
}

#[tokio::test]
async fn a_name_that_the_guest_says_is_unknown_is_one_that_was_asked_for_once() {
    let receiver = Receiver::start([reply(200)]);
    for (mode, unknown) in [("knows-not-what-nobody-asked", 0), ("knows-not-what-it-knows", 1)] {
        let stage = start(&[target(mode, &receiver)]);
        let receipt = stage.hand_in(Notification::new(Level::Info, "x").to("other").to(mode)).await;
        assert!(stage.drive().await.is_empty());
        assert_eq!((receipt.targets.len(), receipt.unknown.len()), (1, unknown), "{mode}");
        assert_eq!(stage.deliveries(&receipt.id).await.len(), 1 + unknown, "{mode}");
        assert!(receipt.unknown.iter().all(|name| name.name == "other" && name.because.len() <= 1_024));
    }
    // A target that gets it is not dead as well.
    let stage = start(&[target("knows-not-what-it-knows", &receiver)]);
    let receipt = stage.hand_in(Notification::new(Level::Info, "x").to("knows-not-what-it-knows")).await;
    assert!(stage.drive().await.is_empty());
    assert_eq!((receipt.targets.len(), receipt.unknown), (1, vec![]));
    assert_eq!(stage.end(&receipt.id).await, (State::Delivered, 1));
}

#[tokio::test]
async fn two_requests_arrive_in_order_and_once() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("twice", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    assert!(stage.drive().await.is_empty());
    assert_eq!(stage.end(&id).await.0, State::Delivered);
    assert_eq!(paths(&receiver), ["/1", "/2"]);
}

#[tokio::test]
async fn each_of_two_requests_has_its_own_retries_and_what_was_delivered_is_not_sent_again() {
    let receiver = Receiver::start([reply(503), reply(200), reply(503), reply(200)]);
    let stage = start(&[target("twice", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    let waits = stage.drive().await;
    assert_eq!(paths(&receiver), ["/1", "/1", "/2", "/2"]);
    assert_eq!(stage.end(&id).await.0, State::Delivered);
    assert_eq!(waits, [Duration::from_secs(1); 2]);
}

#[tokio::test]
async fn the_second_of_two_requests_that_fails_for_good_ends_the_delivery() {
    let receiver = Receiver::start([reply(200), reply(503)]);
    let stage = start(&[target("twice", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await.0, State::Dead);
    assert_eq!(paths(&receiver), ["/1", "/2", "/2"]);
}

#[tokio::test]
async fn parking_costs_no_attempt() {
    let receiver = Receiver::start([reply(503), reply(503), reply(200)]);
    let stage = start(&[target("parks", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    let waits = stage.drive().await;
    // At level info there is one retry; all three were sent, and are counted for people.
    assert_eq!(stage.end(&id).await, (State::Delivered, 3));
    assert_eq!((receiver.seen().requests.len(), waits.len()), (3, 2));
}

#[tokio::test]
async fn a_guest_that_waits_for_the_past_is_asked_once_a_millisecond() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("waits-in-the-past", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    let waits = stage.drive().await;
    assert_eq!(waits, [Duration::from_millis(1); 5]);
    assert_eq!(stage.end(&id).await, (State::Delivered, 1));
}

fn paths(receiver: &Receiver) -> Vec<String> {
    receiver.seen().requests.into_iter().map(|request| request.path).collect()
}

#[tokio::test]
async fn a_target_that_is_named_twice_gets_one_delivery() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("names-twice", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 1));
    assert_eq!(receiver.seen().requests.len(), 1);
}

#[tokio::test]
async fn a_retry_at_the_end_of_time_is_due_a_day_later() {
    let receiver = Receiver::start([reply(503), reply(200)]);
    let stage = start(&[target("retries-at-max", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    assert_eq!(stage.drive().await, [Duration::from_secs(24 * 60 * 60)]);
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
}

#[tokio::test]
async fn a_guest_that_waits_for_ever_is_asked_again_a_day_later() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("waits-for-ever", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    assert_eq!(stage.drive().await, [Duration::from_secs(24 * 60 * 60)]);
    assert_eq!(stage.end(&id).await, (State::Delivered, 1));
}

#[tokio::test]
async fn a_target_without_concurrency_has_one_request_under_way() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("concurrency-0", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 1));
}

#[tokio::test]
async fn an_endpoint_with_the_largest_numbers_is_kept_and_read_again() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("endpoint-at-max.db");
    let _ = std::fs::remove_file(&path);
    let receiver = Receiver::start([reply(503), reply(503), reply(200)]);
    let targets = [target("endpoint-at-max", &receiver)];
    for _ in 0..3 {
        let stage = start_with(&targets, |builder| builder.store(SqliteStore::open(&path).unwrap()));
        let id = stage.hand_in(Notification::new(Level::Error, "x")).await.id;
        stage.drive().await;
        let health = stage.nuncio.targets().await.unwrap().remove(0).health;
        assert_eq!((health.endpoint.not_before, health.endpoint.spent_milli), (u64::MAX, u32::MAX));
        assert_eq!(health.endpoint.budget_left(BEGINNING), 0);
        assert_eq!(stage.end(&id).await.0, State::Delivered);
        let remains = stage.nuncio.shutdown(Duration::from_secs(1)).await;
        assert_eq!(remains, Some(Remains { waiting: 0, in_flight: 0, unwritten: 0 }));
    }
}
