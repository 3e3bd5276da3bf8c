//! Orders of an operator, from `nuncio queue` and `nuncio dead` beside the daemon.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use nuncio::store::{DeliveryKey, LARGEST_PAGE, NoKey};
use nuncio::{NotifyError, Steer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Server, read_body, refuse, unauthorized, unavailable};

/// What is to be done with which deliveries, at most [`LARGEST_PAGE`] of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What is to be done.
    pub steer: Steer,
    /// The keys.
    pub deliveries: Vec<String>,
}

impl Order {
    /// Where orders go.
    pub const PATH: &str = "/v1/steer";
}

/// Which target is to begin anew.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enabling {
    /// The target's name.
    pub target: String,
}

impl Enabling {
    /// Where it goes.
    pub const PATH: &str = "/v1/enable";
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Enabled {
    /// Whether there is a target of that name.
    pub is_known: bool,
}

pub(super) async fn enable(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    let enabling: Enabling = match read_order(&server, &headers, body).await {
        Ok(enabling) => enabling,
        Err(response) => return response,
    };
    match server.nuncio.enable(&enabling.target).await {
        Some(is_known) => (StatusCode::OK, axum::Json(Enabled { is_known })).into_response(),
        None => unavailable(&NotifyError::Closed),
    }
}

/// What somebody with the control token sent.
async fn read_order<T: DeserializeOwned>(
    server: &Server,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Response> {
    if !server.may_steer(headers) {
        return Err(unauthorized(
            "this path is for `nuncio queue`, `nuncio dead` and `nuncio targets` on this machine",
        ));
    }
    serde_json::from_str(&read_body(body).await?).map_err(|error| invalid(&error.to_string()))
}

fn invalid(message: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, "invalid-order", message, "")
}

pub(super) async fn steer(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    let order: Order = match read_order(&server, &headers, body).await {
        Ok(order) => order,
        Err(response) => return response,
    };
    let keys: Result<Vec<DeliveryKey>, NoKey> = order.deliveries.iter().map(|key| key.parse()).collect();
    let keys = match keys {
        Ok(keys) if keys.len() <= LARGEST_PAGE => keys,
        Ok(_) => return invalid("these are too many deliveries for one order"),
        Err(error) => return invalid(&error.to_string()),
    };
    match server.nuncio.steer(order.steer, keys).await {
        Ok(steered) => (StatusCode::OK, axum::Json(steered)).into_response(),
        Err(error) => unavailable(&error),
    }
}
