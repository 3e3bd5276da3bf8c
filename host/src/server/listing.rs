//! Lists of notifications, and one of them, as JSON.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use nuncio::contract::{Body, Field, Notification};
use nuncio::store::{Delivery, LARGEST_PAGE, Page, Query, Record, timestamp};
use serde_json::{Value, json};

use super::{Server, refuse, unauthorized, unavailable};
use crate::selection::{Misunderstood, Selection, read_states};

const PARAMETERS: &str = "known are: state, target, level, since, reason, after, limit";

/// `GET /v1/notifications?state=&target=&level=&since=&reason=&after=&limit=`: a page of deliveries, those of a
/// notification together, in the order of acceptance.
///
/// Asked without a token it is refused also where none is set: the queue's file is not for everybody on this
/// machine, and neither is this.
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if !server.has_tokens() && !server.may_steer(&headers) {
        return unauthorized("set `server.tokens` and send one of them, or use `nuncio queue ls`");
    }
    let query = match read(query.as_deref().unwrap_or_default(), server.nuncio.now()) {
        Ok(query) => query,
        Err((problem, hint)) => {
            return refuse(StatusCode::BAD_REQUEST, "invalid-query", &problem, &hint);
        }
    };
    match server.nuncio.list(query).await {
        Ok(page) => (StatusCode::OK, axum::Json(of_page(page))).into_response(),
        Err(error) => unavailable(&error.into()),
    }
}

fn read(text: &str, now: u64) -> Result<Query, (String, String)> {
    let (mut selection, mut states) = (Selection::default(), Vec::new());
    let (mut after, mut limit) = (None, None);
    let misunderstood =
        |what: Misunderstood| (format!("{}: {}", what.name, what.problem), what.hint.to_owned());
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        let value = value.into_owned();
        match &*name {
            _ if value.is_empty() => {}
            "state" => states = read_states(&value).map_err(misunderstood)?,
            "target" => selection.target = Some(value),
            "level" => selection.level = Some(value),
            "since" => selection.since = Some(value),
            "reason" => selection.reason = Some(value),
            "after" => {
                let key = value.parse();
                after = Some(key.map_err(|error| (format!("after: {error}"), String::new()))?);
            }
            "limit" => {
                let number = value.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                let hint = format!("write a number from 1 to {LARGEST_PAGE}");
                limit = Some(number.ok_or(("limit: this is no size of a page".to_owned(), hint))?);
            }
            _ => return Err((format!("unknown parameter `{name}`"), PARAMETERS.to_owned())),
        }
    }
    let query = selection.query(&states, now).map_err(misunderstood)?;
    Ok(Query { after, limit: limit.unwrap_or(query.limit), ..query })
}

fn of_page(page: Page) -> Value {
    let mut notifications: Vec<Value> = Vec::new();
    let mut last = None;
    for mut entry in page.entries {
        // Whoever wants to know what the receiver said asks for the one notification.
        entry.delivery.progress.reply = None;
        let delivery = json!(entry.delivery);
        match notifications.last_mut().and_then(|n| n["deliveries"].as_array_mut()) {
            Some(deliveries) if last == Some(entry.key.record) => deliveries.push(delivery),
            _ => notifications.push(json!({
                "id": entry.id,
                "level": entry.level.name(),
                "title": entry.title,
                "at": timestamp(entry.at),
                "deliveries": [delivery],
            })),
        }
        last = Some(entry.key.record);
    }
    json!({ "notifications": notifications, "next": page.next.map(|next| next.to_string()) })
}

/// A notification with all that became of it.
pub fn notification(record: &Record) -> Value {
    let Record { notification, deliveries, .. } = record;
    let Notification { id, at, level, title, body, color, to, tags, link, key, resolves } = &**notification;
    let body = match body {
        Body::Text(text) => json!(text),
        Body::Items(items) => json!(items),
        Body::Fields(fields) => {
            let field = |Field { name, value }: &Field| json!({ "name": name, "value": value });
            fields.iter().map(field).collect()
        }
    };
    let deliveries: &[Delivery] = deliveries;
    let color = color.map(|color| format!("#{color:06x}"));
    json!({
        "id": id, "level": level.name(), "title": title, "at": timestamp(*at), "body": body, "color": color,
        "to": to, "tags": tags, "link": link, "key": key, "resolves": resolves, "deliveries": deliveries,
    })
}
