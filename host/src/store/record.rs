//! What is kept: a notification, its deliveries, and where each stands.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::UnixMs;
use crate::contract::{Class, Endpoint, Level, Notification};

/// No more of a reply's body is kept, in bytes: 4 KiB.
pub const LONGEST_REPLY: usize = 4 << 10;

/// What ended within this after it was queued, in milliseconds, is kept as if it had taken as long. So a store finds
/// what is to be forgotten by the order in which it came, which it has anyhow.
pub(super) const SOON_MS: u64 = 10_000;

/// A notification and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The notification.
    pub notification: Arc<Notification>,
    /// What a repeated hand-in is known by, beside the notification's id.
    pub idempotency_key: Option<String>,
    /// Its deliveries; none where no target's filter wanted it.
    pub deliveries: Vec<Delivery>,
}

/// One notification on its way to one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// The target's name.
    pub target: Arc<str>,
    /// Where it stands.
    #[serde(flatten)]
    pub progress: Progress,
}

/// How far a delivery has come. Instants are the wall clock's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// How many attempts there were.
    pub attempts: u32,
    /// The last outcome in words, or why the delivery ended; empty before the first attempt. Holds no secret.
    pub detail: String,
    /// What the last outcome meant; `None` before the first, and where the guest did not say.
    #[serde(serialize_with = "name_of_class", skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// What the receiver replied last. Holds no secret of the target's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<LastReply>,
    /// When it was queued: when it was handed in, or replayed.
    #[serde(serialize_with = "rfc_3339")]
    pub queued_at: UnixMs,
    /// When the next attempt is due; `None` where there is none.
    #[serde(serialize_with = "rfc_3339_or_not", skip_serializing_if = "Option::is_none")]
    pub due_at: Option<UnixMs>,
    /// When the first attempt began.
    #[serde(serialize_with = "rfc_3339_or_not", skip_serializing_if = "Option::is_none")]
    pub first_tried_at: Option<UnixMs>,
    /// When the last outcome came.
    #[serde(serialize_with = "rfc_3339_or_not", skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<UnixMs>,
    /// When it ended.
    #[serde(serialize_with = "rfc_3339_or_not", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UnixMs>,
    /// How many attempts there were of the request that is its turn.
    #[serde(skip)]
    pub tried: u32,
    /// How many attempts there were of it, counted or not.
    pub sent: u32,
    /// How many of the requests it takes are delivered.
    #[serde(skip)]
    pub parts: u32,
    /// How often the guest broke off, or described what is no request, since the last attempt.
    #[serde(skip)]
    pub faults: u32,
    /// Whether it is plain text, because the receiver refused its markup.
    pub plain: bool,
}

/// What a receiver said, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastReply {
    /// The status code.
    pub status: u16,
    /// The beginning of the body, at most [`LONGEST_REPLY`] bytes; what is no UTF-8 is replaced.
    pub body: String,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waiting for its first attempt.
    Queued,
    /// Waiting for another attempt.
    Retrying,
    /// Arrived.
    Delivered,
    /// Given up; kept with the reason, and can be replayed.
    Dead,
    /// Taken out by somebody.
    Dropped,
}

/// Which delivery: the number of its record, and its place among the record's deliveries, from 0. Records
/// are numbered in the order in which they were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// The record's number.
    pub record: u64,
    /// The delivery's place.
    pub n: u16,
}

/// Where a delivery stands from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which delivery.
    pub key: DeliveryKey,
    /// Its target's name, which stays what it was.
    pub target: Arc<str>,
    /// Whether it has to have ended before. Where that is not so, nothing changes.
    pub had_ended: bool,
    /// The notification's level: less serious ones leave the last tenth of a queue to others.
    pub level: Level,
    /// What the detail and the reply take that stand there, in bytes: [`Progress::size`].
    pub replaces: u64,
    /// Where it stands.
    pub progress: Progress,
}

// === impl Record ===

impl Record {
    /// Whether nothing more happens to it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.deliveries.iter().all(|delivery| delivery.progress.state.has_ended())
    }

    /// What it takes on disk or in memory, roughly, in bytes: the same from its first day to its last.
    #[must_use]
    pub fn size(&self) -> u64 {
        const EACH: usize = 256;
        let deliveries = self.deliveries.iter().map(|delivery| EACH + delivery.target.len());
        (EACH + self.notification.size() + deliveries.sum::<usize>()) as u64
    }

    /// What the details of its deliveries take beside that, in bytes.
    pub(super) fn details(&self) -> u64 {
        self.deliveries.iter().map(|delivery| delivery.progress.size()).sum()
    }
}

// === impl Delivery ===

impl Delivery {
    /// A delivery that waits for its first attempt.
    #[must_use]
    pub fn queued(target: impl Into<Arc<str>>, at: UnixMs) -> Self {
        Self { target: target.into(), progress: Progress::queued(at) }
    }

    /// A delivery that ended before its first attempt.
    #[must_use]
    pub fn dead(target: impl Into<Arc<str>>, at: UnixMs, reason: String) -> Self {
        let (state, detail) = (State::Dead, reason);
        let progress = Progress { state, detail, due_at: None, ended_at: Some(at), ..Progress::queued(at) };
        Self { target: target.into(), progress }
    }
}

