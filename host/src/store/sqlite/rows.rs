//! Between rows and records.
//!
//! What is read was written by this module, or by somebody with `sqlite3`: a value that does not fit is an
//! error, never a panic.

use std::sync::Arc;

use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde_json::{Value, json};

use crate::contract::{Body, Class, Field, Level, Notification};
use crate::store::record::{Delivery, DeliveryKey, Health, LastReply, Progress, State};

/// The columns of a delivery, as [`delivery`] reads them.
pub(super) const DELIVERY: &str = "target, state, attempts, queued_at, due_at, first_tried_at, tried_at, \
     ended_at, class, detail, status, reply, tried, parts, faults, sent, plain";

/// What a delivery's detail and reply take, in bytes.
pub(super) const DETAILS: &str = "octet_length(detail) + coalesce(octet_length(reply), 0)";

/// The columns of a notification, as [`notification`] reads them.
pub(super) const NOTIFICATION: &str =
    "id, accepted_at, level, title, body, color, recipients, tags, link, idempotency_key, key, resolves";

/// A body as JSON, in the form that it can be handed in in.
pub(super) fn body_out(body: &Body) -> String {
    match body {
        Body::Text(text) => json_of(text),
        Body::Items(items) => json_of(items),
        // A list would be one of texts, as that of no texts is.
        Body::Fields(fields) if fields.is_empty() => "{}".to_owned(),
        Body::Fields(fields) => {
            let field = |field: &Field| json!({ "name": field.name, "value": field.value });
            fields.iter().map(field).collect::<Value>().to_string()
        }
    }
}

/// Texts as JSON.
pub(super) fn list_out(texts: &[String]) -> String {
    if texts.is_empty() { "[]".to_owned() } else { json_of(texts) }
}

fn json_of(texts: &(impl Serialize + ?Sized)) -> String {
    // Texts and lists of texts can always be written.
    serde_json::to_string(texts).unwrap_or_default()
}

/// A number as SQLite keeps it: what does not fit into 63 bits is as far away as can be.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A delivery, from the column `first` on.
pub(super) fn delivery(row: &Row<'_>, first: usize) -> rusqlite::Result<Delivery> {
    let instant = |column: usize| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(first + column)?.map(positive))
    };
    let state = row.get_ref(first + 1)?.as_str().map(State::parse);
    let class = row.get_ref(first + 8)?.as_str_or_null()?;
    let class = class.map(|name| Class::parse(name).ok_or_else(|| misfit(first + 8, "no class")));
    let reply = match (row.get(first + 10)?, row.get(first + 11)?) {
        (Some(status), Some(body)) => Some(LastReply { status, body }),
        _ => None,
    };
    let progress = Progress {
        state: state.ok().flatten().ok_or_else(|| misfit(first + 1, "no state"))?,
        attempts: row.get(first + 2)?,
        queued_at: positive(row.get(first + 3)?),
        due_at: instant(4)?,
        first_tried_at: instant(5)?,
        tried_at: instant(6)?,
        ended_at: instant(7)?,
        class: class.transpose()?,
        detail: row.get(first + 9)?,
        reply,
        tried: row.get(first + 12)?,
        parts: row.get(first + 13)?,
        faults: row.get(first + 14)?,
        sent: row.get(first + 15)?,
        plain: row.get(first + 16)?,
    };
    Ok(Delivery { target: row.get(first)?, progress })
}

/// A condition on a delivery's key, which lets it be found by that: it is one of the notification's.
pub(super) fn is_of(key: &str, notification: &str) -> String {
    format!("{key} BETWEEN {notification} << 16 AND {notification} << 16 | 65535")
}

/// The largest number that a record can have.
pub(super) const LAST_RECORD: u64 = (1 << 47) - 1;

/// A key as SQLite keeps it: that of a record beyond [`LAST_RECORD`] is as far away as can be.
pub(super) fn key_out(key: DeliveryKey) -> i64 {
    number(key.record.min(LAST_RECORD)) << 16 | i64::from(key.n)
}

/// A number of a record was found that none can have, or was used up.
pub(super) fn too_many() -> rusqlite::Error {
    misfit(0, "the number of a record is larger than any can be; put back `tally.last` or `notification.seq`")
}

/// A key, in a column.
pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<DeliveryKey> {
    let key = positive(row.get(column)?);
    Ok(DeliveryKey { record: key >> 16, n: (key & 0xffff) as u16 })
}

/// A level, in a column.
pub(super) fn level(row: &Row<'_>, column: usize) -> rusqlite::Result<Level> {
    let name = row.get_ref(column)?.as_str().ok();
    name.and_then(Level::parse).ok_or_else(|| misfit(column, "no level"))
}

/// A notification and its idempotency key.
pub(super) fn notification(row: &Row<'_>) -> rusqlite::Result<(Arc<Notification>, Option<String>)> {
    let notification = Notification {
        id: row.get(0)?,
        at: positive(row.get(1)?),
        level: level(row, 2)?,
        title: row.get(3)?,
        body: body(&row.get::<_, String>(4)?).ok_or_else(|| misfit(4, "no body"))?,
        color: row.get(5)?,
        to: list(row, 6)?,
        tags: list(row, 7)?,
        link: row.get(8)?,
        key: row.get(10)?,
        resolves: row.get(11)?,
    };
    Ok((Arc::new(notification), row.get(9)?))
}

/// A number that is no less than nothing.
pub(super) fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn body(json: &str) -> Option<Body> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    match serde_json::from_str(json).ok()? {
        Value::String(text) => Some(Body::Text(text)),
        Value::Array(fields) if fields.first().is_some_and(Value::is_object) => {
            let field = |field: &Value| {
                Some(Field { name: text(field.get("name")?)?, value: text(field.get("value")?)? })
            };
            fields.iter().map(field).collect::<Option<_>>().map(Body::Fields)
        }
        Value::Array(items) => items.iter().map(text).collect::<Option<_>>().map(Body::Items),
        Value::Object(fields) if fields.is_empty() => Some(Body::Fields(Vec::new())),
        _ => None,
    }
}

fn list(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json).map_err(|_| misfit(column, "no list of texts"))
}

fn misfit(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

/// The columns of an endpoint, as [`health`] reads them.
pub(super) const HEALTH: &str = "target, fingerprint, state, last_error_at, last_error";

/// How an endpoint is.
pub(super) fn health(row: &Row<'_>) -> rusqlite::Result<Health> {
    let endpoint = serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(|_| misfit(2, "no endpoint"))?;
    let last_error = row.get::<_, Option<i64>>(3)?.map(positive).zip(row.get(4)?);
    // The bits of a fingerprint, which has all 64.
    let fingerprint = row.get::<_, i64>(1)?.cast_unsigned();
    Ok(Health { target: row.get(0)?, fingerprint, endpoint, last_error })
}
