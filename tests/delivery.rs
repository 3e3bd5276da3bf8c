//! From hand-in to the end.

use std::time::Duration;

use nuncio::NotifyError;
use nuncio::contract::{Level, Notification};
use nuncio::event::Happened;
use nuncio::store::{State, StoreError};

use crate::scripted::{Receiver, close_after_reading, hang, raw, reply};
use crate::stage::{BEGINNING, Stage};

fn ntfy(name: &str, receiver: &Receiver) -> String {
    format!("  - {{name: {name}, provider: ntfy, url: \"{}\", topic: t}}\n", receiver.url("/"))
}

fn one_target(receiver: &Receiver) -> Stage {
    Stage::start(&format!("targets:\n{}", ntfy("phone", receiver)))
}

fn assert_within(wait: Duration, milliseconds: std::ops::RangeInclusive<u128>) {
    assert!(milliseconds.contains(&wait.as_millis()), "{wait:?} is not within {milliseconds:?} ms");
}

#[tokio::test]
async fn a_target_that_fails_twice_gets_a_warning_on_the_third_attempt_within_the_documented_delays() {
    let receiver = Receiver::start([reply(503), reply(503), reply(200)]);
    let stage = one_target(&receiver);
    let id = stage.hand_in(Notification::new(Level::Warn, "Disk").text("90 %")).await.id;
    let waits = stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 3));
    assert_eq!(waits.len(), 2);
    assert_within(waits[0], 900..=1_100);
    assert_within(waits[1], 1_800..=2_200);
    assert_eq!(receiver.seen().requests.len(), 3);
}

#[tokio::test]
async fn the_same_at_level_info_waits_after_its_one_retry_until_the_endpoint_works() {
    let receiver = Receiver::start([reply(503), reply(503), reply(200)]);
    let stage = one_target(&receiver);
    let id = stage.hand_in(Notification::new(Level::Info, "Disk").text("90 %")).await.id;
    let waits = stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 3));
    assert_within(waits.iter().sum(), 2_700..=3_300);
}

#[tokio::test]
async fn where_nothing_is_parked_it_is_dead_after_its_one_retry() {
    let receiver = Receiver::start([reply(503), reply(503), reply(200)]);
    let stage = Stage::start(&format!("retry: {{park: false}}\ntargets:\n{}", ntfy("phone", &receiver)));
    let id = stage.hand_in(Notification::new(Level::Info, "Disk").text("90 %")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Dead, 2));
    let detail = &stage.deliveries(&id).await[0].progress.detail;
    assert!(detail.contains("gave up after 1 retry") && detail.contains("status 503"), "{detail}");
    assert_eq!(receiver.seen().requests.len(), 2);
}

#[tokio::test]
async fn limits_and_schedule_are_set_for_all_and_for_one() {
    let receiver = Receiver::start([reply(500)]);
    let yaml = format!(
        "retry: {{interval: 10s, jitter: 0, limits: {{info: 2}}, park: false}}\ntargets:\n{}  - {{name: patient, provider: ntfy, url: \"{}\", topic: t, retry: {{multiplier: 3, limits: {{info: 3}}}}}}\n",
        ntfy("phone", &receiver),
        receiver.url("/")
    );
    let stage = Stage::start(&yaml);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    let waits: Vec<u64> = stage.drive().await.iter().map(Duration::as_secs).collect();
    // phone waits 10 and 20 seconds, patient 10, 30 and 90: in all at 10, 30, 40 and 130.
    assert_eq!(waits, [10, 20, 10, 90]);
    let attempts: Vec<u32> =
        stage.deliveries(&id).await.iter().map(|delivery| delivery.progress.attempts).collect();
    assert_eq!(attempts, [3, 4]);
}

#[tokio::test]
async fn a_refusal_that_will_not_pass_is_dead_at_once_with_what_the_receiver_said() {
    let receiver = Receiver::start([reply(400).body("{\"error\":\"topic is reserved\"}")]);
    let stage = one_target(&receiver);
    let id = stage.hand_in(Notification::new(Level::Fatal, "x")).await.id;
    assert!(stage.drive().await.is_empty());
    let delivery = &stage.deliveries(&id).await[0];
    assert_eq!((delivery.progress.state, delivery.progress.attempts), (State::Dead, 1));
    assert!(delivery.progress.detail.contains("topic is reserved"), "{}", delivery.progress.detail);
}

