//! Lengths of time in configurations: `500ms`, `10s`, `1m 30s`.

use serde_json::{Value, json};

use crate::settings::declare::Setting;

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationMs(pub u64);

impl DurationMs {
    /// Reads a number with a unit (`ms`, `s`, `m`, `h`, `d`), or several of them.
    ///
    /// Returns `None` for a number without a unit, a sign, and what does not fit 64 bits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // humantime also takes weeks, months and years; nobody waits that long for a retry.
        if text.contains(['y', 'M', 'w']) {
            return None;
        }
        let duration = humantime::parse_duration(text.trim()).ok()?;
        u64::try_from(duration.as_millis()).ok().map(Self)
    }
}

impl Setting for DurationMs {
    fn schema() -> Value {
        json!({ "type": "string", "format": "duration", "examples": ["500ms", "10s", "5m"] })
    }

    fn read(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_a_unit() {
        assert_eq!(DurationMs::parse("500ms"), Some(DurationMs(500)));
        assert_eq!(DurationMs::parse("1m 30s"), Some(DurationMs(90_000)));
        assert_eq!(DurationMs::parse("1.5s"), Some(DurationMs(1_500)));
        assert_eq!(DurationMs::parse("24h"), Some(DurationMs(86_400_000)));
        for text in ["", "10", "-1s", "s", "1y", "2 weeks", "99999999999999999999h"] {
            assert_eq!(DurationMs::parse(text), None, "{text}");
        }
    }
}
