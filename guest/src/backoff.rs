//! When the next attempt is, and how many there are: the schedule and the limits by level.
//!
//! Integers only, saturating, with entropy as an argument: the same on every machine. The numbers are those
//! that GoDoxy documents for its dispatcher; each can be set for all targets and for one.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::duration::DurationMs;
use crate::notification::Level;
use crate::settings::PerLevel;

/// The schedule of a target: the delay before retry n (n = 0, 1, …) is
/// `min(interval * multiplier^n, max_delay)`, give or take half of `jitter` of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The first delay, in milliseconds; at least 1.
    pub interval: u64,
    /// By how much each delay is longer than the one before, in thousandths; at least 1000.
    pub multiplier_milli: u32,
    /// No delay is longer, before jitter, in milliseconds; at least `interval`.
    pub max_delay: u64,
    /// The width of the band that delays are drawn from, in thousandths of the delay; at most 1000. 200 is
    /// 10 % to either side.
    pub jitter_milli: u32,
    /// How many retries a notification of each level gets.
    pub limits: PerLevel<u32>,
    /// How long after a delivery was queued it is given up at the latest, in milliseconds; at least 1000.
    pub max_age: u64,
}

/// How failed deliveries are tried again. What is absent is as for all targets, or as documented.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrySettings {
    /// The delay before the first retry: 1s.
    interval: Option<DurationMs>,
    /// By how much each delay is longer than the one before: 2.
    #[schemars(range(min = 1.0, max = 100.0))]
    multiplier: Option<f64>,
    /// No delay is longer, before jitter: 5m.
    max_delay: Option<DurationMs>,
    /// The width of the band that delays are drawn from, as a fraction of the delay: 0.2, which is 10 % to
    /// either side.
    #[schemars(range(min = 0.0, max = 1.0))]
    jitter: Option<f64>,
    /// How many retries a notification of each level gets: fatal 10, error 3, warn 2, info 1, debug 0,
    /// trace 0.
    #[schemars(with = "Option<PerLevel<Retries>>")]
    limits: Option<PerLevel<u32>>,
    /// How long after it was handed in a delivery is given up at the latest: 24h.
    max_age: Option<DurationMs>,
}

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

/// A number of retries.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Retries(#[schemars(range(min = 0, max = 1000))] u32);