#[tokio::test]
async fn retry_after_is_honoured_by_the_message_and_by_those_behind_it() {
    let receiver = Receiver::start([reply(429).header("retry-after", "120"), reply(200)]);
    let stage = one_target(&receiver);
    let first = stage.hand_in(Notification::new(Level::Error, "first")).await.id;
    // The reply is read before the second one is handed in.
    assert!(stage.nuncio.idle().await.is_some());
    let second = stage.hand_in(Notification::new(Level::Error, "second")).await.id;
    let waits = stage.drive().await;
    // And a little more, so that not all who were told the same come back together.
    assert_within(waits.iter().sum(), 120_000..=126_000);
    assert_eq!(stage.end(&first).await, (State::Delivered, 2));
    assert_eq!(stage.end(&second).await, (State::Delivered, 1));
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let receiver = Receiver::start([close_after_reading(), reply(200)]);
    let stage = one_target(&receiver);
    let id = stage.hand_in(Notification::new(Level::Warn, "x")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
}

// GoDoxy defect 1.7.9.
#[tokio::test]
async fn a_target_that_never_answers_delays_no_other_and_never_blocks_hand_in() {
    let (dead, healthy) = (Receiver::start([hang()]), Receiver::start([reply(200)]));
    let stage = Stage::start(&format!("targets:\n{}{}", ntfy("dead", &dead), ntfy("healthy", &healthy)));
    let mut events = stage.nuncio.events();
    // The clock stands still: not one of these waits for the other target's deadline.
    for n in 0..200 {
        stage.hand_in(Notification::new(Level::Info, format!("n {n}"))).await;
    }
    let mut delivered = 0;
    while delivered < 200 {
        let event = events.recv().await.expect("nothing is missed");
        delivered += usize::from(matches!(event.happened, Happened::Delivered { .. }));
    }
    let stats = stage.nuncio.stats().await.expect("it runs");
    assert_eq!((stats.accepted, stats.in_flight), (200, 4), "the hanging target holds its own four only");
}

#[tokio::test]
async fn a_target_that_never_answers_is_given_up_at_its_deadline() {
    let receiver = Receiver::start([hang(), reply(200)]);
    let stage = one_target(&receiver);
    let id = stage.hand_in(Notification::new(Level::Warn, "x")).await.id;
    receiver.next().await;
    stage.clock.advance(Duration::from_millis(9_999));
    assert_eq!(stage.nuncio.stats().await.expect("it runs").in_flight, 1);
    stage.clock.advance(Duration::from_millis(1));
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
}

#[tokio::test]
async fn a_full_buffer_is_an_error_at_once() {
    let receiver = Receiver::start([reply(200)]);
    let yaml = format!("targets:\n{}", ntfy("phone", &receiver));
    let stage = Stage::start_with(&yaml, |builder| builder.buffer(3));
    // Nothing is taken out of the buffer before this task waits for something.
    let taken = (0..10).map(|_| stage.nuncio.notify(Notification::new(Level::Info, "x")));
    let taken: Vec<bool> = taken.map(|taken| matches!(taken, Err(NotifyError::Full))).collect();
    assert_eq!(taken.iter().filter(|is_full| !**is_full).count(), 3);
    stage.drive().await;
    assert_eq!(stage.nuncio.stats().await.expect("it runs").delivered, 3);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let receiver = Receiver::start([reply(200)]);
    let stage = one_target(&receiver);
    let large = Notification::new(Level::Info, "x").text("y".repeat(256 << 10));
    assert!(matches!(stage.nuncio.notify(large), Err(NotifyError::TooLarge(_))));
}

#[tokio::test]
async fn filters_choose_and_names_go_over_them() {
    let receiver = Receiver::start([reply(200)]);
    let url = receiver.url("/");
    let stage = Stage::start(&format!(
        "targets:\n  - {{name: all, provider: ntfy, url: \"{url}\", topic: all}}\n  - {{name: loud, provider: ntfy, url: \"{url}\", topic: loud, filter: {{level: error}}}}\n  - {{name: db, provider: ntfy, url: \"{url}\", topic: db, filter: {{tags: {{any: [db]}}}}}}\n"
    ));
    let topics = async |notification: Notification| {
        let before = receiver.seen().requests.len();
        stage.hand_in(notification).await;
        stage.drive().await;
        let requests = receiver.seen().requests;
        let mut topics: Vec<String> = requests[before..]
            .iter()
            .map(|request| request.json()["topic"].as_str().unwrap().into())
            .collect();
        topics.sort();
        topics
    };
    assert_eq!(topics(Notification::new(Level::Info, "x")).await, ["all"]);
    assert_eq!(topics(Notification::new(Level::Error, "x").tag("db")).await, ["all", "db", "loud"]);
    assert_eq!(topics(Notification::new(Level::Trace, "x").to("loud")).await, ["loud"]);
}

#[tokio::test]
async fn an_unknown_name_is_reported_and_counted_and_the_others_get_theirs() {
    let receiver = Receiver::start([reply(200)]);
    let stage = one_target(&receiver);
    let receipt = stage.hand_in(Notification::new(Level::Info, "x").to("phone").to("fhone")).await;
    stage.drive().await;
    let deliveries = stage.deliveries(&receipt.id).await;
    assert_eq!((&*deliveries[0].target, deliveries[0].progress.state), ("phone", State::Delivered));
    assert_eq!((&*deliveries[1].target, deliveries[1].progress.state), ("fhone", State::Dead));
    assert!(
        deliveries[1].progress.detail.contains("did you mean `phone`?"),
        "{}",
        deliveries[1].progress.detail
    );
    assert_eq!(stage.nuncio.stats().await.expect("it runs").dead, 1);
}

#[tokio::test]
async fn what_no_target_wants_is_counted() {
    let receiver = Receiver::start([reply(200)]);
    let url = receiver.url("/");
    let stage = Stage::start(&format!(
        "targets:\n  - {{name: loud, provider: ntfy, url: \"{url}\", topic: t, filter: {{level: fatal}}}}\n"
    ));
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    assert!(stage.deliveries(&id).await.is_empty());
    assert_eq!(stage.nuncio.stats().await.expect("it runs").unmatched, 1);
}

#[tokio::test]
async fn no_target_has_more_attempts_under_way_than_it_may() {
    let receiver = Receiver::start([hang()]);
    let yaml = format!(
        "targets: [{{name: phone, provider: ntfy, url: \"{}\", topic: t, concurrency: 2}}]",
        receiver.url("/")
    );
    let stage = Stage::start(&yaml);
    for _ in 0..5 {
        stage.hand_in(Notification::new(Level::Info, "x")).await;
    }
    receiver.until("two requests", |seen| seen.requests.len() == 2).await;
    let stats = stage.nuncio.stats().await.expect("it runs");
    assert_eq!((stats.in_flight, stats.waiting), (2, 3));
}

#[tokio::test]
async fn shutdown_takes_nothing_more_finishes_what_it_can_and_says_what_is_left() {
    let (healthy, failing) = (Receiver::start([reply(200)]), Receiver::start([reply(503)]));
    let stage =
        Stage::start(&format!("targets:\n{}{}", ntfy("healthy", &healthy), ntfy("failing", &failing)));
    stage.hand_in(Notification::new(Level::Fatal, "x")).await;
    let nuncio = stage.nuncio.clone();
    // The retry is due after the grace, so nobody waits for it.
    let remains = nuncio.shutdown(Duration::from_millis(500)).await.expect("it ran");
    assert_eq!((remains.waiting, remains.in_flight), (1, 0));
    assert_eq!(healthy.seen().requests.len(), 1);
    assert!(matches!(nuncio.notify(Notification::new(Level::Info, "late")), Err(NotifyError::Closed)));
}

#[tokio::test]
async fn shutdown_waits_for_an_attempt_under_way_until_the_grace_is_over() {
    let receiver = Receiver::start([hang()]);
    let stage = one_target(&receiver);
    stage.hand_in(Notification::new(Level::Info, "x")).await;
    receiver.next().await;
    let grace_over = async {
        // Answered after the question before it, which is the shutdown's.
        stage.nuncio.stats().await.expect("it still runs");
        assert!(matches!(
            stage.nuncio.notify(Notification::new(Level::Info, "late")),
            Err(NotifyError::Closed)
        ));
        stage.clock.advance(Duration::from_secs(5));
    };
    let shutdown = stage.nuncio.shutdown(Duration::from_secs(5));
    let (remains, ()) = tokio::join!(biased; shutdown, grace_over);
    let remains = remains.expect("it ran");
    assert_eq!(remains.in_flight, 1);
}

#[tokio::test]
async fn of_two_shutdowns_the_more_impatient_counts_and_both_hear_what_is_left() {
    let receiver = Receiver::start([hang()]);
    let stage = one_target(&receiver);
    stage.hand_in(Notification::new(Level::Info, "x")).await;
    receiver.next().await;
    let (patient, impatient) = tokio::join!(biased; stage.nuncio.shutdown(Duration::from_secs(60)), stage.nuncio.shutdown(Duration::ZERO));
    assert_eq!(patient.expect("it ran").in_flight, 1);
    assert_eq!(impatient, patient);
    assert_eq!(stage.nuncio.shutdown(Duration::ZERO).await, None);
}

#[tokio::test]
async fn an_id_means_one_notification_and_must_fit_into_a_header() {
    let receiver = Receiver::start([reply(200)]);
    let stage = one_target(&receiver);
    let with_id = |id: &str| Notification { id: id.to_owned(), ..Notification::new(Level::Info, "x") };
    stage.hand_in(with_id("one")).await;
    let again = stage.hand_in(with_id("one")).await;
    assert_eq!((again.id.as_str(), again.is_repeat), ("one", true));
    let other = stage.nuncio.notify(with_id("one").text("y")).expect("there is room").accepted().await;
    assert!(matches!(other, Err(NotifyError::Store(StoreError::Reused(id))) if id == "one"));
    stage.drive().await;
    assert_eq!(receiver.seen().requests.len(), 1);
    for id in ["two lines\n", "späť", &"x".repeat(256)] {
        assert!(matches!(stage.nuncio.notify(with_id(id)), Err(NotifyError::InvalidId)), "{id}");
    }
}

// GoDoxy defect 1.7.10.
#[tokio::test]
async fn every_attempt_of_a_delivery_carries_the_same_id() {
    let receiver = Receiver::start([reply(503), reply(200)]);
    let yaml = format!(
        "targets: [{{name: hook, provider: webhook, url: \"{}\", payload: \"{{}}\"}}]",
        receiver.url("/x")
    );
    let stage = Stage::start(&yaml);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    for _ in 0..2 {
        assert_eq!(receiver.next().await.header("idempotency-key"), Some(id.as_str()));
    }
}

#[tokio::test]
async fn whoever_watches_sees_every_step_of_a_delivery() {
    let receiver = Receiver::start([reply(503), reply(200)]);
    let stage = one_target(&receiver);
    let mut events = stage.nuncio.events();
    stage.hand_in(Notification::new(Level::Warn, "x")).await;
    stage.drive().await;
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(match event.happened {
            Happened::Queued => "queued".to_owned(),
            Happened::Started { attempt } => format!("started {attempt}"),
            Happened::Retrying { .. } => "retrying".to_owned(),
            Happened::Delivered { attempts } => format!("delivered {attempts}"),
            Happened::Dead { .. } => "dead".to_owned(),
            Happened::Dropped => "dropped".to_owned(),
        });
    }
    assert_eq!(seen, ["queued", "started 1", "retrying", "started 2", "delivered 2"]);
}

