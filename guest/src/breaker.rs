//! The circuit breaker of an endpoint: whether it is thought to work.
//!
//! It opens after several failures in a row, or when half of what was tried of late failed; then nothing is
//! sent but one probe at a time, on the backoff schedule up to a cap, so that a short outage ends quickly and
//! a long one costs little. One success closes it. The two rules together are those of linkerd's unified
//! breaker: the first notices an endpoint that is gone at once, however little is sent; the second one that
//! fails every other time. Opening stops traffic, closing lets it flow.

/// How many failures in a row open it.
pub const IN_A_ROW: u32 = 5;

/// How many attempts there must be of late before their share of failures means something.
pub const FEWEST: u32 = 20;

/// How long a minute of [`Recent`] is, in milliseconds.
pub const SPAN_MS: u64 = 60_000;

/// Probes are no further apart, before jitter, in milliseconds.
pub const PROBE_CAP_MS: u64 = 30_000;

/// The same where what is wrong is a certificate: somebody has to see to it.
pub const TLS_PROBE_CAP_MS: u64 = 300_000;

/// Where credentials are refused, the first try is so long after, then twice as long, up to an hour; in
/// milliseconds.
pub const HELD_MS: u64 = 300_000;

/// The longest of those waits, in milliseconds.
pub const LONGEST_HELD_MS: u64 = 3_600_000;

/// How much longer than a request may take a probe may, before it counts as lost: another can begin, because
/// the process that made it may have died. In milliseconds.
pub const LOST_AFTER_MS: u64 = 60_000;

/// A try of an endpoint that is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// When it is due; where it is under way, since when.
    pub at: u64,
    /// How many were there before it; saturates.
    pub number: u32,
    /// Whether it is there because the credentials were refused.
    pub is_held: bool,
}

/// Whether an endpoint is thought to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// It works.
    #[default]
    Closed,
    /// It failed; the next probe is due then.
    Open(Probe),
    /// A probe is under way.
    HalfOpen(Probe),
    /// It does not accept the credentials.
    Held(Probe),
    /// It said that it is gone.
    Gone,
}

impl Breaker {
    /// The probe that is under way, if an attempt that began then is it.
    #[must_use]
    pub fn probe(self, began: u64) -> Option<Probe> {
        match self {
            Self::HalfOpen(probe) if began >= probe.at => Some(probe),
            _ => None,
        }
    }

    /// Moves its instants into the past.
    pub(crate) fn shift(&mut self, by: u64) {
        if let Self::Open(probe) | Self::HalfOpen(probe) | Self::Held(probe) = self {
            probe.at = probe.at.saturating_sub(by);
        }
    }
}

/// How attempts went of late: in the present minute and in the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// When the present minute began.
    pub since: u64,
    /// Deliveries taken in it; saturates, like all of these.
    pub successes: u32,
    /// Attempts that failed in it, for want of the endpoint.
    pub failures: u32,
    /// The same in the minute before.
    pub successes_before: u32,
    /// Likewise.
    pub failures_before: u32,
}

impl Recent {
    /// Counts one more.
    #[must_use]
    pub fn with(self, now: u64, is_success: bool) -> Self {
        let mut recent = self.at(now);
        let count = if is_success { &mut recent.successes } else { &mut recent.failures };
        *count = count.saturating_add(1);
        recent
    }

    /// Whether so many fail that the endpoint cannot be said to work.
    #[must_use]
    pub fn is_bad(self) -> bool {
        let failures = self.failures.saturating_add(self.failures_before);
        let successes = self.successes.saturating_add(self.successes_before);
        failures.saturating_add(successes) >= FEWEST && failures >= successes
    }

    fn at(self, now: u64) -> Self {
        match now.saturating_sub(self.since) / SPAN_MS {
            0 => self,
            // By a whole minute, so that the minutes stay where they are.
            1 => Self {
                since: self.since.saturating_add(SPAN_MS),
                successes: 0,
                failures: 0,
                successes_before: self.successes,
                failures_before: self.failures,
            },
            _ => Self { since: now, ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn after(steps: &[(u64, bool)]) -> Recent {
        steps.iter().fold(Recent::default(), |recent, (at, ok)| recent.with(NOW + at, *ok))
    }

    #[test]
    fn half_of_enough_is_bad() {
        let alternating = |n: u64| (0..n).map(|n| (n * 100, n % 2 == 0)).collect::<Vec<_>>();
        assert!(!after(&alternating(19)).is_bad());
        assert!(after(&alternating(20)).is_bad());
        let one_in_three = (0..60).map(|n| (n * 100, n % 3 != 0)).collect::<Vec<_>>();
        assert!(!after(&one_in_three).is_bad());
    }

    #[test]
    fn what_is_two_minutes_ago_is_forgotten() {
        let failures = (0..30).map(|n| (n, false)).collect::<Vec<_>>();
        let recent = after(&failures);
        assert!(recent.with(NOW + SPAN_MS, true).is_bad());
        assert!(!recent.with(NOW + 2 * SPAN_MS, true).is_bad());
    }

    #[test]
    fn only_what_began_since_is_the_probe() {
        let probe = Probe { at: NOW, number: 3, is_held: false };
        assert_eq!(Breaker::HalfOpen(probe).probe(NOW), Some(probe));
        assert_eq!(Breaker::HalfOpen(probe).probe(NOW - 1), None);
        assert_eq!(Breaker::Open(probe).probe(NOW), None);
    }

    proptest! {
        #[test]
        fn it_counts_for_any_clock(steps in prop::collection::vec((any::<u64>(), any::<bool>()), 0..50)) {
            let mut recent = Recent::default();
            for (now, ok) in steps {
                recent = recent.with(now, ok);
                prop_assert!(recent.successes + recent.failures >= 1);
            }
        }
    }
}
