//! A receiver of HTTP/1.1 requests that does as a script says, and keeps what it was sent.
//!
//! ```ignore
//! let receiver = Receiver::start([reply(503), reply(429).header("retry-after", "7"), reply(200)]);
//! // … something sends to receiver.url("/hook") …
//! let first = receiver.next().await;
//! assert_eq!((first.path.as_str(), first.json()["title"].as_str()), ("/hook", Some("hi")));
//! ```
//!
//! Each request takes the next step of the script; the last step is for all that follow. Nothing here
//! sleeps: a test waits for what the receiver has seen, for at most 30 s of real time, then fails and tells
//! what had come by then. Of requests on several connections the first to come is the first served.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What the receiver sends for one request, and what then.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status line and headers; empty where the body is sent as it is.
    head: String,
    body: Bytes,
    then: Then,
}

/// What becomes of a connection.
#[derive(Clone, Debug)]
pub enum Then {
    ServeOn,
    Close,
    Reset,
    Hang,
    /// As `Hang`, with the request's body not read: the answer comes early.
    HangBeforeBody,
    /// As `Hang`, with nothing read and nothing answered.
    HangBeforeReading,
    /// Sends these bytes for as long as anybody takes them.
    Repeat(Bytes),
}

/// A reply without a body, after which the connection serves on.
pub fn reply(status: u16) -> Answer {
    Answer { head: format!("HTTP/1.1 {status} \r\n"), ..raw("").then(Then::ServeOn) }
}

/// Reads the request and never answers.
pub fn hang() -> Answer {
    raw("").then(Then::Hang)
}

/// Takes a connection and does nothing with it, for ever. No request is recorded.
pub fn hang_before_reading() -> Answer {
    raw("").then(Then::HangBeforeReading)
}

/// Reads the request, then resets the connection.
pub fn close_after_reading() -> Answer {
    raw("").then(Then::Reset)
}

/// Reads the request, sends these bytes and closes the connection.
pub fn raw(bytes: impl Into<Bytes>) -> Answer {
    Answer { head: String::new(), body: bytes.into(), then: Then::Close }
}

/// Replies 200 with a body that goes on for as long as anybody takes it.
pub fn endless_body() -> Answer {
    raw("HTTP/1.1 200 \r\n\r\n").then(Then::Repeat(vec![b'x'; 4096].into()))
}

impl Answer {
    /// A reply with a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self { head: self.head + &format!("{name}: {value}\r\n"), ..self }
    }

    /// A reply with a body.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With another way to go on.
    pub fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        if self.head.is_empty() {
            return self.body.to_vec();
        }
        let head = format!("{}content-length: {}\r\n\r\n", self.head, self.body.len());
        [head.as_bytes(), if method == "HEAD" { b"" } else { &self.body }].concat()
    }
}

/// What the receiver does, request by request: the next step, or what a function makes of the request.
pub enum Script {
    Steps(Mutex<VecDeque<Answer>>),
    Function(Box<dyn Fn(&Received) -> Answer + Send + Sync>),
}

/// A receiver that makes its answer from the request once it is read, like a real service. If the function
/// panics, the sender sees the connection break.
pub fn answering(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Script {
    Script::Function(Box::new(answer))
}

impl<const N: usize> From<[Answer; N]> for Script {
    fn from(steps: [Answer; N]) -> Self {
        Self::Steps(Mutex::new(steps.into()))
    }
}

impl Script {
    /// Takes the next step if it is such a one; the last step is never used up.
    fn take_if(&self, such: impl Fn(&Answer) -> bool) -> Option<Answer> {
        let Self::Steps(steps) = self else { return None };
        let mut steps = steps.lock().unwrap();
        let next = steps.front().filter(|next| such(next)).cloned()?;
        if steps.len() > 1 { steps.pop_front() } else { Some(next) }
    }
}

/// A request as it arrived: `index` requests came before it, `path` is with the query, and the names of its
/// headers are in lower case.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub index: usize,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Received {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|problem| panic!("{problem} in {self:?}"))
    }
}

