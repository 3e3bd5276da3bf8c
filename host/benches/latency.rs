//! How long does a notification take to the receiver, and how late is what is due?
//!
//! `cargo bench --bench latency`, or `-- half` or `-- timers` for one part:
//!
//! - `half`: notifications handed in at even distances, at half the rate that Nuncio with its queue in a file manages
//!   at once on this machine; from the hand-in to the first byte at the receiver. The bare client sends the same at
//!   the same rate.
//! - `timers`: deliveries that are each due at an instant of its own; how long after it the attempt begins.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark waits, and stops at what it does not expect"
)]

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use measure::bare::Bare;
use measure::nuncio::{body, numbered, send_all, target};
use measure::receiver::{self, Receiver};
use measure::{ROUNDS, Series, folder, is_wanted, machine, monotonic, number};
use nuncio::Nuncio;
use nuncio::clock::{Clock as _, SystemClock, UnixMs};
use nuncio::contract::{Outcome, Reply};
use nuncio::egress::route::Route;
use nuncio::egress::{Egress, Exchange, Exchanging};
use nuncio::store::{Delivery, MemoryStore, Operation, Progress, Record, SqliteStore, State, Store};

mod measure;

/// How many notifications a round has.
const COUNT: u64 = 20_000;

/// How many are under way where the rate is found.
const IN_FLIGHT: usize = 64;

/// How many timers there are, and within which time all are due.
const TIMERS: u64 = 10_000;
const SPREAD: Duration = Duration::from_secs(5);

fn main() {
    receiver::serve_if_asked();
    println!("{}; medians of {ROUNDS} rounds in turns, and their range\n", machine());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if is_wanted("half") {
        half_load(&runtime);
    }
    if is_wanted("timers") {
        runtime.block_on(timers());
    }
}

// === half ===

fn half_load(runtime: &tokio::runtime::Runtime) {
    let folder = folder();
    let mut receiver = Receiver::start(None);
    let (client, in_memory, in_file) = runtime.block_on(async {
        let file = SqliteStore::open(folder.path().join("queue.db")).unwrap();
        (Bare::toward(&receiver), start(&receiver, MemoryStore::default()), start(&receiver, file))
    });
    let mut rates = Series::default();
    for _ in 0..3 {
        let began = monotonic();
        runtime.block_on(send_all(&in_file, COUNT, IN_FLIGHT));
        rates.push(number(COUNT) / (monotonic() - began).as_secs_f64());
        receiver.exactly(COUNT);
    }
    let rate = rates.median() / 2.0;
    println!("{COUNT} notifications at {rate:.0} a second, from hand-in to the receiver, in microseconds\n");
    let mut measured: [[Series; 3]; 3] = Default::default();
    let mut syncs = Series::default();
    for round in 0..=ROUNDS {
        for (which, measured) in measured.iter_mut().enumerate() {
            let sent = match which {
                0 => evenly(rate, |n| {
                    let client = client.clone();
                    drop(runtime.spawn(async move { client.send(body(n)).await }));
                }),
                1 => evenly(rate, |n| drop(in_memory.notify(numbered(n)).unwrap())),
                _ => evenly(rate, |n| drop(in_file.notify(numbered(n)).unwrap())),
            };
            while receiver.requests() < COUNT {
                std::thread::sleep(Duration::from_millis(1));
            }
            runtime.block_on(async {
                in_memory.flush().await;
                in_file.flush().await;
            });
            let mut waits = Series::default();
            for (sent, arrived) in sent.iter().zip(receiver.exactly(COUNT).arrivals) {
                waits.push(number(arrived.saturating_sub(*sent)) / 1e3);
            }
            if round > 0 {
                for (series, share) in measured.iter_mut().zip([0.5, 0.99, 0.999]) {
                    series.push(waits.quantile(share));
                }
            }
        }
        syncs.push(sync(folder.path()));
    }
    println!("| | p50 | p99 | p99.9 |");
    println!("|---|---|---|---|");
    let names = ["bare client", "queue in memory", "queue in a file"];
    for (name, [half, most, nearly_all]) in names.iter().zip(&measured) {
        println!("| {name} | {} | {} | {} |", half.shown(0), most.shown(0), nearly_all.shown(0));
    }
    let [[bare, ..], [memory, ..], [file, ..]] = &measured;
    let (memory, file) = (memory.less(bare), file.less(bare));
    println!("\nAdded at p50: {} in memory, {} with a file.", memory.shown(0), file.shown(0));
    println!("One fdatasync of a page: {}.\n", syncs.shown(0));
}