impl Default for Policy {
    fn default() -> Self {
        let limit = |level| match level {
            Level::Trace | Level::Debug => 0,
            Level::Info => 1,
            Level::Warn => 2,
            Level::Error => 3,
            Level::Fatal => 10,
        };
        Self {
            interval: 1_000,
            multiplier_milli: 2_000,
            max_delay: 300_000,
            jitter_milli: 200,
            limits: PerLevel::from_fn(limit),
            max_age: 24 * 60 * 60 * 1_000,
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
        let policy = Self {
            interval: settings.interval.map_or(self.interval, |duration| duration.0),
            multiplier_milli: settings.multiplier.map_or(self.multiplier_milli, thousandths),
            max_delay: settings.max_delay.map_or(self.max_delay, |duration| duration.0),
            jitter_milli: settings.jitter.map_or(self.jitter_milli, thousandths),
            limits: settings
                .limits
                .clone()
                .map_or_else(|| self.limits.clone(), |limits| limits.over(&self.limits)),
            max_age: settings.max_age.map_or(self.max_age, |duration| duration.0),
        };
        if !(SHORTEST_LIFE..=LONGEST_LIFE).contains(&policy.max_age) {
            let problem = "this life is out of range".to_owned();
            return Err(Contradiction { key: "max_age", problem, hint: "allowed is from 1s to 365d" });
        }
        if policy.interval == 0 {
            let problem = "an interval of 0 makes every retry a storm".to_owned();
            return Err(Contradiction { key: "interval", problem, hint: "allowed is at least 1ms" });
        }
        if policy.max_delay < policy.interval {
            let Self { interval, max_delay, .. } = policy;
            let key = if settings.max_delay.is_some() { "max_delay" } else { "interval" };
            let problem = format!("`max_delay` ({max_delay} ms) is shorter than `interval` ({interval} ms)");
            return Err(Contradiction {
                key,
                problem,
                hint: "make `max_delay` at least as long as `interval`",
            });
        }
        Ok(policy)
    }

    /// The delay before retry `n`, before jitter, in milliseconds.
    #[must_use]
    pub fn base(&self, n: u32) -> u64 {
        // In thousandths, so that a multiplier near 1 still grows a small interval.
        let cap = u128::from(self.max_delay).saturating_mul(1_000);
        let mut delay = u128::from(self.interval).saturating_mul(1_000);
        if self.multiplier_milli > 1_000 {
            for _ in 0..n {
                if delay >= cap {
                    break;
                }
                delay = delay.saturating_mul(u128::from(self.multiplier_milli)) / 1_000;
            }
        }
        u64::try_from(delay.min(cap) / 1_000).unwrap_or(u64::MAX)
    }

    /// The delay before retry `n`, in milliseconds: within `jitter` of [`Policy::base`], also for the first
    /// retry and at the cap, and never 0.
    #[must_use]
    pub fn delay(&self, n: u32, entropy: u64) -> u64 {
        let base = self.base(n);
        let band = u128::from(base).saturating_mul(u128::from(self.jitter_milli)) / 1_000;
        let band = u64::try_from(band).unwrap_or(u64::MAX);
        let drawn = ChaCha8Rng::seed_from_u64(entropy).random_range(0..=band);
        (base - band.div_ceil(2)).saturating_add(drawn).max(1)
    }
}

/// A number from a configuration in thousandths; the schema has bounded it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
fn thousandths(number: f64) -> u32 {
    (number * 1_000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_schedule_is_the_documented_one() {
        let policy = Policy::default();
        let seconds: Vec<u64> = (0..11).map(|n| policy.base(n) / 1_000).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(policy.base(u32::MAX), 300_000);
    }

    #[test]
    fn the_limits_are_the_documented_ones() {
        let limits = Policy::default().limits;
        assert_eq!(Level::ALL.map(|level| *limits.get(level)), [0, 0, 1, 2, 3, 10]);
    }

    #[test]
    fn jitter_is_ten_percent_to_either_side_also_at_first_and_at_the_cap() {
        let policy = Policy::default();
        for n in [0, 20] {
            let delays: Vec<u64> = (0..2_000).map(|entropy| policy.delay(n, entropy)).collect();
            let base = policy.base(n);
            let (low, high) = (*delays.iter().min().unwrap(), *delays.iter().max().unwrap());
            assert!(low >= base * 9 / 10 && low < base * 91 / 100, "{low}");
            assert!(high <= base * 11 / 10 && high > base * 109 / 100, "{high}");
        }
    }

    #[test]
    fn settings_go_over_the_policy_level_by_level() {
        let settings: RetrySettings =
            serde_json::from_str(r#"{"interval":"2s","multiplier":1.5,"jitter":0,"limits":{"info":7}}"#)
                .unwrap();
        let policy = Policy::default().with(&settings).unwrap();
        assert_eq!((policy.base(0), policy.base(1), policy.base(2)), (2_000, 3_000, 4_500));
        assert_eq!(policy.delay(1, 99), 3_000);
        assert_eq!((*policy.limits.get(Level::Info), *policy.limits.get(Level::Error)), (7, 3));
    }

    #[test]
    fn contradictions_are_refused() {
        for json in [r#"{"interval":"0s"}"#, r#"{"interval":"10s","max_delay":"1s"}"#] {
            let settings: RetrySettings = serde_json::from_str(json).unwrap();
            assert!(Policy::default().with(&settings).is_err(), "{json}");
        }
    }

    prop_compose! {
        fn policies()(interval in 1_u64.., multiplier_milli in 1_000_u32..=100_000, max in any::<u64>(),
            jitter_milli in 0_u32..=1_000) -> Policy {
            Policy { interval, multiplier_milli, max_delay: max.max(interval), jitter_milli, ..Policy::default() }
        }
    }

    proptest! {
        #[test]
        fn a_delay_stays_in_its_band_for_every_input(policy in policies(), n in 0_u32..5_000, entropy: u64) {
            let (base, delay) = (u128::from(policy.base(n)), u128::from(policy.delay(n, entropy)));
            let half = base * u128::from(policy.jitter_milli) / 2_000 + 1;
            prop_assert!(delay >= 1 && delay + half >= base && delay <= base + half, "{delay} around {base}");
            prop_assert!(base <= u128::from(policy.max_delay));
        }

        #[test]
        fn delays_before_jitter_never_shrink(policy in policies(), n in 0_u32..5_000) {
            prop_assert!(policy.base(n) <= policy.base(n + 1));
        }
    }
}
