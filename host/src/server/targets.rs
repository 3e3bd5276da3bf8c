//! How targets are, as JSON.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use nuncio::contract::Breaker;
use nuncio::store::{Health, timestamp};
use nuncio::{NotifyError, TargetHealth};
use serde_json::{Value, json};

use super::{Server, unauthorized, unavailable};

/// `GET /v1/targets`: every target of the configuration. What it says of them is not for everybody.
pub(super) async fn list(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if !server.has_tokens() && !server.may_steer(&headers) {
        return unauthorized("set `server.tokens` and send one of them, or use `nuncio targets`");
    }
    match server.nuncio.targets().await {
        Some(targets) => {
            let now = server.nuncio.now();
            let targets: Value = targets.iter().map(|target| describe(target, now)).collect();
            (StatusCode::OK, axum::Json(json!({ "targets": targets }))).into_response()
        }
        None => unavailable(&NotifyError::Closed),
    }
}

/// How a target is at an instant.
#[expect(clippy::cast_precision_loss, reason = "a budget is at most 10 000")]
pub fn describe(TargetHealth { health, waiting, next_try }: &TargetHealth, now: u64) -> Value {
    let Health { target, endpoint, last_error, .. } = health;
    let (state, probe) = match endpoint.breaker {
        Breaker::Closed if endpoint.consecutive_failures > 0 => ("failing", None),
        Breaker::Closed => ("working", None),
        Breaker::Open(probe) => ("down", Some(probe.at)),
        Breaker::HalfOpen(_) => ("trying", None),
        Breaker::Held(probe) => ("credentials refused", Some(probe.at)),
        Breaker::Gone => ("gone", None),
    };
    json!({
        "target": target,
        "state": state,
        // In retries: what is left of ten.
        "budget": endpoint.budget_left(now) as f64 / 1_000.0,
        "waiting": waiting,
        "next_try": next_try.map(|at| at.max(probe.unwrap_or(0))).map(timestamp),
        "next_probe": probe.map(timestamp),
        "one_every_ms": (endpoint.pace.interval_us > 0).then_some(endpoint.pace.interval_us / 1_000),
        "is_draining": endpoint.pace.is_draining,
        "consecutive_failures": endpoint.consecutive_failures,
        "unreadable_hints": endpoint.unreadable_hints,
        "last_success": endpoint.last_success.map(timestamp),
        "last_failure": endpoint.last_failure.map(timestamp),
        "last_error": last_error.as_ref().map(|(at, error)| json!({ "at": timestamp(*at), "detail": error })),
    })
}
