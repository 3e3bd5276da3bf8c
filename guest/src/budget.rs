//! The retry budget of an endpoint: a token bucket in thousandths of a retry.
//!
//! A retry costs one token; a delivery that arrives at first earns a fifth of one, a retry that arrives the
//! one it cost and a fifth more; and one token trickles in every 30 s. So while an endpoint fails, retries are
//! at most the bucket and the trickle, whatever comes in; and while it works, they are at most what works.
//! In the manner of Finagle's `RetryBudget` and the AWS SDK's token bucket, except that here the endpoint
//! waits for the next token where those give up (see the README for what that changes).

/// How much fits, in thousandths of a retry.
pub const CAP_MILLI: u32 = 10_000;

/// What a retry costs.
pub const RETRY_MILLI: u32 = 1_000;

/// What a first attempt earns that arrives.
pub const FIRST_SUCCESS_MILLI: u32 = 200;

/// What a retry earns that arrives.
pub const RETRY_SUCCESS_MILLI: u32 = 1_200;

/// In how many milliseconds a thousandth trickles in: a whole token in 30 s.
pub const TRICKLE_MS: u64 = 30;

/// What is spent of a budget, so that nothing is a full one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// How much is spent, in thousandths of a retry; at most [`CAP_MILLI`].
    pub spent_milli: u32,
    /// Up to when the trickle has gone in, in milliseconds.
    pub credited: u64,
}

impl Budget {
    /// The budget as it is at an instant. Time never runs backwards.
    #[must_use]
    pub fn at(self, now: u64) -> Self {
        let earned = now.saturating_sub(self.credited) / TRICKLE_MS;
        match u64::from(self.spent_milli.min(CAP_MILLI)).checked_sub(earned) {
            // The rest of the division goes on counting.
            Some(spent @ 1..) => Self {
                spent_milli: u32::try_from(spent).unwrap_or(CAP_MILLI),
                credited: self.credited.saturating_add(earned.saturating_mul(TRICKLE_MS)),
            },
            _ => Self { spent_milli: 0, credited: now.max(self.credited) },
        }
    }

    /// Pays for a retry.
    ///
    /// # Errors
    ///
    /// Where there is not enough: in how many milliseconds there will be, if nothing else is spent or earned;
    /// at least 1.
    pub fn pay(self, now: u64) -> Result<Self, u64> {
        let budget = self.at(now);
        let spent_milli = budget.spent_milli.saturating_add(RETRY_MILLI);
        let missing = u64::from(spent_milli.saturating_sub(CAP_MILLI));
        if missing == 0 {
            return Ok(Self { spent_milli, ..budget });
        }
        let passed = now.saturating_sub(budget.credited);
        Err(missing.saturating_mul(TRICKLE_MS).saturating_sub(passed).max(1))
    }

    /// Takes in what a success earns.
    #[must_use]
    pub fn earn(self, now: u64, is_retry: bool) -> Self {
        let budget = self.at(now);
        let earned = if is_retry { RETRY_SUCCESS_MILLI } else { FIRST_SUCCESS_MILLI };
        Self { spent_milli: budget.spent_milli.saturating_sub(earned), ..budget }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn empty() -> Budget {
        Budget { spent_milli: CAP_MILLI, credited: NOW }
    }

    #[test]
    fn a_full_budget_pays_ten_retries_and_then_one_every_thirty_seconds() {
        let (mut budget, mut now, mut paid) = (Budget::default(), NOW, Vec::new());
        while paid.len() < 15 {
            match budget.pay(now) {
                Ok(after) => {
                    budget = after;
                    paid.push((now - NOW) / 1_000);
                }
                Err(wait) => now += wait,
            }
        }
        assert_eq!(paid, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 60, 90, 120, 150]);
    }

    #[test]
    fn successes_earn_what_they_are_worth() {
        assert_eq!(empty().earn(NOW, false).spent_milli, 9_800);
        assert_eq!(empty().earn(NOW, true).spent_milli, 8_800);
        assert_eq!(Budget::default().earn(NOW, true), Budget { spent_milli: 0, credited: NOW });
    }

    #[test]
    fn what_is_full_saves_nothing_up() {
        let full = Budget { spent_milli: 0, credited: NOW }.at(NOW + 3_600_000);
        assert_eq!(full.pay(NOW + 3_600_000).unwrap().at(NOW + 3_600_000).spent_milli, RETRY_MILLI);
    }

    #[test]
    fn looking_often_loses_nothing_of_the_trickle() {
        let mut budget = empty();
        for now in NOW..NOW + 30_000 {
            budget = budget.at(now);
        }
        assert_eq!(budget.at(NOW + 30_000), empty().at(NOW + 30_000));
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_for_any_interleaving_and_any_clock(
            spent_milli: u32, credited: u64, steps in prop::collection::vec((any::<u64>(), 0_u8..4), 0..60),
        ) {
            let mut budget = Budget { spent_milli, credited };
            for (now, step) in steps {
                budget = match step {
                    0 => budget.pay(now).unwrap_or(budget),
                    1 => budget.earn(now, false),
                    2 => budget.earn(now, true),
                    _ => budget.at(now),
                };
                prop_assert!(budget.at(now).spent_milli <= CAP_MILLI);
                if let Err(wait) = budget.pay(now) {
                    prop_assert!(wait >= 1 && wait <= u64::from(RETRY_MILLI) * TRICKLE_MS);
                }
            }
        }

        #[test]
        fn who_waits_as_told_is_paid(spent_milli in 0..=CAP_MILLI, at in 0_u64..1 << 50, later in 0_u64..100_000) {
            let budget = Budget { spent_milli, credited: at };
            if let Err(wait) = budget.pay(at + later) {
                prop_assert!(budget.pay(at + later + wait).is_ok());
                prop_assert!(wait == 1 || budget.pay(at + later + wait - 1).is_err());
            }
        }
    }
}
