//! How fast an endpoint is sent to.
//!
//! Two things slow an endpoint down. After it was down, what waited goes out at a multiple of the rate at
//! which deliveries come, so that a backlog does not knock it over again. And where it says "slow down"
//! (429), the interval is learned at which it takes deliveries, and carefully shortened again: the additive
//! step and the fall back are those of congestion control (AIMD, RFC 5681), with the rate that was seen in
//! place of a guess.
//!
//! Intervals are in microseconds, because a fast endpoint takes several deliveries in a millisecond.

/// How long each of the two spans of [`Arrivals`] is, in milliseconds.
pub const SPAN_MS: u64 = 300_000;

/// Less than this is no span to measure a rate by, in milliseconds.
const SHORTEST_SPAN_MS: u64 = 60_000;

/// A backlog goes out at so many thousandths of the rate of arrivals. What comes meanwhile takes 1000 of
/// them, so that a backlog of 30 minutes is gone in 12.
const DRAIN_MILLI: u64 = 3_500;

/// A backlog goes out at least so fast, in thousandths of a delivery a second.
const SLOWEST_DRAIN_MILLI: u64 = 1_000;

/// A delivery that has waited for less, in milliseconds, is no backlog.
const FRESH_MS: u64 = 2_000;

/// Who was let go late may catch up by so much, in microseconds: clocks tick in milliseconds.
const CATCH_UP_US: u64 = 20_000;

/// No endpoint is sent to more slowly for what it taught, in microseconds: once in five minutes.
const SLOWEST_US: u64 = 300_000_000;

/// Without a pause: no gap is longer, in milliseconds, or longer than three learned intervals.
const LONGEST_GAP_MS: u64 = 10_000;

/// A run of so many deliveries measures an interval well.
const LONG_RUN: u64 = 20;

/// What was learned is trusted for so long, in milliseconds; after that the interval shrinks fast.
const TRUSTED_MS: u64 = 600_000;

/// How many deliveries were queued of late, by the instants at which they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// When the present span began.
    pub since: u64,
    /// When the latest was queued.
    pub latest: u64,
    /// How many were in the present span; saturates.
    pub count: u32,
    /// How many were in the one before.
    pub count_before: u32,
}

impl Arrivals {
    /// Counts one more. Deliveries come in the order in which they were queued, or nearly.
    #[must_use]
    pub fn with(self, queued_at: u64) -> Self {
        let mut arrivals = match queued_at.saturating_sub(self.since) / SPAN_MS {
            0 => self,
            1 => {
                Self { since: self.since.saturating_add(SPAN_MS), count: 0, count_before: self.count, ..self }
            }
            _ => Self { since: queued_at, ..Self::default() },
        };
        arrivals.latest = arrivals.latest.max(queued_at);
        arrivals.count = arrivals.count.saturating_add(1);
        arrivals
    }

    /// How many come, in thousandths a second.
    #[must_use]
    pub fn per_second_milli(self) -> u64 {
        let passed = self.latest.saturating_sub(self.since);
        let (count, span) = match self.count_before {
            0 => (self.count, passed.max(SHORTEST_SPAN_MS)),
            before => (self.count.saturating_add(before), passed.saturating_add(SPAN_MS)),
        };
        u64::from(count).saturating_mul(1_000_000) / span
    }
}

/// How fast an endpoint takes deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Whether what waited while the endpoint was down is being sent.
    pub is_draining: bool,
    /// No attempt before this instant, in microseconds since the Unix epoch.
    pub next_us: u64,
    /// The interval that its answers taught, in microseconds; 0 where they taught none.
    pub interval_us: u64,
    /// Since when deliveries go there without a pause, in milliseconds.
    pub since: u64,
    /// How many it took since then; saturates.
    pub successes: u32,
    /// When it last said "slow down", in milliseconds.
    pub throttled: u64,
    /// How often it has said so since it last took a delivery; saturates.
    pub in_a_row: u32,
}

impl Pace {
    /// When the next attempt may begin, in milliseconds; at most `now` where it may at once.
    #[must_use]
    pub fn next(self, arrivals: Arrivals) -> u64 {
        if self.interval(arrivals) == 0 { 0 } else { self.next_us.div_ceil(1_000) }
    }

