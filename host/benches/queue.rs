//! What durability costs, and what a long queue does: `cargo bench --bench queue`.
//!
//! - How many commits, each of them an fsync, a notification takes from hand-in to its end, with 1 to 256
//!   callers that each wait for their acknowledgement; and how many notifications a second that makes.
//! - How long after its start a daemon sends first with 100 000 deliveries in its queue, and what memory each
//!   takes.
#![expect(clippy::unwrap_used, reason = "a benchmark that meets what it does not expect stops")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nuncio::Nuncio;
use nuncio::contract::{Level, Notification};
use nuncio::store::{
    Delivery, Done, Limits, MemoryStore, Operation, Reader, Record, SqliteStore, Store, StoreError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many deliveries wait at the start of a daemon.
const PENDING: u64 = 100_000;

/// How many notifications a round has.
const ROUND: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // `cargo bench --bench queue -- commits` is one of the two.
    let is_wanted = |name: &str| std::env::args().skip(1).all(|word| word.starts_with("--") || word == name);
    if is_wanted("commits") {
        runtime.block_on(commits());
    }
    if is_wanted("pending") {
        runtime.block_on(pending());
    }
}

/// A store that counts its commits.
struct Counting<S> {
    store: S,
    commits: Arc<AtomicU64>,
}

impl<S: Store> Store for Counting<S> {
    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit(operations)
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn reader(&self) -> Box<dyn Reader> {
        self.store.reader()
    }

    fn waits(&self) -> bool {
        self.store.waits()
    }
}

async fn commits() {
    println!("{ROUND} notifications, each acknowledged, sent and settled\n");
    println!("| callers | memory, 1/s | file, 1/s | file / memory | commits a notification |");
    println!("|---|---|---|---|---|");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let receiver = Receiver::start().await;
    for callers in [1, 16, 64, 256] {
        let notifications = if callers == 1 { ROUND / 5 } else { ROUND };
        let memory = round(MemoryStore::default(), &receiver, callers, notifications).await.0;
        let store = SqliteStore::open(folder.path().join(format!("{callers}.db"))).unwrap();
        let (file, commits) = round(store, &receiver, callers, notifications).await;
        println!("| {callers} | {memory:.0} | {file:.0} | {:.2} | {commits:.3} |", file / memory);
    }
}

/// Notifications a second, and commits a notification.
async fn round(store: impl Store, receiver: &Receiver, callers: usize, notifications: usize) -> (f64, f64) {
    let commits = Arc::new(AtomicU64::new(0));
    let yaml = format!(
        "targets: [{{name: hook, provider: webhook, url: \"{}\", payload: '{{\"t\": $title}}', concurrency: 256}}]",
        receiver.url()
    );
    let counting = Counting { store, commits: Arc::clone(&commits) };
    let nuncio = Nuncio::builder("bench", yaml).store(counting).buffer(512).start().unwrap();
    let before = receiver.count();
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let nuncio = nuncio.clone();
            tokio::spawn(async move {
                for n in 0..notifications / callers {
                    let notification = Notification::new(Level::Info, format!("notification {n}"));
                    nuncio.notify(notification).unwrap().accepted().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    nuncio.flush().await;
    let took = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let count = (receiver.count() - before) as f64;
    nuncio.shutdown(Duration::from_secs(1)).await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let commits = commits.load(Ordering::Relaxed) as f64;
    (count / took, commits / count)
}

async fn pending() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (full, empty) = (folder.path().join("full.db"), folder.path().join("empty.db"));
    fill(&full);
    println!("\n{PENDING} deliveries in the queue at the start\n");
    println!(
        "| run | first request, ms after the start | resident, MB | empty queue, MB | bytes a delivery |"
    );
    println!("|---|---|---|---|---|");
    for run in 1..=3 {
        let receiver = Receiver::start().await;
        receiver.hang();
        let config = folder.path().join("nuncio.yml");
        let yaml = format!(
            "targets: [{{name: hook, provider: webhook, url: \"{}\", payload: '{{\"t\": $title}}'}}]",
            receiver.url()
        );
        std::fs::write(&config, yaml).unwrap();
        let of_empty = Daemon::start(&config, &empty).settled().await;
        let begun = Instant::now();
        let daemon = Daemon::start(&config, &full);
        while receiver.count() == 0 {
            tokio::task::yield_now().await;
        }
        let first = begun.elapsed().as_millis();
        let of_full = daemon.settled().await;
        let each = of_full.saturating_sub(of_empty) * 1_000 / PENDING;
        let (full, empty) = (of_full / 1_000, of_empty / 1_000);
        println!("| {run} | {first} | {full} | {empty} | {each} |");
    }
}

fn fill(path: &Path) {
    let mut store = SqliteStore::open(path).unwrap();
    let text = "x".repeat(500);
    let record = |n: u64| {
        let notification = Notification {
            id: format!("0190c1d5-ac96-774b-8000-{n:012}"),
            at: 1_795_383_000_000 + n,
            ..Notification::new(Level::Error, format!("number {n}")).text(&text)
        };
        let deliveries = vec![Delivery::queued("hook", now())];
        Operation::Accept(Record { notification: Arc::new(notification), idempotency_key: None, deliveries })
    };
    let numbers: Vec<u64> = (0..PENDING).collect();
    for group in numbers.chunks(1_000) {
        let operations: Vec<Operation> = group.iter().map(|n| record(*n)).collect();
        store.commit(&operations).unwrap();
    }
}

fn now() -> u64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(elapsed.as_millis()).unwrap()
}

/// A daemon; ended when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(config: &Path, queue: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nuncio"));
        command.arg("serve").arg("-c").arg(config).arg("--queue").arg(queue);
        let child = command.args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()).spawn().unwrap();
        Self(child)
    }

    /// What it has resident, in kB, once that does not grow any more.
    async fn settled(&self) -> u64 {
        let (mut last, mut same) = (0, 0);
        while same < 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
            let resident = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            same = if resident == last { same + 1 } else { 0 };
            last = resident;
        }
        last
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes requests and says 200, or nothing.
struct Receiver {
    address: std::net::SocketAddr,
    count: Arc<AtomicU64>,
    hangs: Arc<std::sync::atomic::AtomicBool>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, hangs) = (Arc::new(AtomicU64::new(0)), Arc::default());
        let receiver = Self { address, count: Arc::clone(&count), hangs: Arc::clone(&hangs) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&count), Arc::clone(&hangs)));
            }
        });
        receiver
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }
}

async fn serve(mut stream: TcpStream, count: Arc<AtomicU64>, hangs: Arc<std::sync::atomic::AtomicBool>) {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8_lossy(buffer.get(..head).unwrap()).to_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let whole = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
        while buffer.len() < whole {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        buffer.drain(..whole);
        count.fetch_add(1, Ordering::Relaxed);
        if hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}
