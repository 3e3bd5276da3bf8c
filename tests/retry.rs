//! The retry policy in the whole: what waits for an endpoint that is down, what it costs, what is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nuncio::TargetHealth;
use nuncio::contract::{Breaker, Level, Notification};
use nuncio::store::{MemoryStore, SqliteStore, State};

use crate::queue::{HOUR, ntfy, one_target, titled, titles};
use crate::scripted::{Received, Receiver, answering, close_after_reading, hang, reply};
use crate::stage::{Stage, config};

async fn health(stage: &Stage) -> TargetHealth {
    stage.nuncio.targets().await.expect("it runs").remove(0)
}

fn noted(level: Level, title: &str) -> Notification {
    Notification::new(level, title)
}

/// Steps for a length of time.
async fn drive_for(stage: &Stage, length: Duration) {
    let mut left = length;
    while let Some(due) = stage.nuncio.idle().await {
        let wait = Duration::from_millis(due.saturating_sub(stage.nuncio.now()));
        if left < wait {
            break;
        }
        stage.clock.advance(wait);
        left -= wait;
    }
    stage.clock.advance(left);
    stage.nuncio.idle().await;
}

#[tokio::test]
async fn while_an_endpoint_is_down_all_wait_and_probes_are_few() {
    let is_well = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_well);
    let receiver = Receiver::start(answering(move |_: &Received| {
        reply(if mood.load(Ordering::SeqCst) { 200 } else { 503 })
    }));
    let stage = Stage::start(&one_target(&receiver, ""));
    for n in 0..50 {
        stage.hand_in(noted(Level::Debug, &format!("n {n}"))).await;
        drive_for(&stage, Duration::from_secs(6)).await;
    }
    // Five minutes: five first attempts, a full budget of ten, and what trickles into it.
    let requests = receiver.seen().requests.len();
    assert!((14..=25).contains(&requests), "{requests} requests");
    let down = health(&stage).await;
    assert!(matches!(down.health.endpoint.breaker, Breaker::Open(_)), "{down:?}");
    assert_eq!(down.waiting, 50);
    assert!(down.health.last_error.is_some_and(|(_, error)| error.contains("503")));
    is_well.store(true, Ordering::SeqCst);
    stage.drive().await;
    let stats = stage.nuncio.stats().await.unwrap();
    assert_eq!((stats.delivered, stats.dead), (50, 0));
    assert!(matches!(health(&stage).await.health.endpoint.breaker, Breaker::Closed));
}

#[tokio::test]
async fn a_poison_message_ends_at_its_limit_and_delays_nobody() {
    let poisoned = |request: &Received| {
        if request.json()["message"] == "poison" { reply(500) } else { reply(200) }
    };
    let receiver = Receiver::start(answering(poisoned));
    let stage = Stage::start(&one_target(&receiver, ""));
    let id = stage.hand_in(noted(Level::Error, "poison")).await.id;
    for n in 0..40 {
        let good = stage.hand_in(noted(Level::Info, &format!("n {n}"))).await.id;
        stage.nuncio.idle().await;
        assert_eq!(stage.end(&good).await, (State::Delivered, 1), "{n}");
        drive_for(&stage, Duration::from_secs(1)).await;
    }
    assert_eq!(stage.end(&id).await, (State::Dead, 4));
}

#[tokio::test]
async fn one_that_cannot_arrive_does_not_keep_a_quiet_endpoint_from_being_found_to_work() {
    let poisoned = |request: &Received| {
        if request.json()["message"] == "poison" { reply(500) } else { reply(200) }
    };
    let receiver = Receiver::start(answering(poisoned));
    let stage = Stage::start(&one_target(&receiver, ""));
    let id = stage.hand_in(noted(Level::Info, "poison")).await.id;
    drive_for(&stage, HOUR).await;
    assert_eq!(stage.end(&id).await.0, State::Retrying, "nothing shows that the endpoint works");
    let good = stage.hand_in(noted(Level::Info, "good")).await.id;
    drive_for(&stage, Duration::from_secs(33)).await;
    assert_eq!(stage.end(&good).await, (State::Delivered, 1), "it goes with the next probe");
    stage.drive().await;
    assert_eq!(stage.end(&id).await.0, State::Dead);
}