/// What a receiver has seen so far: connections made, those of them that ended, and every request in order.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub connections: usize,
    pub closed: usize,
    pub requests: Vec<Received>,
}

/// A running receiver on a port of its own; dropping it closes the port and every connection.
pub struct Receiver {
    address: SocketAddr,
    seen: watch::Sender<Seen>,
    awaited: AtomicUsize,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts on 127.0.0.1, in the tokio runtime that it is called from.
    pub fn start(script: impl Into<Script>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), watch::Sender::default());
        let task =
            tokio::spawn(accept(TcpListener::from_std(listener).unwrap(), script.into(), seen.clone()));
        Self { address, seen, awaited: AtomicUsize::new(0), task }
    }

    /// The URL of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What has been seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits for the next request: the first call for the first, the second for the second.
    pub async fn next(&self) -> Received {
        let index = self.awaited.fetch_add(1, Ordering::Relaxed);
        let seen = self.until(&format!("request {index}"), |seen| seen.requests.len() > index).await;
        seen.requests[index].clone()
    }

    /// Waits until the receiver has seen `what`.
    pub async fn until(&self, what: &str, has_seen: impl Fn(&Seen) -> bool) -> Seen {
        let mut changes = self.seen.subscribe();
        let Ok(seen) = tokio::time::timeout(Duration::from_secs(30), changes.wait_for(has_seen)).await else {
            panic!("{}: no {what} in 30 s, but {:#?}", self.address, self.seen())
        };
        seen.unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, script: Script, seen: watch::Sender<Seen>) {
    let script = Arc::new(script);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.send_modify(|seen| seen.connections += 1);
        let (script, seen) = (Arc::clone(&script), seen.clone());
        connections.spawn(async move {
            // An error is a sender that has hung up.
            let _ = serve(BufReader::new(stream), &script, &seen).await;
            seen.send_modify(|seen| seen.closed += 1);
        });
    }
}

async fn serve(
    mut peer: BufReader<TcpStream>,
    script: &Script,
    seen: &watch::Sender<Seen>,
) -> io::Result<()> {
    loop {
        if script.take_if(|next| matches!(next.then, Then::HangBeforeReading)).is_some() {
            return std::future::pending().await;
        }
        let Some(mut request) = read_head(&mut peer).await? else {
            return peer.write_all(b"HTTP/1.1 400 \r\n\r\n").await;
        };
        let step = script.take_if(|_| true);
        if !matches!(step, Some(Answer { then: Then::HangBeforeBody, .. })) {
            let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            peer.read_exact(&mut body).await?;
            request.body = body.into();
        }
        seen.send_modify(|seen| {
            request.index = seen.requests.len();
            seen.requests.push(request.clone());
        });
        let answer = match script {
            Script::Steps(_) => step.expect("a script has a step"),
            Script::Function(answer) => answer(&request),
        };
        peer.write_all(&answer.bytes(&request.method)).await?;
        match answer.then {
            Then::ServeOn => {}
            Then::Close => return Ok(()),
            Then::Reset => return peer.get_ref().set_zero_linger(),
            Then::HangBeforeBody | Then::HangBeforeReading => return std::future::pending().await,
            Then::Hang => return tokio::io::copy(&mut peer, &mut tokio::io::sink()).await.map(drop),
            Then::Repeat(bytes) => loop {
                peer.write_all(&bytes).await?;
            },
        }
    }
}

/// Reads a request up to its body; `None` for what does not begin like HTTP, such as TLS.
async fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Received>> {
    if !stream.fill_buf().await?.first().is_some_and(u8::is_ascii_uppercase) {
        return Ok(None);
    }
    let mut request = Received::default();
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split(' ').map(str::to_owned);
    (request.method, request.path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else { return Ok(Some(request)) };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}