    /// An attempt begins, of a delivery that was queued then.
    #[must_use]
    pub fn begin(mut self, arrivals: Arrivals, queued_at: Option<u64>, now: u64) -> Self {
        if queued_at.is_some_and(|queued_at| now.saturating_sub(queued_at) < FRESH_MS) {
            self.is_draining = false;
        }
        let now_us = now.saturating_mul(1_000);
        let gap = now_us.saturating_sub(self.next_us) / 1_000;
        if gap > LONGEST_GAP_MS.max(self.interval_us.saturating_mul(3) / 1_000) {
            (self.since, self.successes) = (now, 0);
        }
        let begun = self.next_us.max(now_us.saturating_sub(CATCH_UP_US));
        self.next_us = match self.interval(arrivals) {
            0 => now_us,
            interval => begun.saturating_add(interval),
        };
        self
    }

    /// It works again: what waited goes out from now on, the first of it in its turn.
    #[must_use]
    pub fn drain(mut self, arrivals: Arrivals, now: u64) -> Self {
        self.is_draining = true;
        let from = now.saturating_mul(1_000).saturating_add(self.interval(arrivals));
        self.next_us = self.next_us.max(from);
        self
    }

    /// It took a delivery.
    #[must_use]
    pub fn succeed(mut self, now: u64) -> Self {
        self.successes = self.successes.saturating_add(1);
        self.in_a_row = 0;
        // What was long ago says little; half of it is left out.
        let run = now.saturating_sub(self.since);
        if run > TRUSTED_MS {
            (self.since, self.successes) = (self.since.saturating_add(run / 2), self.successes / 2);
        }
        let is_trusted = now.saturating_sub(self.throttled) < TRUSTED_MS;
        let step = self.interval_us >> if is_trusted { 12 } else { 6 };
        self.interval_us = self.interval_us.saturating_sub(step.max(1));
        if self.interval_us < 1_000 {
            self.interval_us = 0;
        }
        self
    }

    /// It said "slow down", to an attempt that began then; it takes nothing before `until`.
    #[must_use]
    pub fn throttle(mut self, began: u64, now: u64, until: u64) -> Self {
        // Those that were under way together hear it together; it is said once.
        if began < self.throttled {
            return self;
        }
        let period = until.max(now).saturating_sub(self.since);
        let known = self.interval_us;
        let learned = match u64::from(self.successes) {
            0 => known.saturating_mul(2),
            // Two in a hundred more, so that the last one of a period is not one too many.
            successes => match period.saturating_mul(1_020) / successes {
                // A short run measures badly what is known better; a longer one will tell.
                measured if successes < LONG_RUN && (known..known.saturating_mul(2)).contains(&measured) => {
                    measured.min(known.saturating_add(known / 20))
                }
                measured => measured,
            },
        };
        self.interval_us = learned.min(SLOWEST_US);
        (self.since, self.successes) = (until.max(now), 0);
        self.throttled = now;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self
    }

    fn interval(self, arrivals: Arrivals) -> u64 {
        if !self.is_draining {
            return self.interval_us;
        }
        let rate = arrivals.per_second_milli().saturating_mul(DRAIN_MILLI) / 1_000;
        self.interval_us.max(1_000_000_000 / rate.max(SLOWEST_DRAIN_MILLI))
    }

    /// No wait is longer than the slowest pace.
    pub(crate) fn bound(&mut self, now: u64) {
        self.interval_us = self.interval_us.min(SLOWEST_US);
        self.next_us = self.next_us.min(now.saturating_mul(1_000).saturating_add(SLOWEST_US));
    }