#[tokio::test]
async fn every_attempt_of_a_target_stays_within_its_own_origin() {
    let receiver = Receiver::start([reply(302).header("location", "http://127.0.0.1:9/elsewhere")]);
    let stage = one_target(&receiver);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    let delivery = &stage.deliveries(&id).await[0];
    assert_eq!((delivery.progress.state, receiver.seen().requests.len()), (State::Dead, 1));
    assert!(delivery.progress.detail.contains("never followed"), "{}", delivery.progress.detail);
}

#[tokio::test]
async fn what_a_redirect_or_an_error_page_says_of_a_secret_url_is_blotted_out() {
    let answer = |request: &crate::scripted::Received| {
        let page = format!("Cannot POST {}", request.path);
        reply(301).header("location", &format!("https://127.0.0.1{}", request.path)).body(page)
    };
    let receiver = Receiver::start(crate::scripted::answering(answer));
    let url = receiver.url("/api/webhooks/1/canary-7f3a91");
    let yaml = format!("targets: [{{name: hook, provider: webhook, url: \"{url}\", template: discord}}]");
    let stage = Stage::start(&yaml);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    let detail = &stage.deliveries(&id).await[0].progress.detail;
    assert!(detail.contains("***") && !detail.contains("canary"), "{detail}");
}

