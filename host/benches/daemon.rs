//! What does the `nuncio` command cost a machine?
//!
//! `cargo bench --bench daemon`, or `-- cold` or `-- idle` for one part:
//!
//! - `cold`: from the start of `nuncio send` to the first byte at the receiver. What was compiled is on disk.
//! - `idle`: what `nuncio serve` has in memory when it has nothing to do, and how often it wakes up. Linux only.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark that meets what it does not expect stops"
)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use measure::{ROUNDS, Series, folder, is_wanted, machine, monotonic};

mod measure;

/// How long the daemon is left alone before it is looked at, and then watched.
const REST: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(30);

fn main() {
    println!("{}; medians of {ROUNDS} rounds, and their range\n", machine());
    let folder = folder();
    if is_wanted("cold") {
        cold(folder.path());
    }
    if is_wanted("idle") {
        idle(folder.path());
    }
}

fn nuncio(folder: &Path, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nuncio"));
    command.arg(verb).args(["--component-cache", folder.to_str().unwrap()]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn cold(folder: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("json://{}/hook", listener.local_addr().unwrap());
    let mut took = Series::default();
    for round in 0..=ROUNDS {
        let start = monotonic();
        let mut child =
            nuncio(folder, "send").args(["--url", &url, "-t", "Disk is full", "/var"]).spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let spent = monotonic() - start;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        assert!(child.wait().unwrap().success());
        if round > 0 {
            took.push(spent.as_secs_f64() * 1e3);
        }
    }
    println!("`nuncio send`, from its start to the first byte at the receiver: {} ms\n", took.shown(1));
}

/// Ends the daemon, whatever happens.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn idle(folder: &Path) {
    let config = "targets: [{name: hook, provider: webhook, url: \"http://localhost/\", payload: '{}'}]";
    std::fs::write(folder.join("nuncio.yml"), config).unwrap();
    let queue = folder.join("queue.db");
    let mut serve = nuncio(folder, "serve");
    let daemon = Daemon(serve.args(["--listen", "127.0.0.1:0", "--queue"]).arg(queue).spawn().unwrap());
    std::thread::sleep(REST);
    let process = Path::new("/proc").join(daemon.0.id().to_string());
    let before = switches(&process);
    std::thread::sleep(WATCH);
    // Threads that have ended meanwhile were there to read.
    let woke: u64 = switches(&process)
        .into_iter()
        .map(|(thread, count)| count - before.get(&thread).copied().unwrap_or_default())
        .sum();
    let resident = figure(&process.join("status"), "VmRSS:");
    println!(
        "`nuncio serve` without anything to do: {resident} kB resident; its threads woke up {woke} times in {} s\n",
        WATCH.as_secs()
    );
}

/// How often each thread of a process has given up the processor.
fn switches(process: &Path) -> HashMap<OsString, u64> {
    let threads = std::fs::read_dir(process.join("task")).unwrap().map(Result::unwrap);
    threads
        .map(|thread| (thread.file_name(), figure(&thread.path().join("status"), "voluntary_ctxt_switches:")))
        .collect()
}

/// The figure behind a name in a file of `/proc`.
fn figure(file: &Path, name: &str) -> u64 {
    let status = std::fs::read_to_string(file).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
