//! A brain that misbehaves is contained, and what is no brain is refused.
//!
//! The brain is `tests/rogue`, built once for all tests: a target's `mode` says what goes wrong with it.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nuncio::brain::{Brain, BrainError};
use nuncio::clock::ManualClock;
use nuncio::config::Config;
use nuncio::contract::{Level, Notification};
use nuncio::event::Happened;
use nuncio::store::{Delivery, State};
use nuncio::{Nuncio, Remains};

use crate::scripted::{Receiver, reply};
use crate::stage::{BEGINNING, Stage};

const TARGET: &str = "wasm32-unknown-unknown";

/// How often a delivery is tried that the guest fails.
const TRIES: usize = 3;

// === the rogue ===

fn component() -> Vec<u8> {
    // Not the folder that the running cargo may hold a lock on.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rogue");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--lib", "--package", "nuncio-rogue", "--target", TARGET, "--locked"])
        .args([
            "--quiet",
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/rogue/Cargo.toml"),
        ])
        .env("CARGO_TARGET_DIR", &folder)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the rogue is built; cargo's own errors are above");
    let module = std::fs::read(folder.join(TARGET).join("release/nuncio_rogue.wasm")).expect("it was built");
    let encoded = wit_component::ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode());
    encoded.expect("it is a component")
}

fn rogue() -> Brain {
    static ROGUE: OnceLock<Brain> = OnceLock::new();
    ROGUE.get_or_init(|| Brain::new(&component()).expect("the rogue is a brain")).clone()
}

fn target(mode: &str, receiver: &Receiver) -> String {
    let (url, until) = (receiver.url("/"), BEGINNING + 5);
    format!(
        "  - {{name: {mode}, provider: rogue, mode: {mode}, url: \"{url}\", token: tk_canary, until: {until}, \
         allow_hosts: \"{url}\"}}\n"
    )
}

fn start(targets: &[String]) -> Stage {
    let (yaml, environment) = (format!("targets:\n{}", targets.concat()), HashMap::<String, String>::new());
    let config =
        Config::load("test.yml", &yaml, &environment, &rogue()).unwrap_or_else(|error| panic!("{error}"));
    let clock = ManualClock::at(BEGINNING);
    let nuncio = Nuncio::with_config(rogue(), config).clock(clock.clone()).seed(7).start();
    Stage { clock, nuncio: nuncio.expect("the dispatcher starts") }
}

async fn delivery(stage: &Stage, id: &str, target: &str) -> Delivery {
    let deliveries = stage.deliveries(id).await;
    let found = deliveries.iter().find(|delivery| delivery.target == target);
    found.unwrap_or_else(|| panic!("no {target} in {deliveries:?}")).clone()
}

/// What a target that misbehaves came to.
struct Contained {
    delivery: Delivery,
    /// The attempts that were begun.
    started: usize,
    /// The requests that were sent for it.
    sent: usize,
}

/// Hands in a notification for a target that misbehaves and one that does not, drives it to its end, and holds
/// that the second one had its own at once and gets the next one too.
async fn contained(mode: &str) -> Contained {
    let (misled, healthy) = (Receiver::start([reply(200)]), Receiver::start([reply(200)]));
    let stage = start(&[target(mode, &misled), target("ok", &healthy)]);
    let mut events = stage.nuncio.events();
    let id = stage.hand_in(Notification::new(Level::Warn, "first")).await.id;
    let due = stage.nuncio.idle().await;
    assert!(due.is_none_or(|due| due > BEGINNING), "nothing is left to do at this instant");
    assert_eq!(
        delivery(&stage, &id, "ok").await.progress.state,
        State::Delivered,
        "while {mode} is still at it"
    );
    stage.drive().await;
    let next = stage.hand_in(Notification::new(Level::Warn, "next").to("ok")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&next).await, (State::Delivered, 1));
    let bodies: Vec<_> = healthy.seen().requests.into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, ["first", "next"]);

    let mut started = 0;
    while let Ok(event) = events.try_recv() {
        started += usize::from(event.target == mode && matches!(event.happened, Happened::Started { .. }));
    }
    let delivery = delivery(&stage, &id, mode).await;
    assert_eq!(stage.nuncio.stats().await.map(|stats| (stats.waiting, stats.in_flight)), Some((0, 0)));
    let remains = stage.nuncio.shutdown(Duration::from_secs(1)).await;
    assert_eq!(remains, Some(Remains { waiting: 0, in_flight: 0, unwritten: 0 }));
    Contained { delivery, started, sent: misled.seen().requests.len() }
}

