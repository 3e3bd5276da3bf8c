//! Receivers on the loopback interface that check what they get as the real services do.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

const RECEIVERS: &str = include_str!("../../../demo/receivers.json");

/// What the demo's receivers expect as a token.
const TOKEN: &str = "demo-token-that-nobody-needs";

/// How one receiver behaves.
#[derive(Clone, Deserialize)]
struct Behaviour {
    name: String,
    /// The variable of the configuration that holds its address.
    variable: String,
    path: String,
    /// The variable of the configuration that holds the bearer token it wants.
    token: Option<String>,
    /// Members that a request's JSON must have.
    requires: Vec<String>,
    /// What it answers when it takes a request.
    reply: Value,
    outage: Option<Outage>,
}

/// Which requests fail at first.
#[derive(Clone, Deserialize)]
struct Outage {
    containing: String,
    times: usize,
    status: u16,
}

struct Receiver {
    behaviour: Behaviour,
    address: SocketAddr,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    /// How many requests the outage has still to fail.
    failing: Mutex<usize>,
}

/// The receivers, running.
pub(super) struct Receivers(Vec<Arc<Receiver>>);

/// Starts the receivers, each on a port of its own.
pub(super) async fn start() -> io::Result<Receivers> {
    let behaviours: Vec<Behaviour> = serde_json::from_str(RECEIVERS)?;
    let mut receivers = Vec::new();
    for behaviour in behaviours {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let failing = Mutex::new(behaviour.outage.as_ref().map_or(0, |outage| outage.times));
        let receiver = Arc::new(Receiver {
            behaviour,
            address: listener.local_addr()?,
            accepted: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            failing,
        });
        let router = Router::new().fallback(post(take)).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, router).await });
        receivers.push(receiver);
    }
    Ok(Receivers(receivers))
}

async fn take(State(receiver): State<Arc<Receiver>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    match receiver.judge(uri.path(), &headers, &body) {
        Ok(reply) => {
            receiver.accepted.fetch_add(1, Ordering::SeqCst);
            axum::Json(reply).into_response()
        }
        Err((status, why)) => {
            receiver.refused.fetch_add(1, Ordering::SeqCst);
            (status, why).into_response()
        }
    }
}

impl Receiver {
    fn judge(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, (StatusCode, String)> {
        let Behaviour { requires, reply, token, outage, .. } = &self.behaviour;
        if path != self.behaviour.path {
            return Err((StatusCode::NOT_FOUND, format!("nothing at {path}")));
        }
        let wanted = token.as_ref().map(|_| format!("Bearer {TOKEN}"));
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if wanted.is_some() && wanted.as_deref() != given {
            return Err((StatusCode::UNAUTHORIZED, "you need to provide a valid token".to_owned()));
        }
        let json: Value =
            serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        if let Some(missing) = requires.iter().find(|member| json.get(member.as_str()).is_none()) {
            return Err((StatusCode::BAD_REQUEST, format!("{missing} is missing")));
        }
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outage) = outage
            && *failing > 0
            && String::from_utf8_lossy(body).contains(&outage.containing)
        {
            *failing -= 1;
            let status = StatusCode::from_u16(outage.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return Err((status, "down for a moment".to_owned()));
        }
        Ok(reply.clone())
    }
}

impl Receivers {
    /// What the configuration needs to find them.
    pub(super) fn environment(&self) -> HashMap<String, String> {
        let address = |receiver: &Arc<Receiver>| {
            (receiver.behaviour.variable.clone(), format!("http://{}", receiver.address))
        };
        let token = |receiver: &Arc<Receiver>| Some((receiver.behaviour.token.clone()?, TOKEN.to_owned()));
        self.0.iter().map(address).chain(self.0.iter().filter_map(token)).collect()
    }

    /// What runs where, and what will go wrong.
    pub(super) fn describe(&self) -> String {
        let line = |receiver: &Arc<Receiver>| {
            let Behaviour { name, outage, .. } = &receiver.behaviour;
            let outage = outage.as_ref().map_or(String::new(), |outage| {
                format!(", and fails {} times with {}", outage.times, outage.status)
            });
            format!("{name} listens on http://{}{outage}\n", receiver.address)
        };
        self.0.iter().map(line).collect()
    }

    /// How many requests were taken.
    pub(super) fn accepted(&self) -> usize {
        self.0.iter().map(|receiver| receiver.accepted.load(Ordering::SeqCst)).sum()
    }

    /// How many requests were refused.
    pub(super) fn refused(&self) -> usize {
        self.0.iter().map(|receiver| receiver.refused.load(Ordering::SeqCst)).sum()
    }
}
