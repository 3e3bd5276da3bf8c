//! The receiver: takes requests, answers each with the same few bytes, and keeps account of which came.
//!
//! It is the benchmark's own program, started once more, so that its processor time can be told apart and both
//! sides of a comparison have the very same one. It has one thread, and does as little as a server can.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{monotonic, processor_time};

/// The variable that makes the program a receiver; its value is where to put a certificate, or nothing.
const ROLE: &str = "NUNCIO_BENCH_RECEIVER";

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

/// A receiver in a process of its own, which ends with this.
pub struct Receiver {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub address: SocketAddr,
    /// Whom to trust, where it speaks TLS.
    pub certificate: Option<PathBuf>,
}

/// What came since the last account.
pub struct Account {
    pub requests: u64,
    /// How many different numbers came.
    pub distinct: u64,
    /// Its processor time.
    pub processor: Duration,
    /// When each number came first, by the machine's monotonic clock, in nanoseconds; 0 where it did not.
    pub arrivals: Vec<u64>,
}

impl Receiver {
    /// Starts one; `certificate` is where it is to put its own, and has it speak TLS.
    pub fn start(certificate: Option<PathBuf>) -> Self {
        let program = std::env::current_exe().unwrap();
        let role = certificate.clone().unwrap_or_default();
        let mut command = Command::new(program);
        command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (asks, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut answers = BufReader::new(answers);
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap();
        Self { process, asks, answers, address, certificate }
    }

    pub fn url(&self) -> String {
        match self.certificate {
            Some(_) => format!("https://localhost:{}/hook", self.address.port()),
            None => format!("http://{}/hook", self.address),
        }
    }

    /// How many requests came since the last account.
    pub fn requests(&mut self) -> u64 {
        self.asks.write_all(b"?").unwrap();
        self.number()
    }

    /// What came since the last account.
    pub fn account(&mut self) -> Account {
        self.asks.write_all(b".").unwrap();
        let [requests, distinct, processor, arrivals] = std::array::from_fn(|_| self.number());
        let arrivals = (0..arrivals).map(|_| self.number()).collect();
        Account { requests, distinct, processor: Duration::from_nanos(processor), arrivals }
    }

    /// As [`Receiver::account`]; stops the benchmark where not each of so many came once.
    pub fn exactly(&mut self, sent: u64) -> Account {
        let account = self.account();
        assert_eq!((account.requests, account.distinct), (sent, sent), "each arrives once");
        account
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.answers.read_exact(&mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Default)]
struct Seen {
    requests: u64,
    arrivals: Vec<u64>,
}

/// Is the receiver, in the process that is to be one, and never returns there. To be called first of all.
#[expect(clippy::disallowed_methods, reason = "a benchmark's own variable")]
pub fn serve_if_asked() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = (!role.is_empty()).then(|| acceptor(Path::new(&role)));
        let mut output = std::io::stdout();
        writeln!(output, "{}", listener.local_addr().unwrap()).unwrap();
        output.flush().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let of_account = Arc::clone(&seen);
        std::thread::spawn(move || account_for(&of_account));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (seen, tls) = (Arc::clone(&seen), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(stream, &seen).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, &seen).await;
                        }
                    }
                }
            });
        }
    });
    std::process::exit(0);
}

/// Answers what the benchmark asks, until that ends.
fn account_for(seen: &Mutex<Seen>) {
    let mut before = processor_time();
    let (mut input, mut output) = (std::io::stdin(), std::io::stdout());
    let mut ask = [0];
    while input.read_exact(&mut ask).is_ok() {
        let figures = if ask == *b"?" {
            vec![seen.lock().unwrap().requests]
        } else {
            let Seen { requests, arrivals } = std::mem::take(&mut *seen.lock().unwrap());
            let distinct = arrivals.iter().filter(|at| **at > 0).count() as u64;
            let now = processor_time();
            let spent = (now - before).as_nanos();
            before = now;
            let head = [requests, distinct, u64::try_from(spent).unwrap(), arrivals.len() as u64];
            head.into_iter().chain(arrivals).collect()
        };
        let bytes: Vec<u8> = figures.into_iter().flat_map(u64::to_le_bytes).collect();
        output.write_all(&bytes).unwrap();
        output.flush().unwrap();
    }
    std::process::exit(0);
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Mutex<Seen>) {
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let (head, length) = loop {
            if let Some(found) = head(&buffer) {
                break found;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let at = u64::try_from(monotonic().as_nanos()).unwrap();
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        {
            let number = numbered(buffer.get(head..head + length).unwrap());
            let mut seen = seen.lock().unwrap();
            seen.requests += 1;
            if let Some(number) = number {
                if seen.arrivals.len() <= number {
                    seen.arrivals.resize(number + 1, 0);
                }
                let slot = seen.arrivals.get_mut(number).unwrap();
                if *slot == 0 {
                    *slot = at;
                }
            }
        }
        buffer.drain(..head + length);
        if stream.write_all(REPLY).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Where a request's head ends, and how long its body is.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut lines = bytes.get(..end)?.split(|byte| *byte == b'\n');
    let length = lines.find_map(|line| {
        let (name, value) = (line.get(..15)?, line.get(15..)?);
        name.eq_ignore_ascii_case(b"content-length:").then_some(value)
    });
    let length = length.map_or(0, |value| std::str::from_utf8(value).unwrap().trim().parse().unwrap());
    Some((end, length))
}

/// The number that a body has between two `#`.
fn numbered(body: &[u8]) -> Option<usize> {
    let text = body.get(body.iter().position(|byte| *byte == b'#')? + 1..)?;
    let text = text.get(..text.iter().position(|byte| *byte == b'#')?)?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Makes a certificate for `localhost`, and puts it where whoever sends can read it.
fn acceptor(path: &Path) -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(path, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}