#[tokio::test]
async fn refused_credentials_hold_the_target_say_so_once_and_new_ones_let_it_go() {
    let (refusing, desk) = (Receiver::start([reply(401)]), Receiver::start([reply(200)]));
    let yaml = |receiver: &Receiver| {
        format!("alerts_to: [desk]\ntargets:\n{}{}", ntfy("phone", receiver, ""), ntfy("desk", &desk, ""))
    };
    let stage = Stage::start(&yaml(&refusing));
    let to_phone = |n: u32| Notification { to: vec!["phone".into()], ..titled(format!("n {n}")) };
    let ids = [stage.hand_in(to_phone(0)).await.id, stage.hand_in(to_phone(1)).await.id];
    drive_for(&stage, Duration::from_secs(290)).await;
    assert!(refusing.seen().requests.len() <= 2, "{}", refusing.seen().requests.len());
    let told: Vec<String> = desk.seen().requests.iter().map(|r| r.json()["title"].to_string()).collect();
    assert_eq!(told, ["\"phone does not accept its credentials\""]);
    assert!(matches!(health(&stage).await.health.endpoint.breaker, Breaker::Held(_)));
    drive_for(&stage, Duration::from_secs(3_600)).await;
    // After 5, 10 and 20 minutes, and nobody is told again.
    assert!(refusing.seen().requests.len() <= 6);
    assert_eq!(desk.seen().requests.len(), 1);

    let accepting = Receiver::start([reply(200)]);
    stage.nuncio.reload(config(&yaml(&accepting))).await.unwrap();
    stage.drive().await;
    for id in ids {
        assert_eq!(stage.end(&id).await.0, State::Delivered);
    }
}

#[tokio::test]
async fn what_is_gone_is_left_alone_until_somebody_enables_it() {
    let receiver = Receiver::start([reply(410), reply(200)]);
    let stage = Stage::start(&one_target(&receiver, ""));
    let id = stage.hand_in(titled("x")).await.id;
    drive_for(&stage, 20 * HOUR).await;
    assert_eq!(receiver.seen().requests.len(), 1);
    assert_eq!(stage.end(&id).await, (State::Retrying, 1));
    assert_eq!(stage.nuncio.enable("watch").await, Some(false));
    assert_eq!(stage.nuncio.enable("phone").await, Some(true));
    stage.nuncio.idle().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
}

#[tokio::test]
async fn what_is_known_of_endpoints_survives_a_restart_but_no_change_of_settings() {
    let folder = tempfile::tempdir().unwrap();
    let store = || SqliteStore::open(folder.path().join("queue.db")).unwrap();
    let receiver = Receiver::start([reply(410)]);
    let start =
        |more: &str| Stage::start_with(&one_target(&receiver, more), |builder| builder.store(store()));
    let stage = start("");
    stage.hand_in(titled("x")).await;
    stage.nuncio.idle().await;
    stage.nuncio.shutdown(Duration::ZERO).await.unwrap();

    let stage = start("");
    drive_for(&stage, HOUR).await;
    let known = health(&stage).await;
    assert!(matches!(known.health.endpoint.breaker, Breaker::Gone), "{known:?}");
    assert!(known.health.last_error.is_some_and(|(_, error)| error.contains("410")));
    assert_eq!(receiver.seen().requests.len(), 1);
    stage.nuncio.shutdown(Duration::ZERO).await.unwrap();

    let stage = start(", timeout: 3s");
    drive_for(&stage, Duration::from_secs(2)).await;
    assert_eq!(receiver.seen().requests.len(), 2);
    stage.nuncio.shutdown(Duration::ZERO).await.unwrap();
    // A target that the configuration no longer has is forgotten.
    let other = format!("targets:\n{}", ntfy("watch", &receiver, ""));
    let stage = Stage::start_with(&other, |builder| builder.store(store()));
    stage.nuncio.idle().await;
    stage.nuncio.shutdown(Duration::ZERO).await.unwrap();
    let known = nuncio::store::Store::reader(&store()).healths().unwrap();
    assert_eq!(known.iter().map(|health| health.target.as_str()).collect::<Vec<_>>(), ["watch"]);
}