fn start(receiver: &Receiver, store: impl Store) -> Nuncio {
    let targets = target(receiver, "hook", "concurrency: 256, ");
    Nuncio::builder("bench", format!("targets:\n{targets}")).store(store).buffer(1 << 16).start().unwrap()
}

/// Hands in at even distances, whatever becomes of it; when each was, in nanoseconds.
fn evenly(rate: f64, mut hand_in: impl FnMut(u64)) -> Vec<u64> {
    let began = monotonic();
    let hand_in_at = |n: u64| {
        let due = began + Duration::from_secs_f64(number(n) / rate);
        // A sleep ends some 60 us late; what is due by then goes together.
        while let Some(wait) = due.checked_sub(monotonic()).filter(|wait| !wait.is_zero()) {
            std::thread::sleep(wait);
        }
        let at = u64::try_from(monotonic().as_nanos()).unwrap();
        hand_in(n);
        at
    };
    (0..COUNT).map(hand_in_at).collect()
}

/// The median of what it takes to append a page to a file and sync it, in microseconds.
fn sync(folder: &std::path::Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("probe")).unwrap();
    let mut took = Series::default();
    for _ in 0..100 {
        let began = monotonic();
        file.write_all(&[0; 4_096]).unwrap();
        file.sync_data().unwrap();
        took.push((monotonic() - began).as_secs_f64() * 1e6);
    }
    took.median()
}

// === timers ===

/// Takes note of when each request came, and says that it arrived.
#[derive(Clone, Default)]
struct Noting {
    clock: SystemClock,
    came: Arc<Mutex<Vec<(u64, UnixMs)>>>,
}

impl Egress for Noting {
    fn send(&self, request: http::Request<Bytes>, _: &Route, _: Duration) -> Exchanging<'_> {
        let text = String::from_utf8_lossy(request.body()).into_owned();
        let number = text.split('#').nth(1).unwrap().parse().unwrap();
        self.came.lock().unwrap().push((number, self.clock.now()));
        let reply = Reply { status: 200, head: String::new(), body: Vec::new() };
        Box::pin(std::future::ready(Exchange { outcome: Outcome::Reply(reply), detail: None }))
    }
}

async fn timers() {
    println!("{TIMERS} deliveries, each due at an instant of its own within {} s\n", SPREAD.as_secs());
    println!("| p50, ms | p99, ms | latest, ms | too early |");
    println!("|---|---|---|---|");
    let (mut half, mut most, mut latest, mut early) =
        (Series::default(), Series::default(), Series::default(), 0_usize);
    for _ in 0..ROUNDS {
        let noting = Noting::default();
        let spread = u64::try_from(SPREAD.as_millis()).unwrap();
        // Enough for all to be read before the first is due.
        let first = noting.clock.now() + 2_000;
        let due: HashMap<u64, UnixMs> = (0..TIMERS).map(|n| (n, first + n * spread / TIMERS)).collect();
        let mut store = MemoryStore::default();
        for (n, due) in &due {
            let mut delivery = Delivery::queued("hook", noting.clock.now());
            // What merely waits for its turn is due at once after a restart.
            let now = noting.clock.now();
            delivery.progress = Progress {
                state: State::Retrying,
                due_at: Some(*due),
                tried_at: Some(now),
                ..delivery.progress
            };
            let notification = nuncio::contract::Notification { id: format!("timer-{n}"), ..numbered(*n) };
            let (notification, deliveries) = (Arc::new(notification), vec![delivery]);
            store
                .commit(&[Operation::Accept(Record { notification, idempotency_key: None, deliveries })])
                .unwrap();
        }
        let yaml = "targets: [{name: hook, provider: webhook, url: \"http://localhost/\", concurrency: 256, \
                    payload: '{\"title\":$title}'}]";
        let nuncio = Nuncio::builder("bench", yaml).store(store).egress(noting.clone()).start().unwrap();
        tokio::time::sleep(SPREAD + Duration::from_secs(2)).await;
        nuncio.flush().await;
        let came = std::mem::take(&mut *noting.came.lock().unwrap());
        assert_eq!(came.len(), due.len(), "each is sent once");
        let mut late = Series::default();
        for (n, at) in came {
            early += usize::from(at < due[&n]);
            late.push(number(at.saturating_sub(due[&n])));
        }
        half.push(late.quantile(0.5));
        most.push(late.quantile(0.99));
        latest.push(late.quantile(1.0));
    }
    println!("| {} | {} | {} | {early} |\n", half.shown(0), most.shown(0), latest.shown(0));
}
