//! A brain that misbehaves is contained, and what is no brain is refused.
//!
//! The brain is `tests/rogue`, built once for all tests: a target's `mode` says what goes wrong with it.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nuncio::brain::{Brain, Limits};
use nuncio::clock::ManualClock;
use nuncio::config::Config;
use nuncio::contract::{Level, Notification};
use nuncio::event::Happened;
use nuncio::store::{Delivery, State};
use nuncio::{Builder, Nuncio, Remains};

use crate::scripted::{Receiver, reply};
use crate::stage::{BEGINNING, Stage, compiled};

mod components;
mod decisions;
mod requests;
mod several;
mod time_and_memory;

const TARGET: &str = "wasm32-unknown-unknown";

/// How often a delivery is tried that the guest fails.
const TRIES: usize = 3;

// === the rogue ===

fn build() -> Vec<u8> {
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

fn rogue_component() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(build)
}

fn rogue() -> Brain {
    static ROGUE: OnceLock<Brain> = OnceLock::new();
    // A machine that is busy with other tests is no reason for it to be broken off.
    let limits = Limits { call: Duration::from_secs(1), ..Limits::default() };
    ROGUE.get_or_init(|| compiled(rogue_component(), limits).expect("the rogue is a brain")).clone()
}

fn target(mode: &str, receiver: &Receiver) -> String {
    let (url, until) = (receiver.url("/"), BEGINNING + 5);
    format!(
        "  - {{name: {mode}, provider: rogue, mode: {mode}, url: \"{url}\", token: tk_canary, until: {until}, \
         allow_hosts: \"{url}\"}}\n"
    )
}

fn start(targets: &[String]) -> Stage {
    start_with(targets, |builder| builder)
}

fn start_with(targets: &[String], set: impl FnOnce(Builder) -> Builder) -> Stage {
    start_as(&rogue(), targets, set)
}

fn start_as(brain: &Brain, targets: &[String], set: impl FnOnce(Builder) -> Builder) -> Stage {
    let (yaml, environment) = (format!("targets:\n{}", targets.concat()), HashMap::<String, String>::new());
    let config =
        Config::load("test.yml", &yaml, &environment, brain).unwrap_or_else(|error| panic!("{error}"));
    let clock = ManualClock::at(BEGINNING);
    let builder = Nuncio::with_config(brain.clone(), config).clock(clock.clone()).seed(7);
    Stage { clock, nuncio: set(builder).start().expect("the dispatcher starts") }
}

async fn delivery(stage: &Stage, id: &str, target: &str) -> Delivery {
    let deliveries = stage.deliveries(id).await;
    let found = deliveries.iter().find(|delivery| &*delivery.target == target);
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
