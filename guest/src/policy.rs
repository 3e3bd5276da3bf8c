//! How failed deliveries to a target are tried again: what can be set, and what holds where nothing is.
//!
//! Knows what settings mean and which cannot hold together; refuses to know what they are used for. The
//! numbers are those that GoDoxy documents for its dispatcher; each can be set for all targets and for one.

use serde_json::{Value, json};

use crate::backoff::{Backoff, Jitter};
use crate::duration::DurationMs;
use crate::hint;
use crate::notification::Level;
use crate::settings::PerLevel;
use crate::settings::declare::{Setting, choices, settings};

/// The policy of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When the next attempt is.
    pub backoff: Backoff,
    /// How many retries a notification of each level gets from an endpoint that works.
    pub limits: PerLevel<Limit>,
    /// How long after a delivery was queued it is given up at the latest, in milliseconds; at least 1000.
    pub max_age: u64,
    /// Whether deliveries wait for an endpoint that does not work, where else their limits would end them.
    pub park: bool,
    /// Whether a delivery is tried again that may have arrived, where the service does not know a repeat.
    pub retry_ambiguous: bool,
    /// No receiver's word holds its endpoint back for longer, in milliseconds: 1 s to 24 h.
    pub max_hint: u64,
}

/// How many retries; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit(u32);

settings! {
    /// How failed deliveries are tried again. What is absent is as for all targets, or as documented.
    #[derive(Clone, Debug, Default)]
    pub struct RetrySettings {
        /// brief, the limits below; or persistent, which has none: everything is tried until `max_age`.
        preset: Option<Preset>,
        /// The delay before the first retry: 1s.
        interval: Option<DurationMs>,
        /// By how much each delay is longer than the one before: 2.
        multiplier: Option<Multiplier>,
        /// No delay is longer, before jitter: 5m.
        max_delay: Option<DurationMs>,
        /// The width of the band that delays are drawn from, as a fraction of the delay: 0.2, which is 10 % to
        /// either side. Or full: from a tenth of the delay (at most 30s) to the whole.
        jitter: Option<JitterSetting>,
        /// How many retries a notification of each level gets from an endpoint that works: fatal 10, error 3,
        /// warn 2, info 1, debug 0, trace 0. Or unlimited, until `max_age`.
        limits: Option<PerLevel<Limit>>,
        /// How long after it was handed in a delivery is given up at the latest: 24h.
        max_age: Option<DurationMs>,
        /// Whether deliveries wait, without a retry being counted, while their endpoint does not work or does not
        /// accept the credentials: true.
        park: Option<bool>,
        /// Whether a delivery is tried again that may have arrived already, because the connection broke after it
        /// was sent: true. Services that know a repeat by its id get it either way.
        retry_ambiguous: Option<bool>,
        /// No receiver that asks to be left alone is left alone for longer: 1h.
        max_hint: Option<DurationMs>,
    }
}

choices! {
    /// Limits by name.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Preset {
        /// The documented limits.
        Brief = "brief",
        /// No limits.
        Persistent = "persistent",
    }
}

/// By how much each delay is longer than the one before, in thousandths.
#[derive(Clone, Copy, Debug)]
struct Multiplier(u32);

/// A fraction, or a word.
#[derive(Clone, Copy, Debug)]
struct JitterSetting(Jitter);

/// Retry settings that cannot hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The setting to change.
    pub key: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: &'static str,
}

/// No delivery is given up for its age sooner: a second.
const SHORTEST_LIFE: u64 = 1_000;

/// No delivery waits longer: a year.
const LONGEST_LIFE: u64 = 365 * 24 * 60 * 60 * 1_000;

/// What the cap on receivers' words may be.
const HINTS: std::ops::RangeInclusive<u64> = 1_000..=24 * 60 * 60 * 1_000;

/// No limit is larger that is one.
const MOST_RETRIES: u32 = 1_000;