/// Holds that a target is given up for a reason after so many tries, and that nothing was sent for it.
async fn assert_given_up(mode: &str, tries: usize, reason: &str) {
    let Contained { delivery, started, sent } = contained(mode).await;
    assert_eq!(
        (delivery.progress.state, started, sent),
        (State::Dead, tries, 0),
        "{mode}: {}",
        delivery.progress.detail
    );
    assert!(delivery.progress.detail.starts_with(reason), "{mode}: {}", delivery.progress.detail);
    assert!(!delivery.progress.detail.contains("canary"), "{mode}: {}", delivery.progress.detail);
}

// === answers that never come ===

#[tokio::test]
async fn a_guest_that_traps_is_given_up_after_three_tries() {
    assert_given_up("traps", TRIES, "guest-trap: the guest broke off: wasm trap: wasm `unreachable`").await;
}

#[tokio::test]
async fn a_guest_that_loops_for_ever_is_broken_off_at_its_deadline() {
    assert_given_up("loops", TRIES, "guest-trap: the guest broke off: it took more than 250 ms").await;
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

// === answers that are none ===

#[tokio::test]
async fn a_guest_that_describes_no_request_is_given_up_after_three_tries() {
    assert_given_up("nothing", TRIES, "guest-invalid: ").await;
}

#[tokio::test]
async fn a_header_with_a_line_break_is_never_sent() {
    assert_given_up("header", TRIES, "guest-invalid: ").await;
}

#[tokio::test]
async fn a_method_that_the_contract_does_not_know_is_never_sent() {
    assert_given_up("method", TRIES, "guest-invalid: ").await;
}

#[tokio::test]
async fn a_secret_that_would_go_to_another_origin_is_refused_at_once() {
    assert_given_up("other-origin", 1, "egress-denied: ").await;
}

#[tokio::test]
async fn a_target_that_the_guest_invents_is_dead_at_once() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start(&[target("invents", &receiver)]);
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    assert!(stage.drive().await.is_empty());
    assert_eq!(delivery(&stage, &id, "invents").await.progress.state, State::Delivered);
    let invented = delivery(&stage, &id, "nobody").await;
    assert_eq!((invented.progress.state, invented.progress.attempts), (State::Dead, 0));
    assert!(invented.progress.detail.starts_with("guest-invalid: "), "{}", invented.progress.detail);
}

// === answers that the embedded brain never gives ===

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

// === no brain ===

/// The beginning of a component's binary form.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A type: a function without parameters and results.
const FUNCTION: &[u8] = b"\x07\x05\x01\x40\0\x01\0";

/// A type: an instance with such a function, `now`.
const INSTANCE: &[u8] = b"\x07\x10\x01\x42\x02\x01\x40\0\x01\0\x04\0\x03now\x01\0";

fn refusal(bytes: &[&[u8]]) -> BrainError {
    Brain::new(&bytes.concat()).err().expect("this is no brain")
}

#[test]
fn bytes_that_are_no_component_are_no_brain() {
    let module = b"\0asm\x01\0\0\0";
    for bytes in [&b""[..], b"#!/bin/sh\n", module, &COMPONENT[..6]] {
        let error = refusal(&[bytes]);
        assert!(matches!(error, BrainError::NotABrain(_)), "{bytes:?}: {error}");
    }
}

#[test]
fn a_component_without_the_exports_is_no_brain() {
    let error = refusal(&[COMPONENT]);
    assert!(matches!(&error, BrainError::NotABrain(why) if why.contains("nuncio:dispatch")), "{error}");
}

#[test]
fn a_component_that_imports_a_function_is_refused_by_the_name_of_the_import() {
    let error = refusal(&[COMPONENT, FUNCTION, b"\x0a\x08\x01\0\x03now\x01\0"]);
    assert!(matches!(&error, BrainError::Imports(name) if name == "now"), "{error}");
}

#[test]
fn a_component_that_imports_an_interface_with_a_function_is_refused_by_its_name() {
    let error = refusal(&[COMPONENT, INSTANCE, b"\x0a\x0a\x01\0\x05a:b/c\x05\0"]);
    assert!(matches!(&error, BrainError::Imports(name) if name == "a:b/c"), "{error}");
}