#[tokio::test]
async fn credentials_that_are_refused_after_an_outage_are_told_of_too() {
    let is_up = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_up);
    let phone = Receiver::start(answering(move |_: &Received| {
        reply(if mood.load(Ordering::SeqCst) { 401 } else { 503 })
    }));
    let desk = Receiver::start([reply(200)]);
    let lists = [ntfy("phone", &phone, ""), ntfy("desk", &desk, "")].concat();
    let stage = Stage::start(&format!("alerts_to: [desk]\ntargets:\n{lists}"));
    for n in 0..5 {
        stage.hand_in(Notification { to: vec!["phone".into()], ..titled(format!("n {n}")) }).await;
    }
    drive_for(&stage, HOUR).await;
    assert!(matches!(health(&stage).await.health.endpoint.breaker, Breaker::Open(_)));
    is_up.store(true, Ordering::SeqCst);
    drive_for(&stage, Duration::from_secs(60)).await;
    let told: Vec<String> = desk.seen().requests.iter().map(|r| r.json()["title"].to_string()).collect();
    assert_eq!(told, ["\"phone does not accept its credentials\""]);
}

#[tokio::test]
async fn a_late_reply_to_old_settings_says_nothing_of_the_new_ones() {
    let (old, new) = (Receiver::start([hang()]), Receiver::start([reply(200)]));
    let stage = Stage::start(&one_target(&old, ""));
    for n in 0..4 {
        stage.hand_in(titled(format!("n {n}"))).await;
    }
    old.until("four requests", |seen| seen.requests.len() == 4).await;
    stage.nuncio.reload(config(&one_target(&new, ""))).await.unwrap();
    // They are out of time, all four.
    stage.clock.advance(Duration::from_secs(10));
    stage.nuncio.idle().await;
    assert_eq!(health(&stage).await.health.endpoint.consecutive_failures, 0);
    stage.drive().await;
    assert_eq!(stage.nuncio.stats().await.unwrap().delivered, 4);
}

#[tokio::test]
async fn a_probe_that_a_shutdown_breaks_off_is_made_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = || SqliteStore::open(folder.path().join("queue.db")).unwrap();
    let is_silent = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_silent);
    let receiver = Receiver::start(answering(
        move |_: &Received| {
            if mood.load(Ordering::SeqCst) { hang() } else { reply(503) }
        },
    ));
    let start = || Stage::start_with(&one_target(&receiver, ""), |builder| builder.store(store()));
    let stage = start();
    for n in 0..5 {
        stage.hand_in(titled(format!("n {n}"))).await;
    }
    drive_for(&stage, Duration::from_secs(600)).await;
    is_silent.store(true, Ordering::SeqCst);
    let before = receiver.seen().requests.len();
    stage.clock.advance(Duration::from_secs(40));
    receiver.until("the probe", |seen| seen.requests.len() > before).await;
    assert!(matches!(health(&stage).await.health.endpoint.breaker, Breaker::HalfOpen(_)));
    stage.nuncio.shutdown(Duration::ZERO).await.unwrap();
    let known = nuncio::store::Store::reader(&store()).healths().unwrap();
    assert!(matches!(known[0].endpoint.breaker, Breaker::Open(_)), "{known:?}");
}

