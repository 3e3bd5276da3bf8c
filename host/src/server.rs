//! The HTTP side of `nuncio serve`: takes notifications, tells what became of them.
//!
//! It bounds everything that a client controls: the size of headers and bodies, the time for each, and the
//! number of connections. It reads no notification itself; the brain does.
//!
//! There are two kinds of tokens: those of the configuration are for whoever hands in and looks up; the
//! control token, which lies beside the queue's file, is for whoever may read that file, and steers.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use nuncio::contract::Diagnostic;
use nuncio::store::StoreError;
use nuncio::{NotifyError, Nuncio, Receipt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::watch;

mod connection;
mod listing;
mod steering;
mod targets;

pub use listing::notification;
pub use steering::{Enabled, Enabling, Order};
pub use targets::describe as target;

/// A request's body is no larger: 256 KiB.
const LARGEST_BODY: usize = 256 << 10;

/// How long a client may take for the headers, again for the body, and to read on in its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many problems with one notification are spelled out.
const MOST_PROBLEMS: usize = 20;

/// The header of a request that may be repeated (the IETF draft "The Idempotency-Key HTTP Header Field").
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What the handlers need.
pub struct Server {
    nuncio: Nuncio,
    tokens: RwLock<Vec<Hash>>,
    control: Option<Hash>,
}

/// The hash of a token: all are of one length, so that comparing them takes one time.
type Hash = [u8; 32];

impl Server {
    /// A server in front of a dispatcher. Without tokens it takes what anybody sends; without a control token
    /// nobody steers.
    pub fn new(nuncio: Nuncio, tokens: &[SecretString], control: Option<&SecretString>) -> Self {
        let tokens = RwLock::new(tokens.iter().map(hash).collect());
        Self { nuncio, tokens, control: control.map(hash) }
    }

    /// Takes these tokens from now on, and no others.
    pub fn set_tokens(&self, tokens: &[SecretString]) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens.iter().map(hash).collect();
    }

    fn has_tokens(&self) -> bool {
        !self.tokens.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.is_empty() || bearer(headers).is_some_and(|given| is_one_of(given, tokens.iter()))
    }

    fn may_steer(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|given| is_one_of(given, self.control.iter()))
    }
}

fn hash(token: &SecretString) -> Hash {
    Sha256::digest(token.expose_secret().as_bytes()).into()
}

/// The hash of the token that a request carries.
fn bearer(headers: &HeaderMap) -> Option<Hash> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, token) = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
    Some(Sha256::digest(token.trim().as_bytes()).into())
}

/// All are compared, so that the time says nothing about which one is near.
fn is_one_of<'h>(given: Hash, known: impl Iterator<Item = &'h Hash>) -> bool {
    known.fold(0, |found, token| found | token.ct_eq(&given).unwrap_u8()) == 1
}

/// Serves until told to stop; then lets requests under way end.
pub async fn serve(listener: TcpListener, server: Arc<Server>, stop: watch::Receiver<bool>) {
    connection::serve(listener, router(server), stop).await;
}

fn router(server: Arc<Server>) -> Router {
    let guarded = Router::new()
        .route("/v1/notifications", post(take).get(listing::list))
        .route("/v1/notifications/{id}", get(show))
        .route("/v1/targets", get(targets::list))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&server), require_token));
    guarded
        .route(Order::PATH, post(steering::steer))
        .route(Enabling::PATH, post(steering::enable))
        .route("/healthz", get(health))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "not-found", "there is nothing here", PATHS) })
        .method_not_allowed_fallback(|| async {
            refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "this method is not for this path",
                PATHS,
            )
        })
        .with_state(server)
        .layer(middleware::map_response(harmless))
}

