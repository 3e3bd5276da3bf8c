//! Requests that nobody should send.

use std::time::Duration;

use nuncio::contract::{Level, Notification};
use nuncio::store::State;

use super::{TRIES, assert_given_up, delivery, rogue_component, start, start_as, target};
use crate::memories;
use crate::scripted::{Receiver, answering, hang, reply};

#[tokio::test]
async fn a_guest_that_describes_no_request_is_given_up_after_three_tries() {
    assert_given_up("nothing", TRIES, "guest-invalid: ").await;
}

#[tokio::test]
async fn a_line_break_or_nul_in_a_header_or_the_url_is_never_sent() {
    for part in ["name", "value", "url"] {
        for character in ["0d", "0a", "00"] {
            assert_given_up(&format!("{part}-with-{character}"), TRIES, "guest-invalid: ").await;
        }
    }
}

#[tokio::test]
async fn what_the_contract_does_not_know_is_never_sent() {
    for (mode, why) in [
        ("head-without-end", "guest-invalid: the last header does not end"),
        ("inserts-nowhere", "guest-invalid: something is inserted into the body where no character begins"),
        ("inserts-a-header", "guest-invalid: something is inserted outside the value of a header"),
        ("smuggles", "guest-invalid: header `transfer-encoding`"),
        ("many-headers", "guest-invalid: there are more than 64 headers"),
        ("long-body", "guest-invalid: the body is longer"),
        ("userinfo", "guest-invalid: the URL has a user name"),
        ("other-secret", "guest-invalid: "),
    ] {
        assert_given_up(mode, TRIES, why).await;
    }
}

#[tokio::test]
async fn what_would_go_to_another_origin_is_refused_at_once() {
    for (mode, why) in [
        ("other-origin", " (test.yml:2) may not send to http://elsewhere.example:81; if"),
        ("open-elsewhere", " (test.yml:2) may not send to http://elsewhere.example:81; if"),
        ("backslash", " (test.yml:2) may not send to http://elsewhere.example:81; if"),
        ("secret-in-the-host", " may not send to an origin that has a secret in its name"),
        ("wrong-target", " (test.yml:2) may not send to http://127.0.0.1:"),
    ] {
        let reason = format!("egress-denied: target `{mode}`{why}");
        assert_given_up(mode, 1, &reason).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start([reply(200)]);
    let receiver = Receiver::start([reply(302).header("location", &elsewhere.url("/"))]);
    let stage = start(&[target("is-led", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Dead, 2));
    assert_eq!((receiver.seen().requests.len(), elsewhere.seen().connections), (2, 0));
}

#[tokio::test]
async fn a_secret_that_the_receiver_sends_back_does_not_reach_the_guest() {
    let receiver = Receiver::start(answering(|request| {
        let sent = request.header("authorization").unwrap_or_default().to_owned();
        // Whatever is written next where this stood in the guest's memory leaves the middle as it was.
        let (before, after) = ([b'.'; 64], [b'.'; 2_000]);
        reply(200).body([&before, sent.as_bytes(), b" and ", &request.body, &after].concat())
    }));
    let (brain, memories) = memories::watched_of(rogue_component());
    let stage = start_as(&brain, &[target("echo", &receiver)], |builder| builder);
    let mut events = stage.nuncio.events();
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    stage.drive().await;
    let sent = &receiver.seen().requests[0];
    assert_eq!(sent.header("authorization"), Some("Bearer tk_canary"));
    assert_eq!(sent.body, "token=tk_canary", "it is in the body too");
    assert!(memories.contains(b"token=***") && !memories.contains(b"canary"));
    let progress = delivery(&stage, &id, "echo").await.progress;
    assert!(progress.detail.contains("***") && !progress.detail.contains("canary"), "{progress:?}");
    while let Ok(event) = events.try_recv() {
        assert!(!format!("{event:?}").contains("canary"), "{event:?}");
    }
}

#[tokio::test]
async fn a_timeout_of_nothing_or_of_centuries_is_one_between() {
    for (mode, longest) in [("timeout-0", 1), ("timeout-at-max", 300_000)] {
        let receiver = Receiver::start([hang()]);
        let stage = start(&[target(mode, &receiver)]);
        let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
        for _ in 0..2 {
            receiver.next().await;
            stage.clock.advance(Duration::from_millis(longest - 1));
            assert_eq!(stage.nuncio.stats().await.map(|stats| stats.in_flight), Some(1), "{mode}");
            stage.clock.advance(Duration::from_millis(1));
            stage.step().await;
        }
        assert_eq!(stage.end(&id).await, (State::Dead, 2), "{mode}");
    }
}
