//! The way to a queue: reading goes straight to the file; changing is for the daemon where one runs, else
//! for this process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use nuncio::config::queue::{QueueConfig, QueuePlace};
use nuncio::environment::ProcessEnvironment;
use nuncio::store::{
    DeliveryKey, InUse, OpenError, Operation, Owner, SqliteReader, SqliteStore, Store, StoreError,
};
use nuncio::{Steer, Steered};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::place;
use crate::cli::{ConfigFile, Failure};
use crate::server::{Enabled, Enabling, Order};

/// A daemon's answer is no larger.
const LARGEST_ANSWER: usize = 64 << 10;

/// A daemon takes no longer for an order.
const LONGEST_ORDER: Duration = Duration::from_secs(30);

/// How long a command waits for another one that has the queue, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(50);

/// Where the queue is.
#[derive(clap::Args)]
pub(in crate::cli) struct Place {
    #[command(flatten)]
    file: ConfigFile,
    /// The queue's file [default: `queue.path`, or nuncio/queue.db in the folder for the state of programs]
    #[arg(long, value_name = "FILE", env = "NUNCIO_QUEUE", hide_env_values = true)]
    queue: Option<String>,
}

/// A queue that is there.
pub(in crate::cli) struct Queue {
    path: PathBuf,
    config: QueueConfig,
    reader: SqliteReader,
}

/// Who changes a queue.
pub(in crate::cli) enum Hand {
    /// This process.
    Own(Box<SqliteStore>),
    /// The daemon that has it.
    Daemon { address: String, token: String },
}

impl Queue {
    /// Finds the queue's file.
    pub(in crate::cli) fn find(place: &Place) -> Result<Self, Failure> {
        let config = match place.file.read_if_any()? {
            Some((name, text)) => QueueConfig::of_file(&name, &text, &ProcessEnvironment)?,
            None => QueueConfig::default(),
        };
        let named = place.queue.as_deref().map(QueuePlace::parse);
        let configured = || config.place.clone().map(|configured| configured.below(&place.file.folder()));
        let path = match named.or_else(configured) {
            Some(QueuePlace::File(path)) => path,
            Some(QueuePlace::Memory) => {
                let text = "the queue is in memory, where only its own process sees it";
                return Err(Failure::Usage(text.to_owned()));
            }
            None => place::default(&ProcessEnvironment).ok_or_else(super::nowhere)?,
        };
        if !path.is_file() {
            let path = path.display();
            return Err(Failure::Usage(format!(
                "there is no queue at {path}\n  help: `nuncio serve` makes one; name another with `--queue FILE`"
            )));
        }
        let reader = SqliteReader::new(path.clone());
        Ok(Self { path, config, reader })
    }

    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::cli) fn reader(&mut self) -> &mut SqliteReader {
        &mut self.reader
    }

    /// Finds out who changes it. Another command, which has it for a moment, is waited for.
    pub(in crate::cli) async fn hand(&self) -> Result<Hand, Failure> {
        let mut left = PATIENCE;
        loop {
            match SqliteStore::open(&self.path) {
                Ok(mut store) => {
                    let limits = self.config.limits(store.limits());
                    store.commit(&[Operation::Limit(limits)])?;
                    return Ok(Hand::Own(Box::new(store)));
                }
                Err(OpenError::InUse(InUse {
                    owner: Some(Owner { address: Some(address), token: Some(token), .. }),
                    ..
                })) => return Ok(Hand::Daemon { address, token }),
                Err(OpenError::InUse(_)) if !left.is_zero() => {
                    tokio::time::sleep(STEP).await;
                    left = left.saturating_sub(STEP);
                }
                Err(error) => return Err(Failure::Other(error.to_string())),
            }
        }
    }
}

impl Hand {
    /// Changes where deliveries stand.
    pub(in crate::cli) async fn steer(
        &mut self,
        steer: Steer,
        keys: &[DeliveryKey],
    ) -> Result<Steered, Failure> {
        match self {
            Self::Own(store) => Ok(steer_file(store, steer, keys)?),
            Self::Daemon { address, token } => {
                let deliveries = keys.iter().map(ToString::to_string).collect();
                ask(address, token, Order::PATH, &Order { steer, deliveries }).await
            }
        }
    }

    /// Has a target begin anew; whether there is one of that name, as far as is known.
    pub(in crate::cli) async fn enable(&mut self, target: &str) -> Result<bool, Failure> {
        match self {
            Self::Own(store) => {
                let is_known = store.reader().healths()?.iter().any(|health| health.target == target);
                store.commit(&[Operation::Forget(target.to_owned())])?;
                Ok(is_known)
            }
            Self::Daemon { address, token } => {
                let enabling = Enabling { target: target.to_owned() };
                let enabled: Enabled = ask(address, token, Enabling::PATH, &enabling).await?;
                Ok(enabled.is_known)
            }
        }
    }
}

/// Has a daemon do something, within bounds.
async fn ask<T: DeserializeOwned>(
    address: &str,
    token: &str,
    path: &str,
    order: &impl Serialize,
) -> Result<T, Failure> {
    let answer = tokio::time::timeout(LONGEST_ORDER, exchange(address, token, path, order)).await;
    answer.unwrap_or_else(|_| Err("it does not answer".to_owned())).map_err(|why| {
        Failure::Other(format!("the daemon at {address} has the queue, and did not do it: {why}"))
    })
}

fn steer_file(store: &mut SqliteStore, steer: Steer, keys: &[DeliveryKey]) -> Result<Steered, StoreError> {
    let entries = store.reader().entries(keys)?;
    let now = crate::cli::now();
    let operations: Vec<Operation> =
        entries.iter().filter_map(|entry| steer.settlement(entry, now)).map(Operation::Settle).collect();
    let left_alone = keys.len().saturating_sub(operations.len()) as u64;
    let mut steered = Steered { unchanged: left_alone, ..Steered::default() };
    store.commit(&operations)?.into_iter().for_each(|done| steered.count(&Ok(done)));
    Ok(steered)
}

/// Where a daemon is reached from here: one that listens everywhere listens here, too.
fn near(address: &str) -> Result<SocketAddr, String> {
    let mut near: SocketAddr = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    match near.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => near.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => near.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(near)
}

/// Sends an order to a daemon, and reads what it did.
async fn exchange<T: DeserializeOwned>(
    address: &str,
    token: &str,
    path: &str,
    order: &impl Serialize,
) -> Result<T, String> {
    let near = near(address)?;
    let text = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect(near).await.map_err(|error| text(&error))?;
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    tokio::spawn(connection);
    let body = serde_json::to_vec(order).map_err(|error| text(&error))?;
    let request = http::Request::post(path)
        .header(http::header::HOST, near.to_string())
        .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| text(&error))?;
    let answer = client.send_request(request).await.map_err(|error| text(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
    let body = body.map_err(|error| text(error.as_ref()))?.to_bytes();
    if status != http::StatusCode::OK {
        return Err(format!("{status} {}", String::from_utf8_lossy(&body)));
    }
    serde_json::from_slice(&body).map_err(|error| text(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_listens_everywhere_is_near() {
        for (address, reached) in [
            ("0.0.0.0:7711", "127.0.0.1:7711"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.0:7711", "10.0.0.0:7711"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(near(address).unwrap().to_string(), reached);
        }
        assert!(near("localhost").is_err());
    }
}