impl Default for Policy {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            limits: Preset::Brief.limits(),
            max_age: 24 * 60 * 60 * 1_000,
            park: true,
            retry_ambiguous: true,
            max_hint: hint::LONGEST_MS,
        }
    }
}

impl Policy {
    /// This policy, with settings over it.
    ///
    /// # Errors
    ///
    /// Where the settings contradict each other, or those that they go over.
    pub fn with(&self, settings: &RetrySettings) -> Result<Self, Contradiction> {
        let below = settings.preset.map_or_else(|| self.limits.clone(), Preset::limits);
        let backoff = Backoff {
            interval: settings.interval.map_or(self.backoff.interval, |duration| duration.0),
            multiplier_milli: settings
                .multiplier
                .map_or(self.backoff.multiplier_milli, |multiplier| multiplier.0),
            max_delay: settings.max_delay.map_or(self.backoff.max_delay, |duration| duration.0),
            jitter: settings.jitter.map_or(self.backoff.jitter, |jitter| jitter.0),
        };
        let policy = Self {
            backoff,
            limits: settings.limits.clone().map_or_else(|| below.clone(), |limits| limits.over(&below)),
            max_age: settings.max_age.map_or(self.max_age, |duration| duration.0),
            park: settings.park.unwrap_or(self.park),
            retry_ambiguous: settings.retry_ambiguous.unwrap_or(self.retry_ambiguous),
            max_hint: settings.max_hint.map_or(self.max_hint, |duration| duration.0),
        };
        policy.check(settings).map_or(Ok(policy), Err)
    }

    fn check(&self, settings: &RetrySettings) -> Option<Contradiction> {
        let wrong = |key, problem: &str, hint| Some(Contradiction { key, problem: problem.to_owned(), hint });
        let Backoff { interval, max_delay, .. } = self.backoff;
        if !(SHORTEST_LIFE..=LONGEST_LIFE).contains(&self.max_age) {
            return wrong("max_age", "this life is out of range", "allowed is from 1s to 365d");
        }
        if !HINTS.contains(&self.max_hint) {
            return wrong("max_hint", "this length of time is out of range", "allowed is from 1s to 24h");
        }
        if interval == 0 {
            let problem = "an interval of 0 makes every retry a storm";
            return wrong("interval", problem, "allowed is at least 1ms");
        }
        if max_delay < interval {
            let key = if settings.max_delay.is_some() { "max_delay" } else { "interval" };
            let problem = format!("`max_delay` ({max_delay} ms) is shorter than `interval` ({interval} ms)");
            return wrong(key, &problem, "make `max_delay` at least as long as `interval`");
        }
        None
    }
}

impl Preset {
    fn limits(self) -> PerLevel<Limit> {
        PerLevel::from_fn(|level| match (self, level) {
            (Self::Persistent, _) => Limit::UNLIMITED,
            (Self::Brief, Level::Trace | Level::Debug) => Limit(0),
            (Self::Brief, Level::Info) => Limit(1),
            (Self::Brief, Level::Warn) => Limit(2),
            (Self::Brief, Level::Error) => Limit(3),
            (Self::Brief, Level::Fatal) => Limit(10),
        })
    }
}

// === impl Limit ===

impl Limit {
    /// No limit.
    pub const UNLIMITED: Self = Self(u32::MAX);

    /// So many retries; at most 1000 can be set.
    #[must_use]
    pub fn of(retries: u32) -> Self {
        Self(retries)
    }

    /// Whether a retry of this number may be, counted from 0.
    #[must_use]
    pub fn allows(self, retry: u32) -> bool {
        self == Self::UNLIMITED || retry < self.0
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::UNLIMITED => f.write_str("unlimited retries"),
            Self(0) => f.write_str("no retries"),
            Self(1) => f.write_str("1 retry"),
            Self(many) => write!(f, "{many} retries"),
        }
    }
}