#[tokio::test]
async fn an_echoed_basic_credential_is_blotted_out() {
    let echo = |request: &crate::scripted::Received| {
        reply(400).body(format!("refused: {}", request.header("authorization").unwrap_or_default()))
    };
    let receiver = Receiver::start(crate::scripted::answering(echo));
    let url = receiver.url("/");
    let stage = Stage::start(&format!(
        "targets: [{{name: phone, provider: ntfy, url: \"{url}\", topic: t, user: ann, password: canary}}]"
    ));
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    let detail = &stage.deliveries(&id).await[0].progress.detail;
    assert!(detail.contains("refused: ***") && !detail.contains("YW5u"), "{detail}");
}

#[tokio::test]
async fn an_echoed_secret_is_kept_from_the_guest_the_store_and_the_log() {
    let receiver = Receiver::start([reply(400).body("bad token tk_canary_7f3a")]);
    let stage = Stage::start(&format!(
        "targets:\n  - {{name: phone, provider: gotify, url: \"{}\", token: tk_canary_7f3a}}\n",
        receiver.url("/")
    ));
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    assert_eq!(receiver.next().await.header("authorization"), Some("Bearer tk_canary_7f3a"));
    let detail = &stage.deliveries(&id).await[0].progress.detail;
    assert!(detail.contains("bad token ***") && !detail.contains("canary"), "{detail}");
}

