//! Answers that never come, and answers that are too large.

use std::collections::HashMap;
use std::time::Duration;

use nuncio::brain::{EMBEDDED, Limits};
use nuncio::config::Config;
use nuncio::contract::{Level, Notification};
use nuncio::notification::LARGEST_NOTIFICATION;
use nuncio::store::State;

use super::{Contained, TRIES, assert_given_up, contained, delivery, rogue_component, start, target};
use crate::scripted::{Receiver, reply};
use crate::stage::compiled;

#[tokio::test]
async fn a_guest_that_traps_is_given_up_after_three_tries() {
    assert_given_up("traps", TRIES, "guest-trap: the guest broke off: wasm trap: wasm `unreachable`").await;
}

#[tokio::test]
async fn a_guest_that_loops_for_ever_is_broken_off_at_its_deadline() {
    assert_given_up("loops", TRIES, "guest-trap: the guest broke off: it took more than 1000 ms").await;
}

#[tokio::test]
async fn a_guest_that_takes_all_memory_is_stopped_at_its_limit() {
    assert_given_up("allocates", TRIES, "guest-trap: the guest broke off: forcing trap when growing memory")
        .await;
}

#[tokio::test]
async fn a_guest_that_calls_itself_for_ever_is_stopped_at_the_end_of_its_stack() {
    assert_given_up("recurses", TRIES, "guest-trap: the guest broke off: wasm trap: call stack exhausted")
        .await;
}

#[tokio::test]
async fn a_guest_that_traps_when_asked_to_admit_starts_nothing() {
    assert_given_up("admit-traps", 0, "guest-trap: the guest broke off: wasm trap: wasm `unreachable`").await;
}

#[tokio::test]
async fn a_guest_that_traps_when_asked_to_judge_is_given_up_after_three_requests() {
    let Contained { delivery, started, sent } = contained("judge-traps").await;
    assert_eq!((delivery.progress.state, started, sent), (State::Dead, TRIES, TRIES));
    assert!(delivery.progress.detail.starts_with("guest-trap: "), "{}", delivery.progress.detail);
}

#[tokio::test]
async fn an_instance_that_trapped_is_not_used_again() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("second-traps", &receiver)]);
    // Each instance formats once and traps the second time: all but the first delivery begin with such a one.
    for n in 0..4 {
        let id = stage.hand_in(Notification::new(Level::Info, n.to_string())).await.id;
        assert_eq!(stage.drive().await.len(), usize::from(n > 0), "one fault, one second's wait");
        assert_eq!(stage.end(&id).await, (State::Delivered, 1));
    }
    let bodies: Vec<_> = receiver.seen().requests.into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, ["0", "1", "2", "3"]);
}

/// What a guest says of itself is counted as the host keeps it, before the host has it.
const TOO_MUCH: &str = "guest-trap: the guest broke off: too much data";

#[tokio::test]
async fn a_host_of_insertions_or_requests_never_comes_into_the_host() {
    for mode in ["too-many-insertions", "too-many-requests"] {
        assert_given_up(mode, TRIES, TOO_MUCH).await;
    }
}

#[tokio::test]
async fn a_text_that_a_list_has_a_hundred_times_counts_a_hundred_times() {
    assert_given_up("same-text", TRIES, TOO_MUCH).await;
}

#[tokio::test]
async fn a_guest_that_keeps_making_handles_is_stopped() {
    assert_given_up("takes-handles", TRIES, "guest-trap: ").await;
}

#[tokio::test]
async fn millions_of_targets_are_none_and_others_get_theirs() {
    let (misled, healthy) = (Receiver::start([reply(200)]), Receiver::start([reply(200)]));
    let stage = start(&[target("too-many-targets-chosen", &misled), target("ok", &healthy)]);
    let ticket = stage.nuncio.notify(Notification::new(Level::Info, "x")).expect("there is room");
    let error = ticket.accepted().await.expect_err("nobody decided where it goes").to_string();
    assert!(error.starts_with("the guest broke off: too much data"), "{error}");
    let id = stage.hand_in(Notification::new(Level::Info, "x").to("ok")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 1));
}

#[tokio::test]
async fn what_a_guest_says_at_length_is_kept_in_short() {
    for (mode, starts) in [
        ("long-reason", "long long "),
        ("long-detail", "long long "),
        ("long-death", "long long "),
        ("unknown-secret", "guest-invalid: "),
    ] {
        let receiver = Receiver::start([reply(503)]);
        let stage = start(&[target(mode, &receiver)]);
        let id = stage.hand_in(Notification::new(Level::Debug, "x")).await.id;
        stage.drive().await;
        let progress = delivery(&stage, &id, mode).await.progress;
        let is_right = progress.detail.starts_with(starts) || mode == "long-detail";
        assert!(progress.state == State::Dead && is_right, "{mode}: {}", progress.detail);
        assert!(progress.detail.len() < 2_200, "{mode}: {} bytes", progress.detail.len());
    }
}

