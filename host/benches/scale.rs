//! What does a delivery cost as things grow?
//!
//! `cargo bench --bench scale`, or `-- targets`, `-- pending` or `-- body` for one part. The processor time of the
//! sender for each delivery, with its queue in memory, toward one receiver in a process of its own:
//!
//! - `targets`: with more and more targets, of which one wants the notification.
//! - `pending`: with more and more deliveries waiting for later, and what memory each of those takes.
//! - `body`: with larger and larger texts; of the bare client, too.
//!
//! Each is drawn as well: the last lines say where.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark waits, and stops at what it does not expect"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use measure::bare::Bare;
use measure::nuncio::{numbered, send, target};
use measure::receiver::{self, Receiver};
use measure::{ROUNDS, Series, is_wanted, machine, number, processor_time};
use nuncio::Nuncio;
use nuncio::clock::{Clock as _, SystemClock};
use nuncio::contract::Notification;
use nuncio::store::{Delivery, Done, Limits, MemoryStore, Operation, Progress, Record, State, Store as _};
use plotters::prelude::*;

mod measure;

const COUNT: u64 = 5_000;

const IN_FLIGHT: usize = 64;

fn main() {
    receiver::serve_if_asked();
    println!("{}; medians of {ROUNDS} rounds in turns, and their range\n", machine());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    type Part = fn(&tokio::runtime::Runtime) -> PathBuf;
    let parts: [(&str, Part); 3] = [("targets", targets), ("pending", pending), ("body", bodies)];
    let wanted = parts.into_iter().filter(|(part, _)| is_wanted(part));
    let drawn: Vec<PathBuf> = wanted.map(|(_, run)| run(&runtime)).collect();
    drawn.iter().for_each(|path| println!("{}", path.display()));
}

/// What is sent.
type Kind = Arc<dyn Fn(u64) -> Notification + Send + Sync>;

/// Processor time a delivery in microseconds, of each in turns.
fn cost_of(
    runtime: &tokio::runtime::Runtime,
    receiver: &mut Receiver,
    ways: &[(&Nuncio, Kind)],
) -> Vec<Series> {
    let mut measured = vec![Series::default(); ways.len()];
    for round in 0..=ROUNDS {
        for ((nuncio, notification), series) in ways.iter().zip(&mut measured) {
            let before = processor_time();
            let notification = Arc::clone(notification);
            runtime.block_on(send(nuncio, COUNT, IN_FLIGHT, move |n| notification(n)));
            let spent = processor_time() - before;
            receiver.exactly(COUNT);
            if round > 0 {
                series.push(spent.as_secs_f64() * 1e6 / number(COUNT));
            }
        }
    }
    measured
}

fn start(targets: &str, store: MemoryStore) -> Nuncio {
    let yaml = format!("queue: {{max_messages: 2000000, max_bytes: 8GiB}}\ntargets:\n{targets}");
    Nuncio::builder("bench", yaml).store(store).buffer(2 * IN_FLIGHT).start().unwrap()
}

// === targets ===

fn targets(runtime: &tokio::runtime::Runtime) -> PathBuf {
    let mut receiver = Receiver::start(None);
    let counts = [1, 10, 100, 1_000];
    let dispatchers: Vec<Nuncio> = counts
        .iter()
        .map(|count| {
            let mut yaml = String::new();
            for n in 0..*count {
                let more = format!("concurrency: 64, filter: {{tags: {{any: [team-{n}]}}}}, ");
                yaml += &target(&receiver, &format!("team-{n}"), &more);
            }
            runtime.block_on(async { start(&yaml, MemoryStore::default()) })
        })
        .collect();
    let tagged: Kind = Arc::new(|n| Notification { tags: vec!["team-0".to_owned()], ..numbered(n) });
    let ways: Vec<_> = dispatchers.iter().map(|nuncio| (nuncio, Arc::clone(&tagged))).collect();
    let measured = cost_of(runtime, &mut receiver, &ways);
    table("targets, of which one wants it", &counts.map(|count| count.to_string()), &measured);
    println!();
    draw("targets", "targets, of which one wants it", &counts.map(f64::from), &measured)
}

// === pending ===

fn pending(runtime: &tokio::runtime::Runtime) -> PathBuf {
    let mut receiver = Receiver::start(None);
    let counts = [1_000, 100_000, 1_000_000];
    let yaml = target(&receiver, "hook", "concurrency: 64, filter: {tags: {any: [now]}}, ")
        + &target(&receiver, "later", "filter: {tags: {any: [later]}}, ");
    let mut memory = Vec::new();
    let dispatchers: Vec<Nuncio> = counts
        .iter()
        .map(|count| {
            let store = waiting(*count);
            let before = resident();
            let nuncio = runtime.block_on(async { start(&yaml, store) });
            while runtime.block_on(nuncio.stats()).unwrap().is_recovering {
                std::thread::sleep(Duration::from_millis(20));
            }
            memory.push(resident().saturating_sub(before) / count);
            nuncio
        })
        .collect();
    let tagged: Kind = Arc::new(|n| Notification { tags: vec!["now".to_owned()], ..numbered(n) });
    let ways: Vec<_> = dispatchers.iter().map(|nuncio| (nuncio, Arc::clone(&tagged))).collect();
    let measured = cost_of(runtime, &mut receiver, &ways);
    table("pending", &counts.map(|count| count.to_string()), &measured);
    let memory: Vec<String> = memory.iter().map(ToString::to_string).collect();
    println!("\nBytes resident in the dispatcher for each that is pending: {}.\n", memory.join(", "));
    #[expect(clippy::cast_precision_loss, reason = "none is that large")]
    draw("pending", "pending", &counts.map(|count| count as f64), &measured)
}