    /// Moves its instants into the past.
    pub(crate) fn shift(&mut self, by: u64) {
        self.next_us = self.next_us.saturating_sub(by.saturating_mul(1_000));
        self.since = self.since.saturating_sub(by);
        self.throttled = self.throttled.saturating_sub(by);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    /// Arrivals so many milliseconds apart.
    fn every(gap: u64, count: u64) -> Arrivals {
        (0..count).fold(Arrivals::default(), |arrivals, n| arrivals.with(NOW + n * gap))
    }

    #[test]
    fn the_rate_of_arrivals_is_measured() {
        for (gap, count, least, most) in
            [(200, 3_000, 4_990, 5_010), (2_000, 400, 498, 502), (50_000, 50, 19, 24), (1, 10, 166, 167)]
        {
            let rate = every(gap, count).per_second_milli();
            assert!((least..=most).contains(&rate), "every {gap} ms: {rate}");
        }
        let burst = every(0, 1_000).per_second_milli();
        assert!(burst < 17_000, "a burst is no rate: {burst}");
    }

    #[test]
    fn a_backlog_drains_at_a_multiple_of_what_comes_or_one_a_second() {
        for (arrivals, interval) in [(every(200, 3_000), 57), (every(50_000, 50), 1_000)] {
            let mut pace = Pace { is_draining: true, ..Pace::default() };
            let mut begun = Vec::new();
            for now in NOW..NOW + 20_000 {
                if pace.next(arrivals) <= now {
                    pace = pace.begin(arrivals, None, now);
                    begun.push(now);
                }
            }
            let gaps = (begun.last().unwrap() - begun[1]) / (begun.len() as u64 - 2);
            assert!(gaps.abs_diff(interval) <= 1, "{gaps} instead of {interval}");
        }
    }

    #[test]
    fn what_comes_fresh_ends_the_drain() {
        let pace = Pace { is_draining: true, ..Pace::default() };
        assert!(pace.begin(Arrivals::default(), Some(NOW - 5_000), NOW).is_draining);
        assert!(!pace.begin(Arrivals::default(), Some(NOW - 500), NOW).is_draining);
    }

    #[test]
    fn twenty_a_minute_are_learned_from_one_reply() {
        let mut pace = Pace::default();
        for n in 0..20 {
            pace = pace.begin(Arrivals::default(), None, NOW + n).succeed(NOW + n);
        }
        pace = pace.throttle(NOW + 20, NOW + 21, NOW + 60_000);
        assert!((3_000_000..3_100_000).contains(&pace.interval_us), "{}", pace.interval_us);
        // Those that were under way with it teach nothing more.
        assert_eq!(pace.throttle(NOW + 20, NOW + 22, NOW + 61_000).interval_us, pace.interval_us);
        assert_eq!(pace.in_a_row, 1);
    }

    #[test]
    fn a_short_run_corrects_what_is_known_and_a_bad_guess_is_thrown_away() {
        let throttled = |known, successes, period| {
            let pace =
                Pace { interval_us: known, since: NOW, successes, throttled: NOW - 1, ..Pace::default() };
            pace.throttle(NOW, NOW + period, NOW + period).interval_us
        };
        assert_eq!(throttled(3_000_000, 5, 18_000), 3_150_000);
        assert_eq!(throttled(3_000_000, 50, 180_000), 3_672_000);
        assert_eq!(throttled(160_000, 1, 3_000), 3_060_000);
        assert_eq!(throttled(3_000_000, 5, 10_000), 2_040_000);
        assert_eq!(throttled(3_000_000, 0, 10_000), 6_000_000);
    }

    #[test]
    fn what_was_learned_is_forgotten_when_it_no_longer_holds() {
        let mut pace = Pace { interval_us: 3_000_000, throttled: NOW, ..Pace::default() };
        let (mut now, mut count) = (NOW, 0);
        while pace.interval_us > 0 {
            pace = pace.begin(Arrivals::default(), None, now).succeed(now);
            now += pace.interval_us / 1_000;
            count += 1;
        }
        assert!(count < 2_000, "{count} deliveries");
    }

    proptest! {
        #[test]
        fn nothing_overflows_and_no_wait_is_endless(
            since: u64, interval_us: u64, throttled: u64, successes: u32, next_us: u64, is_draining: bool,
            began: u64, now: u64, until: u64, queued: Vec<u64>,
        ) {
            let in_a_row = successes;
            let pace = Pace { is_draining, next_us, interval_us, since, successes, throttled, in_a_row };
            let arrivals = queued.into_iter().fold(Arrivals::default(), Arrivals::with);
            let pace = pace.throttle(began, now, until).begin(arrivals, Some(since), now).succeed(now);
            let _ = pace.next(arrivals);
        }
    }
}
