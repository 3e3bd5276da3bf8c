//! Orders of an operator, from `nuncio queue` and `nuncio dead` beside the daemon.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use nuncio::Steer;
use nuncio::store::{DeliveryKey, LARGEST_PAGE, NoKey};
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

pub(super) async fn steer(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    if !server.may_steer(&headers) {
        return unauthorized("this path is for `nuncio queue` and `nuncio dead` on this machine");
    }
    let text = match read_body(body).await {
        Ok(text) => text,
        Err(response) => return response,
    };
    let invalid = |message: &str| refuse(StatusCode::BAD_REQUEST, "invalid-order", message, "");
    let order: Order = match serde_json::from_str(&text) {
        Ok(order) => order,
        Err(error) => return invalid(&error.to_string()),
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