/// What every answer says to browsers, should one get to see it: that it is JSON and nothing else, and stays
/// between us (the OWASP project's list for REST services). Nothing says that other origins may read it.
async fn harmless(mut response: Response) -> Response {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

const PATHS: &str = "POST /v1/notifications, GET /v1/notifications, GET /v1/notifications/{id}, GET /v1/targets, GET /healthz";

async fn require_token(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    if !server.has_tokens() && !names_this_machine(request.headers()) {
        let hint = "ask for it by its address or as `localhost`, or set `server.tokens`";
        return refuse(StatusCode::FORBIDDEN, "foreign-host", "this Host is not this machine", hint);
    }
    if server.is_allowed(request.headers()) || server.may_steer(request.headers()) {
        return next.run(request).await;
    }
    unauthorized("send `Authorization: Bearer TOKEN` with one of `server.tokens`")
}

fn unauthorized(hint: &str) -> Response {
    let mut response =
        refuse(StatusCode::UNAUTHORIZED, "unauthorized", "a token is needed, and this is none", hint);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

/// Whether Host is an address or `localhost`. A web page can have its own name lead to this machine, and its
/// browser would then let it talk to us as to its own server; only its Host gives it away.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

async fn take(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    if !is_json(&headers) {
        // Also what keeps web pages out: a browser asks before it sends JSON to another origin.
        let hint = "send `Content-Type: application/json`";
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "this is not JSON",
            hint,
        );
    }
    let text = match read_body(body).await {
        Ok(text) => text,
        Err(response) => return response,
    };
    let notification = match server.nuncio.read(&text) {
        Ok(Ok(notification)) => notification,
        Ok(Err(problems)) => {
            let (message, hint) = describe(&problems);
            return refuse(StatusCode::BAD_REQUEST, "invalid-notification", &message, &hint);
        }
        Err(fault) => return unavailable(&fault.into()),
    };
    let handed_in = match headers.get(IDEMPOTENCY_KEY) {
        Some(key) => {
            let key = String::from_utf8_lossy(key.as_bytes()).trim().to_owned();
            server.nuncio.notify_once(key, notification)
        }
        None => server.nuncio.notify(notification),
    };
    let accepted = match handed_in {
        Ok(ticket) => ticket.accepted().await,
        Err(error) => Err(error),
    };
    match accepted {
        Ok(receipt) => (StatusCode::ACCEPTED, axum::Json(acknowledge(&receipt))).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// `{"id", "targets"}`, and the names in `to` that no target has, so that a slip is not silent; or
/// `{"id", "repeated"}` for what was handed in before.
fn acknowledge(receipt: &Receipt) -> Value {
    if receipt.is_repeat {
        return json!({ "id": receipt.id, "repeated": true });
    }
    let targets: Vec<&str> = receipt.targets.iter().map(|target| &**target).collect();
    let unknown = receipt.unknown.iter();
    let unknown: Vec<Value> =
        unknown.map(|unknown| json!({ "target": unknown.name, "because": unknown.because })).collect();
    let mut answer = json!({ "id": receipt.id, "targets": targets });
    if let Some(members) = answer.as_object_mut().filter(|_| !unknown.is_empty()) {
        members.insert("unknown".to_owned(), unknown.into());
    }
    answer
}

async fn show(
    State(server): State<Arc<Server>>,
    id: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Response {
    // An id that is not even text is nobody's.
    let id = id.map(|Path(id)| id).unwrap_or_default();
    match server.nuncio.find(&id).await {
        Ok(Some(record)) => (StatusCode::OK, axum::Json(listing::notification(&record))).into_response(),
        Ok(None) => {
            let hint = "it was never accepted here, or it ended long ago";
            refuse(StatusCode::NOT_FOUND, "unknown-notification", "no notification has this id", hint)
        }
        Err(error) => unavailable(&error.into()),
    }
}

async fn health(State(server): State<Arc<Server>>) -> Response {
    match server.nuncio.stats().await {
        Some(stats) => {
            let (status, word) = match stats.is_storing {
                true => (StatusCode::OK, "ok"),
                false => (StatusCode::SERVICE_UNAVAILABLE, "queue-unavailable"),
            };
            let mut answer = json!({ "status": word });
            if let (Some(members), Ok(Value::Object(stats))) =
                (answer.as_object_mut(), serde_json::to_value(stats))
            {
                members.extend(stats);
            }
            (status, axum::Json(answer)).into_response()
        }
        None => unavailable(&NotifyError::Closed),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

async fn read_body(body: Body) -> Result<String, Response> {
    let read = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, LARGEST_BODY)).await;
    let Ok(read) = read else {
        let message = format!("the body took more than {} s", PATIENCE.as_secs());
        return Err(refuse(StatusCode::REQUEST_TIMEOUT, "timeout", &message, ""));
    };
    let bytes = read.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
            let message = format!("the body has more than {LARGEST_BODY} bytes");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large", &message, "send less, or a link to it")
        } else {
            refuse(StatusCode::BAD_REQUEST, "broken-body", "the body broke off", "")
        }
    })?;
    String::from_utf8(bytes.into()).map_err(|_| {
        refuse(StatusCode::BAD_REQUEST, "invalid-notification", "the body is not UTF-8", "encode it as UTF-8")
    })
}

fn unavailable(error: &NotifyError) -> Response {
    let message = error.to_string();
    let (status, code) = match error {
        NotifyError::Full => (StatusCode::TOO_MANY_REQUESTS, "buffer-full"),
        NotifyError::Store(StoreError::Full) => (StatusCode::TOO_MANY_REQUESTS, "queue-full"),
        NotifyError::InvalidId => (StatusCode::BAD_REQUEST, "invalid-id"),
        NotifyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        NotifyError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "shutting-down"),
        NotifyError::Store(StoreError::Reused(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "id-reused"),
        NotifyError::Store(StoreError::Broken(_)) => (StatusCode::SERVICE_UNAVAILABLE, "queue-unavailable"),
        NotifyError::Fault(_) => (StatusCode::INTERNAL_SERVER_ERROR, "guest-trap"),
    };
    let mut response = refuse(status, code, &message, "");
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn refuse(status: StatusCode, code: &str, message: &str, hint: &str) -> Response {
    let answer = json!({ "error": { "code": code, "message": message, "hint": hint } });
    (status, axum::Json(answer)).into_response()
}

/// Problems with a notification as one message and one hint.
pub fn describe(problems: &[Diagnostic]) -> (String, String) {
    let message = |problem: &Diagnostic| match problem.path.as_str() {
        "" => problem.problem.clone(),
        path => format!("{path}: {}", problem.problem),
    };
    let mut messages: Vec<String> = problems.iter().take(MOST_PROBLEMS).map(message).collect();
    if let Some(more) = problems.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
        messages.push(format!("and {more} more"));
    }
    let mut hints: Vec<&str> = problems
        .iter()
        .take(MOST_PROBLEMS)
        .map(|p| p.hint.as_str())
        .filter(|hint| !hint.is_empty())
        .collect();
    hints.dedup();
    (messages.join("; "), hints.join("; "))
}