#[tokio::test]
async fn a_secret_that_a_reply_breaks_off_in_is_blotted_out() {
    let receiver =
        Receiver::start([raw("HTTP/1.1 400 Bad Request\r\ncontent-length: 99\r\n\r\nbad token tk_can")]);
    let url = receiver.url("/");
    let stage = Stage::start(&format!(
        "targets: [{{name: phone, provider: gotify, url: \"{url}\", token: tk_canary_7f3a}}]"
    ));
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    let detail = &stage.deliveries(&id).await[0].progress.detail;
    assert!(detail.contains("bad token ***") && !detail.contains("tk_can"), "{detail}");
}

#[tokio::test]
async fn every_attempt_is_signed_anew_and_an_echoed_signature_is_blotted_out() {
    let echo = |request: &crate::scripted::Received| {
        let signature = request.header("webhook-signature").unwrap_or_default();
        let status = if request.index == 0 { 503 } else { 400 };
        reply(status).body(signature.split_once(',').map_or("", |(_, signature)| signature).to_owned())
    };
    let receiver = Receiver::start(crate::scripted::answering(echo));
    let url = receiver.url("/");
    let stage = Stage::start(&format!(
        "targets:\n  - name: hook\n    provider: webhook\n    url: {url}\n    payload: $message\n    \
         mime_type: text/plain\n    sign:\n      secrets: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
    ));
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    let time = |request: &crate::scripted::Received| -> u64 {
        request.header("webhook-timestamp").and_then(|seconds| seconds.parse().ok()).unwrap()
    };
    assert!(time(&first) < time(&second));
    assert_eq!(first.header("webhook-id"), Some(id.as_str()));
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_ne!(first.header("webhook-signature"), second.header("webhook-signature"));
    let detail = &stage.deliveries(&id).await[0].progress.detail;
    assert!(detail.contains("***") && !detail.contains('='), "{detail}");
}

#[tokio::test]
async fn a_signature_bears_the_time_of_its_attempt_by_a_clock_that_was_set_meanwhile() {
    let receiver = Receiver::start([reply(200)]);
    let url = receiver.url("/");
    let key = format!("whsec_{}", "a".repeat(32));
    let stage = Stage::start(&format!(
        "targets: [{{name: a, provider: webhook, url: '{url}', payload: '{{}}', sign: {{secrets: {key}}}}}]"
    ));
    // As where a machine starts with a wrong time and is told the right one.
    let right = BEGINNING + 10 * 365 * 86_400_000;
    stage.clock.set(right);
    stage.hand_in(Notification::new(Level::Info, "x")).await;
    stage.drive().await;
    let timestamp = receiver.next().await.header("webhook-timestamp").unwrap().to_owned();
    assert_eq!(timestamp, (right / 1_000).to_string());
}

/// Telegram refuses HTML that it cannot read: the text goes out once more, without markup, whatever the limits.
#[tokio::test]
async fn a_message_that_is_refused_for_its_markup_is_sent_once_more_as_plain_text() {
    let refusal = r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: x"}"#;
    let receiver = Receiver::start([
        reply(400).body(refusal),
        reply(200).body(r#"{"ok":true}"#),
        reply(400).body(refusal),
    ]);
    let yaml = format!(
        "targets:\n  - {{ name: chat, provider: telegram, url: \"{}\", token: canary, chat: 1 }}\n",
        receiver.url("/")
    );
    let stage = Stage::start(&yaml);
    let debug = || Notification::new(Level::Debug, "t").text("**b**");
    let first = stage.hand_in(debug()).await;
    stage.drive().await;
    let sent = |n: usize| receiver.seen().requests[n].json();
    assert_eq!(
        (sent(0)["parse_mode"].clone(), sent(1)["parse_mode"].clone()),
        ("HTML".into(), serde_json::Value::Null)
    );
    assert_eq!(sent(1)["text"], "t\n\n**b**");
    let delivery = |receipt: nuncio::Receipt| async move {
        stage.nuncio.find(&receipt.id).await.unwrap().unwrap().deliveries.remove(0).progress
    };
    let progress = delivery(first).await;
    assert_eq!((progress.state, progress.attempts, progress.plain), (State::Delivered, 2, true));
}
