//! The real daemon, as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::command_line;

/// A running daemon; dropping it ends the process.
pub struct Daemon {
    pub child: Child,
    pub address: SocketAddr,
    /// What it said before it listened.
    pub before: String,
    /// What it says, line by line; read all the time, because a daemon that is not heard stops.
    pub said: mpsc::UnboundedReceiver<String>,
}

/// What the daemon answered.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub json: Value,
}

impl Daemon {
    /// Starts by a configuration; the queue is in memory where the arguments do not say otherwise.
    pub async fn start(yaml: &str, name: &str, arguments: &[&str]) -> Self {
        let config = command_line::file(name, yaml);
        let mut command = Self::command(&config);
        command.args(arguments);
        if !arguments.contains(&"--queue") {
            command.args(["--queue", "memory"]);
        }
        Self::spawn(command).await
    }

    /// What starts a daemon.
    pub fn command(config: &Path) -> Command {
        let mut command = Command::from(command_line::nuncio());
        command.arg("serve").arg("-c").arg(config).args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// Starts it, and waits until it listens.
    pub async fn spawn(command: Command) -> Self {
        Self::spawn_or_end(command).await.expect("it listens")
    }

    /// Starts it, and waits until it listens; `None` where it ended before.
    pub async fn spawn_or_end(mut command: Command) -> Option<Self> {
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it has an error output")).lines();
        let (tell, mut said) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // Whoever dropped the daemon hears nothing more.
                let _ = tell.send(line);
            }
        });
        let mut before = String::new();
        let address = loop {
            let line = match said.recv().await {
                Some(line) => line,
                None if before.is_empty() => return None,
                None => panic!("{before}"),
            };
            let listens =
                line.strip_prefix("nuncio listens on http://").and_then(|rest| rest.split_once(','));
            if let Some((address, _)) = listens {
                break address.parse().expect("it listens on an address");
            }
            before += &(line + "\n");
        };
        Some(Self { child, address, before, said })
    }

    /// Sends it a signal.
    pub async fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await.expect("kill starts");
        assert!(sent.success());
    }

    /// Hands in a notification; whether it was acknowledged. A daemon that dies meanwhile acknowledges nothing.
    pub async fn hand_in(&self, body: &str) -> bool {
        let request = format!(
            "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut reply = Vec::new();
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_end(&mut reply).await
        };
        exchange.await.is_ok() && reply.starts_with(b"HTTP/1.1 202 ")
    }

    /// Waits until nothing is left in the queue.
    pub async fn drained(&self) {
        loop {
            let health = self.get("/healthz").await;
            let left = |name: &str| health.json[name].as_u64().expect("a count");
            let is_all = health.json["is_recovering"] == false && health.status == 200;
            if is_all && left("waiting") + left("in_flight") == 0 {
                return;
            }
        }
    }

    /// Reads on until it says something; returns the line.
    pub async fn says(&mut self, what: &str) -> String {
        let mut before = Vec::new();
        while let Some(line) = self.said.recv().await {
            if line.contains(what) {
                return line;
            }
            before.push(line);
        }
        panic!("it ended and never said {what:?}, but {before:#?}")
    }

    pub async fn exchange(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        // A request that is refused early may not be read to its end.
        let _ = stream.write_all(request).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8(reply).expect("it answers UTF-8");
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {reply:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_lowercase(), json: serde_json::from_str(body).unwrap_or_default() }
    }

    pub async fn post(&self, body: &[u8]) -> Answer {
        self.post_with("content-type: application/json\r\n", body).await
    }

    pub async fn post_with(&self, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST /v1/notifications HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.exchange(&[head.as_bytes(), body].concat()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.exchange(
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .await
    }

    /// Asks it to end, and returns its exit status and its last word.
    pub async fn terminate(self) -> (Option<i32>, String) {
        self.signal("-TERM").await;
        self.end().await
    }

    pub async fn end(mut self) -> (Option<i32>, String) {
        let mut last = String::new();
        while let Some(line) = self.said.recv().await {
            last = line;
        }
        (self.child.wait().await.expect("it ends").code(), last)
    }
}