#[tokio::test]
async fn the_largest_notification_is_far_from_what_an_answer_may_bring() {
    let patient = Limits { call: Duration::from_secs(10), ..Limits::default() };
    let limits = Limits { answer: patient.answer / 2, ..patient };
    let brain = compiled(EMBEDDED, limits).unwrap();
    let url = "http://localhost/";
    let targets = format!(
        r#"{{"targets":[
            {{"name":"n","provider":"ntfy","url":"{url}","topic":"t"}},
            {{"name":"g","provider":"gotify","url":"{url}","token":{{"$secret":"g/token"}}}},
            {{"name":"w","provider":"webhook","url":{{"$secret":"w/url"}},
                "payload":"{{\"text\":\"$title $message\"}}"}},
            {{"name":"d","provider":"webhook","url":{{"$secret":"d/url"}},"template":"discord",
                "when":"level >= 'info'"}}]}}"#
    );
    let dispatcher = brain.dispatcher(&targets).unwrap();
    let field = |n: usize| (format!("{n}\u{1}"), "\u{1}");
    // Control characters, which JSON writes with six; the second has as many entries as fit.
    let text = Notification::new(Level::Warn, "x").text("\u{1}".repeat(LARGEST_NOTIFICATION - 100));
    let mut fields = Notification::new(Level::Warn, "x").fields((0..4_500).map(field));
    fields.to = (0..100).map(|n| format!("nobody-{n}")).collect();
    for notification in [text, fields] {
        assert!(notification.size() <= LARGEST_NOTIFICATION, "{}", notification.size());
        assert!(notification.size() > LARGEST_NOTIFICATION * 9 / 10, "{}", notification.size());
        dispatcher.route(std::slice::from_ref(&notification)).unwrap();
        for target in 0..4 {
            assert!(!dispatcher.format(target, &notification, false, 0).unwrap().unwrap().is_empty());
        }
    }
    // The largest that is taken in, with the most entries that it can have.
    let json = format!(r#"{{"title":"x","body":[{}]}}"#, vec!["\"\""; 87_000].join(","));
    brain.read(&json, "id", 0).unwrap().unwrap();
}

/// What takes long to format: many marks, blocks, links and entries, as many as fit.
fn largest() -> Vec<(&'static str, Notification)> {
    let text = |pattern: &str| {
        let text = pattern.repeat((LARGEST_NOTIFICATION - 200) / pattern.len());
        Notification::new(Level::Warn, "title").text(text)
    };
    let field = |n: usize| (format!("{n}*"), format!("<{n}>"));
    vec![
        ("marks", text("*a* ")),
        ("list", text("- a\n")),
        ("paragraphs", text("a\n\n")),
        ("clusters", text("👩‍👩‍👧‍👦")),
        ("fields", Notification::new(Level::Warn, "title").fields((0..4_200).map(field))),
    ]
}

#[test]
fn every_provider_formats_the_largest_notification_of_every_shape() {
    let limits = Limits { call: Duration::from_secs(10), ..Limits::default() };
    let brain = compiled(EMBEDDED, limits).unwrap();
    for provider in brain.providers().unwrap() {
        let yaml = format!("targets:\n{}", provider.example);
        let name = |rest: &str| rest.split(['}', ':']).next().unwrap_or_default().to_owned();
        let variable = |rest| (name(rest), "https://example.org/secret".to_owned());
        let environment: HashMap<String, String> = yaml.split("${").skip(1).map(variable).collect();
        let config = Config::load("test.yml", &yaml, &environment, &brain).unwrap();
        let dispatcher = brain.dispatcher(config.guest_config()).unwrap();
        for (number, target) in (0..).zip(dispatcher.targets().unwrap()) {
            for (shape, notification) in largest() {
                assert!(notification.size() <= LARGEST_NOTIFICATION, "{}", notification.size());
                let formatted = dispatcher.format(number, &notification, false, 0);
                assert!(formatted.is_ok(), "{}: {shape}: {:?}", target.name, formatted.err());
            }
        }
    }
}

#[test]
fn an_answer_that_goes_beyond_the_limit_is_a_fault_and_the_next_one_is_not() {
    let limits = Limits { answer: 16 << 10, ..Limits::default() };
    let brain = compiled(EMBEDDED, limits).unwrap();
    let read = |length: usize| brain.read(&format!(r#"{{"title":"{}"}}"#, "x".repeat(length)), "id", 0);
    assert!(read(17 << 10).unwrap_err().to_string().contains("too much data"));
    assert_eq!(read(15 << 10).unwrap().unwrap().title.len(), 15 << 10);
}

#[test]
fn memory_and_time_are_as_the_caller_says() {
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    let fault = compiled(EMBEDDED, limits).unwrap().providers().unwrap_err().to_string();
    assert!(fault.contains("memory"), "{fault}");
    let limits = Limits { open: Duration::from_millis(20), ..Limits::default() };
    let brain = compiled(rogue_component(), limits).unwrap();
    let fault = brain.check(r#"{"targets":[{"mode":"open-loops"}]}"#).unwrap_err().to_string();
    assert_eq!(fault, "the guest broke off: it took more than 20 ms");
    let limits = Limits { call: Duration::from_millis(20), ..Limits::default() };
    let brain = compiled(rogue_component(), limits).unwrap();
    let dispatcher = brain.dispatcher(r#"{"targets":[{"name":"a","mode":"targets-loop"}]}"#).unwrap();
    assert_eq!(dispatcher.targets().unwrap_err().to_string(), "the guest broke off: it took more than 20 ms");
}