/// A queue in which so many wait for an hour from now.
fn waiting(count: u64) -> MemoryStore {
    let mut store = MemoryStore::default();
    let limits = Limits { max_messages: 2 * count, max_bytes: 8 << 30, ..Limits::default() };
    store.commit(&[Operation::Limit(limits)]).unwrap();
    let now = SystemClock::default().now();
    for n in 0..count {
        let mut delivery = Delivery::queued("later", now);
        // What merely waits for its turn is due at once after a restart.
        let (state, due_at) = (State::Retrying, Some(now + 3_600_000));
        delivery.progress = Progress { state, due_at, tried_at: Some(now), ..delivery.progress };
        let notification = Notification { id: format!("later-{n}"), ..numbered(n) };
        let (notification, deliveries) = (Arc::new(notification), vec![delivery]);
        let record = Record { notification, idempotency_key: None, deliveries };
        let done = store.commit(&[Operation::Accept(record)]).unwrap();
        assert!(matches!(done.as_slice(), [Done::Accepted(_)]), "{done:?}");
    }
    store
}

/// What this process has in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

// === body ===

fn bodies(runtime: &tokio::runtime::Runtime) -> PathBuf {
    let mut receiver = Receiver::start(None);
    let sizes = [100, 1_000, 4_000, 16_000, 64_000];
    let nuncio = runtime
        .block_on(async { start(&target(&receiver, "hook", "concurrency: 64, "), MemoryStore::default()) });
    let client = Bare::toward(&receiver);
    let texts =
        sizes.map(|size| "The disk is 98 % full. ".chars().cycle().take(size - 1).collect::<String>() + ".");
    let kind = |text: &String| -> Kind {
        let text = text.clone();
        Arc::new(move |n| numbered(n).text(&text))
    };
    let ways: Vec<_> = texts.iter().map(|text| (&nuncio, kind(text))).collect();
    let measured = cost_of(runtime, &mut receiver, &ways);
    let mut bare = vec![Series::default(); sizes.len()];
    for round in 0..=ROUNDS {
        for (text, series) in texts.iter().zip(&mut bare) {
            let before = processor_time();
            let text = text.clone();
            let body = move |n: u64| format!(r##"{{"title":"#{n}#","message":"{text}"}}"##);
            runtime.block_on(client.send_all(COUNT, IN_FLIGHT, body));
            let spent = processor_time() - before;
            receiver.exactly(COUNT);
            if round > 0 {
                series.push(spent.as_secs_f64() * 1e6 / number(COUNT));
            }
        }
    }
    table("bytes of text", &sizes.map(|size| size.to_string()), &measured);
    println!();
    table("bytes of text, by the bare client", &sizes.map(|size| size.to_string()), &bare);
    println!();
    #[expect(clippy::cast_precision_loss, reason = "none is that large")]
    draw("body", "bytes of text", &sizes.map(|size| size as f64), &measured)
}

// === output ===

fn table(what: &str, names: &[String], measured: &[Series]) {
    println!("| {what} | us a delivery | times the first |");
    println!("|---|---|---|");
    for (name, series) in names.iter().zip(measured) {
        println!("| {name} | {} | {} |", series.shown(1), series.per(&measured[0]).shown(2));
    }
}

/// Draws medians with their ranges; where the picture is.
fn draw(name: &str, what: &str, at: &[f64], measured: &[Series]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scale-{name}.svg"));
    let top = measured.iter().map(|series| series.quantile(1.0)).fold(0.0, f64::max) * 1.1;
    let (first, last) = (at[0], at[at.len() - 1]);
    let root = SVGBackend::new(&path, (640, 360)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((first * 0.8..last * 1.25).log_scale(), 0.0..top)
        .unwrap();
    let unit = "microseconds of processor time a delivery";
    chart.configure_mesh().x_desc(what).y_desc(unit).draw().unwrap();
    let points = at.iter().zip(measured).map(|(at, series)| (*at, series.median()));
    chart.draw_series(LineSeries::new(points.clone(), BLUE)).unwrap();
    chart.draw_series(points.map(|point| Circle::new(point, 3, BLUE.filled()))).unwrap();
    let ranges = at.iter().zip(measured).map(|(at, series)| {
        PathElement::new(vec![(*at, series.quantile(0.0)), (*at, series.quantile(1.0))], BLUE)
    });
    chart.draw_series(ranges).unwrap();
    root.present().unwrap();
    drop(chart);
    drop(root);
    path
}