#[tokio::test]
async fn a_target_that_is_taken_out_and_put_back_begins_anew_and_is_known() {
    let receiver = Receiver::start([reply(200)]);
    let (store, without) = (MemoryStore::default(), Receiver::start([reply(200)]));
    let stage = Stage::start_with(&one_target(&receiver, ""), |builder| builder.store(store.clone()));
    stage.hand_in(titled("x")).await;
    drive_for(&stage, Duration::from_secs(5)).await;
    let other = format!("targets:\n{}", ntfy("watch", &without, ""));
    let known = || {
        let healths = nuncio::store::Store::reader(&store).healths().unwrap();
        healths.into_iter().map(|health| health.target).collect::<Vec<_>>()
    };
    stage.nuncio.reload(config(&other)).await.unwrap();
    drive_for(&stage, Duration::from_secs(5)).await;
    assert_eq!(known(), ["watch"]);
    let both = format!("{other}{}", ntfy("phone", &receiver, ""));
    stage.nuncio.reload(config(&both)).await.unwrap();
    drive_for(&stage, Duration::from_secs(5)).await;
    // Nothing has been sent there since.
    assert_eq!(known(), ["phone", "watch"]);
    let phone = stage.nuncio.targets().await.unwrap().remove(0).health;
    assert_eq!((phone.target.as_str(), phone.endpoint.last_success), ("phone", None));
}

#[tokio::test]
async fn a_delivery_that_may_have_arrived_is_sent_again_unless_the_settings_forbid_it() {
    let chat = |receiver: &Receiver, more: &str| {
        let hook = format!(
            "  - {{name: chat, provider: webhook, template: discord, url: \"{}\"{more}}}\n",
            receiver.url("/")
        );
        format!("targets:\n{hook}")
    };
    for (more, state) in [("", State::Delivered), (", retry: {retry_ambiguous: false}", State::Dead)] {
        let receiver = Receiver::start([close_after_reading(), reply(200)]);
        let stage = Stage::start(&chat(&receiver, more));
        let id = stage.hand_in(titled("x")).await.id;
        stage.drive().await;
        assert_eq!(stage.end(&id).await.0, state, "{more}");
        let keys: Vec<_> =
            receiver.seen().requests.iter().map(|r| r.header("idempotency-key").map(str::to_owned)).collect();
        assert!(keys.iter().all(|key| key.as_deref() == Some(id.as_str())), "{keys:?}");
    }
    // ntfy knows a repeat by its id.
    let receiver = Receiver::start([close_after_reading(), reply(200)]);
    let stage = Stage::start(&one_target(&receiver, ", retry: {retry_ambiguous: false}"));
    let id = stage.hand_in(titled("x")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
}

#[tokio::test]
async fn retries_everywhere_leave_room_for_first_attempts() {
    // Ten targets whose second attempts hang, and one that works.
    let failing: Vec<Receiver> = (0..10).map(|_| Receiver::start([reply(503), hang()])).collect();
    let healthy = Receiver::start([reply(200)]);
    let lists = failing.iter().enumerate().map(|(n, receiver)| ntfy(&format!("t{n}"), receiver, ""));
    let yaml = format!("targets:\n{}{}", lists.collect::<String>(), ntfy("healthy", &healthy, ""));
    let stage = Stage::start_with(&yaml, |builder| builder.store(MemoryStore::default()));
    let to = (0..10).map(|n| format!("t{n}")).collect();
    stage.hand_in(Notification { to, ..noted(Level::Fatal, "x") }).await;
    stage.nuncio.idle().await;
    stage.clock.advance(Duration::from_secs(2));
    for receiver in failing.iter().take(1) {
        receiver.until("its first request", |seen| !seen.requests.is_empty()).await;
    }
    stage.hand_in(Notification { to: vec!["healthy".into()], ..titled("fresh") }).await;
    healthy.next().await;
    assert_eq!(titles(&healthy), ["fresh"]);
    let stats = stage.nuncio.stats().await.unwrap();
    let second = failing.iter().filter(|receiver| receiver.seen().requests.len() > 1).count();
    assert!(second <= 3 && stats.in_flight <= 4, "{second} retries at once, {stats:?}");
}
