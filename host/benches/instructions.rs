//! How many instructions does a delivery take?
//!
//! `cargo bench --bench instructions` counts them under callgrind, and stops where a count is more than 2 % above the
//! one that `host/benches/instructions.txt` has, or below it: then `NUNCIO_BLESS=1` writes what is counted there. Unlike
//! time they are nearly the same on every machine of this architecture, however busy: the component is compiled for the
//! plainest x86-64, and each count is the difference of two runs by how much more the one does. Takes valgrind,
//! and a minute.
#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that meets what it does not expect stops"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use measure::nuncio::{numbered, send_all};
use nuncio::Nuncio;
use nuncio::brain::{Brain, EMBEDDED, Limits, cache};
use nuncio::config::Config;
use nuncio::contract::{Level, Outcome, Reply, Tried};
use nuncio::egress::route::Route;
use nuncio::egress::{Egress, Exchange, Exchanging};

mod measure;

/// The variable that makes the program do what is counted: what it is, and how often.
const ROLE: &str = "NUNCIO_BENCH_COUNTED";

/// What is counted.
const KINDS: [&str; 5] = ["route", "admit", "format", "judge", "delivery"];

/// How much more often the second run of each does it.
const TIMES: u64 = 2_000;

/// How far a count may be from the one on record.
const MARGIN: f64 = 0.02;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

const TARGETS: &str = r##"{"targets":[{"name":"hook","provider":"webhook","url":"http://localhost/hook",
    "payload":"{\"title\":$title,\"message\":$message}","concurrency":64}]}"##;

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        let (kind, times) = role.split_once(' ').unwrap();
        work(kind, times.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    // Compiled here, so that no run under callgrind has to.
    drop(brain());
    let record = std::fs::read_to_string(RECORD).unwrap_or_default();
    let lines = record.lines().filter_map(|line| line.split_once(": "));
    let recorded: HashMap<&str, f64> =
        lines.map(|(kind, count)| (kind, count.trim().parse().unwrap())).collect();
    println!("| | instructions | on record | difference |");
    println!("|---|---|---|---|");
    let (mut counted, mut is_off) = (String::new(), false);
    for kind in KINDS {
        let [few, many] = [0, TIMES].map(|times| instructions(kind, times));
        let count = measure::number(many - few) / measure::number(TIMES);
        let before = recorded.get(kind).copied().unwrap_or(f64::NAN);
        let off = count / before - 1.0;
        is_off |= off.is_nan() || off.abs() > MARGIN;
        println!("| {kind} | {count:.0} | {before:.0} | {:+.1} % |", off * 100.0);
        counted += &format!("{kind}: {count:.0}\n");
    }
    if std::env::var_os("NUNCIO_BLESS").is_some() {
        std::fs::write(RECORD, counted).unwrap();
    } else if is_off {
        eprintln!("\nThat is not what is on record: mend it, or run it with NUNCIO_BLESS=1 and say why.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// How many instructions a run takes that does this so often.
fn instructions(kind: &str, times: u64) -> u64 {
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind-{kind}-{times}"));
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", output.display()));
    command.arg(std::env::current_exe().unwrap()).env(ROLE, format!("{kind} {times}"));
    let ran =
        command.output().unwrap_or_else(|error| panic!("cannot run valgrind, is it installed? {error}"));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{said}");
    let line =
        said.lines().find_map(|line| line.split_once("Collected : ")).unwrap_or_else(|| panic!("{said}"));
    line.1.trim().parse().unwrap()
}

/// The embedded brain, compiled for any machine of this architecture.
fn brain() -> Brain {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    let mut engine = cache::compiled_in(&folder).unwrap();
    engine.target("x86_64-unknown-linux-gnu").unwrap();
    Brain::with_engine(EMBEDDED, Limits::default(), engine).unwrap()
}

fn work(kind: &str, times: u64) {
    /// So often before, so that nothing is counted that happens once.
    const WARM_UP: u64 = 200;
    let brain = brain();
    if kind == "delivery" {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async {
            let config = Config::load("bench", TARGETS, &HashMap::<String, String>::new(), &brain).unwrap();
            let taken = Arc::new(AtomicU64::new(0));
            let egress = Taking(Arc::clone(&taken));
            let nuncio = Nuncio::with_config(brain, config).egress(egress).seed(7).start().unwrap();
            send_all(&nuncio, WARM_UP + times, 64).await;
            assert_eq!(taken.load(Ordering::Relaxed), WARM_UP + times, "each is sent once");
        });
    }
    // As the host does: the guest gets the name of a secret.
    let targets = TARGETS.replace(r#""http://localhost/hook""#, r#"{"$secret":"hook/url"}"#);
    let dispatcher = brain.dispatcher(&targets).unwrap();
    let (notification, endpoint) = (numbered(7), dispatcher.untried().unwrap());
    let attempt = measure::first(Level::Info);
    let tried = [Tried { attempt, outcome: taken(), entropy: 7 }];
    for _ in 0..WARM_UP + times {
        match kind {
            "route" => drop(black_box(dispatcher.route(std::slice::from_ref(&notification)).unwrap())),
            "admit" => drop(black_box(dispatcher.admit(0, &[attempt], endpoint, 0).unwrap())),
            "format" => drop(black_box(dispatcher.format(0, &notification, false, 0).unwrap().unwrap())),
            _ => drop(black_box(dispatcher.judge(0, &tried, endpoint, 0).unwrap())),
        }
    }
}

fn taken() -> Outcome {
    let head = Reply::head_of([("content-type", "text/plain"), ("content-length", "2")]);
    Outcome::Reply(Reply { status: 200, head, body: b"ok".to_vec() })
}

/// Takes every request at once, and counts them.
struct Taking(Arc<AtomicU64>);

impl Egress for Taking {
    fn send(&self, _: http::Request<Bytes>, _: &Route, _: Duration) -> Exchanging<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Exchange { outcome: taken(), detail: None }))
    }
}