impl Progress {
    /// What the detail and the reply take, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.detail.len() + self.reply.as_ref().map_or(0, |reply| reply.body.len())) as u64
    }

    /// From when on the time counts for which it is kept after its end: then, or [`SOON_MS`] after it was queued where
    /// it [ended soon](Self::ended_soon). `None` where it has not ended.
    pub(super) fn kept_from(&self) -> Option<UnixMs> {
        let soon = self.queued_at.saturating_add(SOON_MS);
        self.ended_at.map(|ended_at| if self.ended_soon() { soon } else { ended_at })
    }

    /// Whether it arrived or was dropped within [`SOON_MS`] after it was queued.
    pub(super) fn ended_soon(&self) -> bool {
        // What a clock that was set back has end before it was queued did not.
        let soon = self.queued_at..=self.queued_at.saturating_add(SOON_MS);
        self.state != State::Dead && self.ended_at.is_some_and(|ended_at| soon.contains(&ended_at))
    }

    /// Waiting for the first attempt.
    #[must_use]
    pub fn queued(at: UnixMs) -> Self {
        Self {
            state: State::Queued,
            attempts: 0,
            detail: String::new(),
            class: None,
            reply: None,
            queued_at: at,
            due_at: Some(at),
            first_tried_at: None,
            tried_at: None,
            ended_at: None,
            tried: 0,
            sent: 0,
            parts: 0,
            faults: 0,
            plain: false,
        }
    }
}

// === impl State ===

impl State {
    /// Every state, in the order in which a delivery can come through them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Retrying, Self::Delivered, Self::Dead, Self::Dropped];

    /// Those of deliveries that have not ended.
    pub const OPEN: [Self; 2] = [Self::Queued, Self::Retrying];

    /// The state's name, as the API and the command line write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }

    /// The state of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more happens to a delivery in this state, unless somebody replays it.
    #[must_use]
    pub fn has_ended(self) -> bool {
        !Self::OPEN.contains(&self)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

// === impl LastReply ===

impl LastReply {
    /// What is kept of a reply; its secrets must have been blotted out.
    #[must_use]
    pub fn of(status: u16, body: &[u8]) -> Self {
        let mut body = String::from_utf8_lossy(body).into_owned();
        body.truncate(body.floor_char_boundary(LONGEST_REPLY));
        Self { status, body }
    }
}

// === impl DeliveryKey ===

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.record, self.n)
    }
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in a list; use `next` of the page before")]
pub struct NoKey;

impl FromStr for DeliveryKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let (record, n) = text.split_once('.').ok_or(NoKey)?;
        Ok(Self { record: record.parse().map_err(|_| NoKey)?, n: n.parse().map_err(|_| NoKey)? })
    }
}

// === writing ===

/// An instant as people and programs write it (RFC 3339), in UTC.
#[must_use]
pub fn timestamp(at: UnixMs) -> String {
    // What lies beyond the year 9999 has no such form.
    const LATEST: UnixMs = 253_402_300_799_999;
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at.min(LATEST));
    humantime::format_rfc3339_millis(at).to_string()
}

pub(super) fn rfc_3339<S: serde::Serializer>(at: &UnixMs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*at))
}

fn rfc_3339_or_not<S: serde::Serializer>(at: &Option<UnixMs>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(timestamp).serialize(serializer)
}

fn name_of_class<S: serde::Serializer>(class: &Option<Class>, serializer: S) -> Result<S::Ok, S::Error> {
    class.map(Class::name).serialize(serializer)
}

pub(super) fn name_of_level<S: serde::Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_and_read() {
        let key = DeliveryKey { record: u64::MAX, n: 7 };
        assert_eq!(key.to_string().parse(), Ok(key));
        for text in ["", "1", "1.", ".1", "1.2.3", "-1.0", "1.70000"] {
            assert_eq!(text.parse::<DeliveryKey>(), Err(NoKey), "{text}");
        }
    }

    #[test]
    fn every_state_has_a_name_of_its_own() {
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
        }
        assert_eq!(State::parse("Dead"), None);
    }

    #[test]
    fn a_reply_is_cut_off_between_characters() {
        let reply = LastReply::of(500, "ä".repeat(LONGEST_REPLY).as_bytes());
        assert_eq!(reply.body.len(), LONGEST_REPLY);
        assert_eq!(LastReply::of(200, b"\xff!").body, "\u{fffd}!");
    }

    #[test]
    fn every_instant_has_a_timestamp() {
        assert_eq!(timestamp(1_795_383_000_007), "2026-11-22T21:30:00.007Z");
        assert_eq!(timestamp(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}

/// How the endpoint of a target is.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// The target's name.
    pub target: String,
    /// What changes with the target's settings: what was remembered holds for an endpoint, not for a name.
    pub fingerprint: u64,
    /// What the guest remembers.
    pub endpoint: Endpoint,
    /// What went wrong last, and when, by the wall clock.
    pub last_error: Option<(UnixMs, String)>,
}
