//! What does a delivery cost against the same request by a bare client?
//!
//! `cargo bench --bench pipeline`, or `-- plain` or `-- tls` for one of the two. Deliveries a second of the bare
//! hyper-util client, of Nuncio with its queue in memory and of Nuncio with its queue in a file, toward one receiver
//! in a process of its own; each round checks that each notification arrived once. With a file, a notification is on
//! disk before its hand-in is acknowledged, and so is its end. Beside them how often the disk can sync, with nothing
//! else to do.
#![expect(clippy::unwrap_used, reason = "a benchmark that meets what it does not expect stops")]

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use measure::bare::Bare;
use measure::nuncio::{Counting, body, send_all, target};
use measure::receiver::{self, Receiver};
use measure::{ROUNDS, Series, folder, is_wanted, machine, monotonic, number, processor_time};
use nuncio::Nuncio;
use nuncio::store::{MemoryStore, SqliteStore, Store};

mod measure;

/// How many are under way, and how many a round has.
const LOADS: [(usize, u64); 4] = [(1, 2_000), (16, 10_000), (64, 20_000), (256, 20_000)];

fn main() {
    receiver::serve_if_asked();
    println!("{}; medians of {ROUNDS} rounds in turns, and their range\n", machine());
    let folder = folder();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (part, certificate) in [("plain", None), ("tls", Some(folder.path().join("certificate.pem")))] {
        if is_wanted(part) {
            let receiver = Receiver::start(certificate);
            println!("## {part}\n");
            runtime.block_on(compare(receiver, folder.path()));
        }
    }
}

/// What is measured of one of the three at one load.
#[derive(Default)]
struct Measured {
    /// Deliveries a second.
    rate: Series,
    /// Processor time of the sender for each, in microseconds.
    sender: Series,
    /// Processor time of the receiver for each, in microseconds.
    receiver: Series,
}

async fn compare(mut receiver: Receiver, folder: &std::path::Path) {
    println!(
        "| in flight | bare, 1/s | memory, 1/s | file, 1/s | memory / bare | file / bare | file / memory | commits a delivery | fdatasync, 1/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut costs = Vec::new();
    for (in_flight, count) in LOADS {
        let bare = Bare::toward(&receiver);
        let commits = Arc::new(AtomicU64::new(0));
        let file = SqliteStore::open(folder.join(format!("{in_flight}.db"))).unwrap();
        let file = start(&receiver, in_flight, Counting { store: file, commits: Arc::clone(&commits) });
        let memory = start(&receiver, in_flight, MemoryStore::default());
        let mut measured: [Measured; 3] = std::array::from_fn(|_| Measured::default());
        let (mut groups, mut syncs) = (Series::default(), Series::default());
        for round in 0..=ROUNDS {
            for (which, measured) in measured.iter_mut().enumerate() {
                let (began, spent) = (monotonic(), processor_time());
                let before = commits.load(Ordering::Relaxed);
                match which {
                    0 => bare.send_all(count, in_flight, body).await,
                    1 => send_all(&memory, count, in_flight).await,
                    _ => send_all(&file, count, in_flight).await,
                }
                let (took, spent) = (monotonic() - began, processor_time() - spent);
                let account = receiver.exactly(count);
                if round > 0 {
                    let each = |time: Duration| time.as_secs_f64() * 1e6 / number(count);
                    measured.rate.push(number(count) / took.as_secs_f64());
                    measured.sender.push(each(spent));
                    measured.receiver.push(each(account.processor));
                    if which == 2 {
                        groups.push(number(commits.load(Ordering::Relaxed) - before) / number(count));
                    }
                }
            }
            syncs.push(syncs_a_second(folder));
        }
        for nuncio in [file, memory] {
            nuncio.shutdown(Duration::from_secs(1)).await.unwrap();
        }
        let [bare, memory, file] = &measured;
        println!(
            "| {in_flight} | {} | {} | {} | {} | {} | {} | {:.3} | {} |",
            bare.rate.shown(0),
            memory.rate.shown(0),
            file.rate.shown(0),
            memory.rate.per(&bare.rate).shown(2),
            file.rate.per(&bare.rate).shown(2),
            file.rate.per(&memory.rate).shown(2),
            groups.median(),
            syncs.shown(0),
        );
        costs.push((in_flight, measured));
    }
    println!("\nProcessor time a delivery in microseconds, of the sender and of the receiver:\n");
    println!("| in flight | bare | receiver | memory | receiver | file | receiver |");
    println!("|---|---|---|---|---|---|---|");
    for (in_flight, measured) in costs {
        let costs = measured.map(|of| format!("{:.1} | {:.1}", of.sender.median(), of.receiver.median()));
        println!("| {in_flight} | {} |", costs.join(" | "));
    }
    println!();
}

fn start(receiver: &Receiver, in_flight: usize, store: impl Store) -> Nuncio {
    let targets = target(receiver, "hook", &format!("concurrency: {in_flight}, "));
    let yaml = format!("targets:\n{targets}");
    Nuncio::builder("bench", yaml).store(store).buffer(2 * in_flight).start().unwrap()
}

/// How often a second a page can be appended to a file and synced.
fn syncs_a_second(folder: &std::path::Path) -> f64 {
    const SYNCS: u32 = 100;
    let mut file = std::fs::File::create(folder.join("probe")).unwrap();
    let began = monotonic();
    for _ in 0..SYNCS {
        file.write_all(&[0; 4_096]).unwrap();
        file.sync_data().unwrap();
    }
    f64::from(SYNCS) / (monotonic() - began).as_secs_f64()
}
