//! How many notifications a second, against Apprise?
//!
//! `cargo bench --bench peers`. Apprise is taken from PyPI into an environment below `target/`, as the tests take it;
//! Python 3.11 or newer must be there. It sends by its JSON plugin, one after the other, as its API does. Nuncio hands
//! in from 256 tasks, each of which waits until its notification is accepted. Both send to one receiver in a process
//! of its own; each round checks that each notification arrived once.
#![expect(clippy::unwrap_used, reason = "a benchmark that meets what it does not expect stops")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use measure::nuncio::{TEXT, send_all, target};
use measure::receiver::{self, Receiver};
use measure::{ROUNDS, Series, folder, machine, monotonic, number};
use nuncio::Nuncio;
use nuncio::store::{MemoryStore, SqliteStore, Store};

mod measure;

/// How many notifications a round has, of each.
const OF_NUNCIO: u64 = 20_000;
const OF_APPRISE: u64 = 500;

const IN_FLIGHT: usize = 256;

/// Sends as many as it is told, as often as it is told.
const SENDS: &str = r##"
import sys, apprise
print(apprise.__version__, flush=True)
sender = apprise.Apprise()
assert sender.add(sys.argv[1])
for line in sys.stdin:
    for n in range(int(line)):
        assert sender.notify(title=f"#{n}#", body=sys.argv[2])
    print("done", flush=True)
"##;

fn main() {
    receiver::serve_if_asked();
    let folder = folder();
    let mut receiver = Receiver::start(None);
    let mut apprise = Apprise::start(&format!("json://{}/hook", receiver.address));
    println!(
        "{}; medians of {ROUNDS} rounds in turns, and their range; Apprise {}\n",
        machine(),
        apprise.version
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let file = SqliteStore::open(folder.path().join("queue.db")).unwrap();
    let (memory, file) =
        runtime.block_on(async { (start(&receiver, MemoryStore::default()), start(&receiver, file)) });
    let mut measured: [Series; 3] = Default::default();
    for round in 0..=ROUNDS {
        for (which, series) in measured.iter_mut().enumerate() {
            let began = monotonic();
            match which {
                0 => apprise.send(OF_APPRISE),
                1 => runtime.block_on(send_all(&memory, OF_NUNCIO, IN_FLIGHT)),
                _ => runtime.block_on(send_all(&file, OF_NUNCIO, IN_FLIGHT)),
            }
            let took = (monotonic() - began).as_secs_f64();
            let count = if which == 0 { OF_APPRISE } else { OF_NUNCIO };
            receiver.exactly(count);
            if round > 0 {
                series.push(number(count) / took);
            }
        }
    }
    let [apprise, memory, file] = &measured;
    println!("| | notifications, 1/s | times Apprise |");
    println!("|---|---|---|");
    println!("| Apprise | {} | 1 |", apprise.shown(0));
    println!("| Nuncio, queue in memory | {} | {} |", memory.shown(0), memory.per(apprise).shown(0));
    println!("| Nuncio, queue in a file | {} | {} |", file.shown(0), file.per(apprise).shown(0));
}

fn start(receiver: &Receiver, store: impl Store) -> Nuncio {
    let targets = target(receiver, "hook", &format!("concurrency: {IN_FLIGHT}, "));
    let yaml = format!("targets:\n{targets}");
    Nuncio::builder("bench", yaml).store(store).buffer(2 * IN_FLIGHT).start().unwrap()
}

/// A Python process with Apprise in it.
struct Apprise {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
}

impl Apprise {
    fn start(url: &str) -> Self {
        let mut command = Command::new(python());
        command.args(["-c", SENDS, url, TEXT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (asks, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut apprise = Self { process, asks, answers: BufReader::new(answers), version: String::new() };
        apprise.version = apprise.answer();
        apprise
    }

    fn send(&mut self, count: u64) {
        writeln!(self.asks, "{count}").unwrap();
        assert_eq!(self.answer(), "done");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Apprise {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The interpreter of the environment in which `tests/run` has Apprise, made where it is not there.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("hosts/python");
    let python = environment.join("bin/python");
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    }
    let requirements = root.join("tests/hosts/python/requirements.txt");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(install).arg(requirements));
    python
}
