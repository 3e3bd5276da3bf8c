//! When the next attempt is: exponential backoff with jitter.
//!
//! Integers only, saturating, with entropy as an argument: the same on every machine.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The schedule: the delay before retry n (n = 0, 1, …) is `min(interval * multiplier^n, max_delay)`, with
/// jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay, in milliseconds; at least 1.
    pub interval: u64,
    /// By how much each delay is longer than the one before, in thousandths; at least 1000.
    pub multiplier_milli: u32,
    /// No delay is longer, before jitter, in milliseconds; at least `interval`.
    pub max_delay: u64,
    /// How delays are spread.
    pub jitter: Jitter,
}

/// How delays are spread, so that what failed together does not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Uniformly in a band around the delay, so many thousandths of it wide, at most 1000: 200 is 10 % to
    /// either side. Also at first and at the cap, where others lose theirs.
    Proportional(u32),
    /// Uniformly from a floor, a tenth of the delay but at most 30 s, to the delay ("full jitter", which
    /// spreads best: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>; the floor
    /// keeps a retry after a long step from being at once).
    Full,
}

/// The floor of full jitter is no higher, in milliseconds.
const HIGHEST_FLOOR: u64 = 30_000;

impl Default for Backoff {
    fn default() -> Self {
        Self {
            interval: 1_000,
            multiplier_milli: 2_000,
            max_delay: 300_000,
            jitter: Jitter::Proportional(200),
        }
    }
}

impl Backoff {
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

    /// The delay before retry `n`, in milliseconds, with jitter; never 0.
    #[must_use]
    pub fn delay(&self, n: u32, entropy: u64) -> u64 {
        self.delay_within(n, u64::MAX, entropy)
    }

    /// As [`Backoff::delay`], but no longer than a cap of its own before jitter.
    #[must_use]
    pub fn delay_within(&self, n: u32, cap: u64, entropy: u64) -> u64 {
        let base = self.base(n).min(cap);
        let (least, most) = match self.jitter {
            Jitter::Proportional(milli) => {
                let band = share(base, milli);
                let least = base.saturating_sub(band.div_ceil(2));
                (least, least.saturating_add(band))
            }
            Jitter::Full => ((base / 10).min(HIGHEST_FLOOR), base),
        };
        draw(least, most, entropy).max(1)
    }
}

/// A number from a range, drawn by entropy.
#[must_use]
pub fn draw(least: u64, most: u64, entropy: u64) -> u64 {
    ChaCha8Rng::seed_from_u64(entropy).random_range(least..=most.max(least))
}

/// So many thousandths of a number; at most all of it.
#[must_use]
pub fn share(number: u64, milli: u32) -> u64 {
    let share = u128::from(number).saturating_mul(u128::from(milli.min(1_000))) / 1_000;
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_schedule_is_the_documented_one() {
        let backoff = Backoff::default();
        let seconds: Vec<u64> = (0..11).map(|n| backoff.base(n) / 1_000).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff.base(u32::MAX), 300_000);
    }

    #[test]
    fn jitter_is_ten_percent_to_either_side_also_at_first_and_at_the_cap() {
        let backoff = Backoff::default();
        for n in [0, 20] {
            let delays: Vec<u64> = (0..2_000).map(|entropy| backoff.delay(n, entropy)).collect();
            let base = backoff.base(n);
            let (low, high) = (*delays.iter().min().unwrap(), *delays.iter().max().unwrap());
            assert!(low >= base * 9 / 10 && low < base * 91 / 100, "{low}");
            assert!(high <= base * 11 / 10 && high > base * 109 / 100, "{high}");
        }
    }

    #[test]
    fn full_jitter_goes_from_its_floor_to_the_delay() {
        let backoff = Backoff { jitter: Jitter::Full, max_delay: 7_200_000, ..Backoff::default() };
        for (n, floor) in [(0, 100), (5, 3_200), (13, 30_000)] {
            let delays: Vec<u64> = (0..4_000).map(|entropy| backoff.delay(n, entropy)).collect();
            let base = backoff.base(n);
            let (low, high) = (*delays.iter().min().unwrap(), *delays.iter().max().unwrap());
            assert!(low >= floor && low < floor + base / 100, "{low}");
            assert!(high <= base && high > base * 99 / 100, "{high}");
        }
    }

    prop_compose! {
        fn backoffs()(interval in 1_u64.., multiplier_milli in 1_000_u32..=100_000, max in any::<u64>(),
            jitter in prop_oneof![(0_u32..=1_000).prop_map(Jitter::Proportional), Just(Jitter::Full)]) -> Backoff {
            Backoff { interval, multiplier_milli, max_delay: max.max(interval), jitter }
        }
    }

    proptest! {
        #[test]
        fn a_delay_stays_in_its_band_for_every_input(backoff in backoffs(), n in 0_u32..5_000, cap: u64, entropy: u64) {
            let base = u128::from(backoff.base(n).min(cap));
            let delay = u128::from(backoff.delay_within(n, cap, entropy));
            let (least, most) = match backoff.jitter {
                Jitter::Proportional(milli) => {
                    let half = base * u128::from(milli) / 2_000 + 1;
                    (base.saturating_sub(half), base + half)
                }
                Jitter::Full => ((base / 10).min(30_000), base.max(1)),
            };
            prop_assert!(delay >= 1 && delay >= least && delay <= most, "{delay} around {base}");
            prop_assert!(base <= u128::from(backoff.max_delay));
        }

        #[test]
        fn delays_before_jitter_never_shrink(backoff in backoffs(), n in 0_u32..5_000) {
            prop_assert!(backoff.base(n) <= backoff.base(n + 1));
        }
    }
}
