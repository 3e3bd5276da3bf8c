//! A dispatcher in virtual time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use nuncio::brain::{Brain, BrainError, EMBEDDED, Limits, cache};
use nuncio::clock::{Clock, ManualClock, UnixMs};
use nuncio::config::Config;
use nuncio::contract::Notification;
use nuncio::store::{Delivery, State};
use nuncio::{Builder, Nuncio, Receipt};

/// When every test begins: 2026-11-22, half past nine in the evening.
pub const BEGINNING: UnixMs = 1_795_383_000_000;

/// A component, compiled once for all runs of the tests.
pub fn compiled(component: &[u8], limits: Limits) -> Result<Brain, BrainError> {
    static ENGINE: OnceLock<wasmtime::Config> = OnceLock::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nuncio");
    let engine = ENGINE.get_or_init(|| cache::compiled_in(&folder).expect("the folder is this user's own"));
    Brain::with_engine(component, limits, engine.clone())
}

/// The component, compiled once for all tests.
pub fn brain() -> Brain {
    static BRAIN: OnceLock<Brain> = OnceLock::new();
    // A machine that is busy with other tests is no reason for it to be broken off.
    let limits = Limits { call: Duration::from_secs(5), ..Limits::default() };
    BRAIN.get_or_init(|| compiled(EMBEDDED, limits).expect("the embedded component is a brain")).clone()
}

/// A configuration that must be right.
pub fn config(yaml: &str) -> Config {
    let environment = HashMap::<String, String>::new();
    Config::load("test.yml", yaml, &environment, &brain()).unwrap_or_else(|error| panic!("{error}"))
}

/// A running dispatcher and the clock that it runs by.
pub struct Stage {
    pub clock: ManualClock,
    pub nuncio: Nuncio,
}

impl Stage {
    /// Starts with a configuration in YAML.
    pub fn start(yaml: &str) -> Self {
        Self::start_with(yaml, |builder| builder)
    }

    /// Starts with a configuration and more.
    pub fn start_with(yaml: &str, set: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = ManualClock::at(BEGINNING);
        let builder = Nuncio::with_config(brain(), config(yaml)).clock(clock.clone()).seed(7);
        Self { clock, nuncio: set(builder).start().expect("the dispatcher starts") }
    }

    /// Hands in a notification and waits until it is in the queue.
    pub async fn hand_in(&self, notification: Notification) -> Receipt {
        let ticket = self.nuncio.notify(notification).expect("the buffer has room");
        ticket.accepted().await.expect("it is accepted")
    }

    /// Lets everything happen that can at this instant, then moves time to the next thing that is due.
    /// Returns how far that was; `None` where nothing is due any more.
    pub async fn step(&self) -> Option<Duration> {
        let due = self.nuncio.idle().await?;
        let wait = due.saturating_sub(self.clock.now());
        self.clock.advance_to(due);
        Some(Duration::from_millis(wait))
    }

    /// Steps until nothing is left to happen. Returns how long each step was.
    pub async fn drive(&self) -> Vec<Duration> {
        let mut waits = Vec::new();
        while let Some(wait) = self.step().await {
            waits.push(wait);
        }
        waits
    }

    /// Steps until nothing is left, where something is under way that its deadline ends, this long after now.
    pub async fn drive_past(&self, deadline: Duration) {
        self.clock.advance(deadline);
        self.drive().await;
    }

    /// What became of a notification at each target.
    pub async fn deliveries(&self, id: &str) -> Vec<Delivery> {
        self.nuncio.find(id).await.expect("the store answers").expect("the notification is known").deliveries
    }

    /// What became of a notification at its only target: the state and the number of attempts.
    pub async fn end(&self, id: &str) -> (State, u32) {
        let deliveries = self.deliveries(id).await;
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        (deliveries[0].progress.state, deliveries[0].progress.attempts)
    }
}