impl Setting for Limit {
    fn schema() -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": MOST_RETRIES },
            { "type": "string", "enum": ["unlimited"] },
        ] })
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(word) => (word == "unlimited").then_some(Self::UNLIMITED),
            other => other.as_u64().and_then(|number| u32::try_from(number).ok()).map(Self),
        }
    }
}

impl Setting for Multiplier {
    fn schema() -> Value {
        json!({ "type": "number", "minimum": 1.0, "maximum": 100.0 })
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_f64().map(thousandths).map(Self)
    }
}

impl Setting for JitterSetting {
    fn schema() -> Value {
        json!({ "anyOf": [
            { "type": "number", "minimum": 0.0, "maximum": 1.0 },
            { "type": "string", "enum": ["full"] },
        ] })
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(word) => (word == "full").then_some(Self(Jitter::Full)),
            other => other.as_f64().map(|fraction| Self(Jitter::Proportional(thousandths(fraction)))),
        }
    }
}

/// A number from a configuration in thousandths; the schema has bounded it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
fn thousandths(number: f64) -> u32 {
    (number * 1_000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str) -> Result<Policy, Contradiction> {
        Policy::default().with(&RetrySettings::read(&serde_json::from_str(json).unwrap()).unwrap())
    }

    fn limits(policy: &Policy) -> [u32; 6] {
        Level::ALL.map(|level| policy.limits.get(level).0)
    }

    #[test]
    fn the_limits_are_the_documented_ones() {
        assert_eq!(limits(&Policy::default()), [0, 0, 1, 2, 3, 10]);
        assert_eq!(with(r#"{"preset":"brief"}"#).unwrap(), Policy::default());
    }

    #[test]
    fn settings_go_over_the_policy_level_by_level() {
        let settings = r#"{"interval":"2s","multiplier":1.5,"jitter":0,"limits":{"info":7}}"#;
        let Policy { backoff, .. } = with(settings).unwrap();
        assert_eq!((backoff.base(0), backoff.base(1), backoff.base(2)), (2_000, 3_000, 4_500));
        assert_eq!(backoff.delay(1, 99), 3_000);
        assert_eq!(limits(&with(settings).unwrap()), [0, 0, 7, 2, 3, 10]);
    }

    #[test]
    fn a_preset_goes_under_the_limits_beside_it_and_over_those_of_all() {
        let all = with(r#"{"preset":"persistent","limits":{"debug":1}}"#).unwrap();
        assert_eq!(limits(&all), [u32::MAX, 1, u32::MAX, u32::MAX, u32::MAX, u32::MAX]);
        let one = all.with(&RetrySettings::read(&json!({ "preset": "brief" })).unwrap()).unwrap();
        assert_eq!(limits(&one), [0, 0, 1, 2, 3, 10]);
        let unlimited = with(r#"{"limits":"unlimited"}"#).unwrap();
        assert!(unlimited.limits.get(Level::Trace).allows(u32::MAX));
    }

    #[test]
    fn contradictions_are_refused() {
        for (json, key) in [
            (r#"{"interval":"0s"}"#, "interval"),
            (r#"{"interval":"10s","max_delay":"1s"}"#, "max_delay"),
            (r#"{"interval":"10m"}"#, "interval"),
            (r#"{"max_age":"10ms"}"#, "max_age"),
            (r#"{"max_age":"366d"}"#, "max_age"),
            (r#"{"max_hint":"25h"}"#, "max_hint"),
        ] {
            assert_eq!(with(json).unwrap_err().key, key, "{json}");
        }
    }

    #[test]
    fn a_limit_allows_as_many_as_it_says() {
        assert!(!Limit::of(0).allows(0));
        assert!(Limit::of(2).allows(1) && !Limit::of(2).allows(2));
        assert_eq!([0, 1, 2].map(|n| Limit::of(n).to_string()), ["no retries", "1 retry", "2 retries"]);
    }
}
