//! What is remembered of an endpoint, and whether it may be tried now.
//!
//! Brings the three guards together: the receiver's own word and the [`breaker`](crate::breaker) come first,
//! then the [`pace`](crate::pace), then the [`budget`](crate::budget), which only a retry or a probe asks.
//! First attempts are never held up by the budget. It knows neither what was sent nor what became of it.

use crate::breaker::{Breaker, LONGEST_HELD_MS, LOST_AFTER_MS, Probe, Recent};
use crate::budget::Budget;
use crate::notification::Level;
use crate::pace::{Arrivals, Pace};
use crate::policy::Policy;

/// What the retry policy remembers of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// When it was last changed, in milliseconds since the Unix epoch, like all instants here.
    pub updated: u64,
    /// No attempt before this instant: the receiver's own word.
    pub not_before: u64,
    /// What is left of its retry budget.
    pub budget: Budget,
    /// Whether it is thought to work.
    pub breaker: Breaker,
    /// Failures since the last success, for want of the endpoint; saturates.
    pub consecutive_failures: u32,
    /// How attempts went of late.
    pub recent: Recent,
    /// How many deliveries come.
    pub arrivals: Arrivals,
    /// How fast they may go.
    pub pace: Pace,
    /// When the last attempt began with which it took something.
    pub last_success: Option<u64>,
    /// When an attempt last failed, whatever for.
    pub last_failure: Option<u64>,
    /// How often it said when to come back in a way that nobody can read; saturates.
    pub unreadable_hints: u32,
}

/// One try of a delivery, or of one of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// How many attempts counted before this one.
    pub number: u32,
    /// How many there were, counted or not; 0 for a first attempt.
    pub sent: u32,
    /// When the delivery was queued.
    pub queued_at: u64,
    /// When the first attempt of this delivery began.
    pub first_tried: u64,
    /// When this one began.
    pub began: u64,
    /// The notification's level.
    pub level: Level,
    /// Whether it is plain text, because the receiver refused the markup.
    pub is_plain: bool,
}

impl Attempt {
    /// Whether it is the first of its delivery.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.sent == 0
    }
}

/// Whether an endpoint may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes; what to remember of the endpoint from now on.
    Send(Endpoint),
    /// Nothing before this instant, which is later than now.
    Wait(u64),
    /// No retry before this instant, which is later than now; first attempts may go.
    Later(u64),
}

/// No receiver's word is heeded for longer, in milliseconds: the most that can be set, and what is added to it.
const LONGEST_HINT_MS: u64 = 24 * 60 * 60 * 1_000 + 5_000;

/// How long until somebody looks again at an endpoint that is gone, in milliseconds: a day.
const GONE_MS: u64 = 24 * 60 * 60 * 1_000;

impl Endpoint {
    /// What is remembered, as it is at an instant. Where the clock was set back since, everything is moved
    /// with it, so that nothing waits for longer than it was to wait.
    #[must_use]
    pub fn at(mut self, now: u64) -> Self {
        if let Some(by @ 1..) = self.updated.checked_sub(now) {
            let shift = |instant: &mut u64| *instant = instant.saturating_sub(by);
            shift(&mut self.not_before);
            shift(&mut self.budget.credited);
            shift(&mut self.recent.since);
            shift(&mut self.arrivals.since);
            shift(&mut self.arrivals.latest);
            self.last_success.as_mut().map(shift);
            self.last_failure.as_mut().map(shift);
            self.breaker.shift(by);
            self.pace.shift(by);
        }
        self.updated = now;
        self.budget = self.budget.at(now);
        self.bound(now);
        self
    }

    /// Whoever kept it may have broken it: nothing waits for longer than the policy ever says.
    fn bound(&mut self, now: u64) {
        let bound = |instant: &mut u64, most: u64| *instant = (*instant).min(now.saturating_add(most));
        bound(&mut self.not_before, LONGEST_HINT_MS);
        match &mut self.breaker {
            Breaker::Open(probe) | Breaker::Held(probe) => bound(&mut probe.at, LONGEST_HELD_MS),
            Breaker::HalfOpen(probe) => bound(&mut probe.at, 0),
            Breaker::Closed | Breaker::Gone => {}
        }
        self.pace.bound(now);
    }

    /// Decides whether an attempt may begin now; a request to this endpoint may take `timeout` milliseconds.
    #[must_use]
    pub fn admit(self, attempt: &Attempt, policy: &Policy, timeout: u64, now: u64) -> Admission {
        let mut endpoint = self.at(now);
        let probe = match endpoint.breaker {
            Breaker::Closed => None,
            // Where nothing waits for somebody to see to it, each finds out for itself.
            Breaker::Held(_) | Breaker::Gone if !policy.park => None,
            Breaker::Open(probe) | Breaker::Held(probe) => Some(probe),
            Breaker::HalfOpen(probe) => {
                let lost_at = probe.at.saturating_add(timeout).saturating_add(LOST_AFTER_MS);
                Some(Probe { at: lost_at, ..probe })
            }
            Breaker::Gone => Some(Probe { at: now.saturating_add(GONE_MS), ..Probe::default() }),
        };
        let from = probe.map_or(0, |probe| probe.at).max(endpoint.not_before);
        let from = from.max(endpoint.pace.next(endpoint.arrivals));
        if from > now {
            return Admission::Wait(from);
        }
        if probe.is_some() || !attempt.is_first() {
            match endpoint.budget.pay(now) {
                Ok(budget) => endpoint.budget = budget,
                Err(wait) if probe.is_some() => return Admission::Wait(now.saturating_add(wait)),
                Err(wait) => return Admission::Later(now.saturating_add(wait)),
            }
        }
        if let Some(probe) = probe {
            endpoint.breaker = Breaker::HalfOpen(Probe { at: now, ..probe });
        }
        if attempt.is_first() {
            endpoint.arrivals = endpoint.arrivals.with(attempt.queued_at.min(now));
        }
        let queued_at = Some(attempt.queued_at).filter(|_| attempt.is_first());
        endpoint.pace = endpoint.pace.begin(endpoint.arrivals, queued_at, now);
        Admission::Send(endpoint)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::budget::{CAP_MILLI, RETRY_MILLI};

    pub(crate) const NOW: u64 = 1_700_000_000_000;

    /// An attempt of a delivery that was queued just now.
    pub(crate) fn attempt(level: Level, number: u32, sent: u32) -> Attempt {
        Attempt { number, sent, queued_at: NOW, first_tried: NOW, began: NOW, level, is_plain: false }
    }

    fn first() -> Attempt {
        attempt(Level::Info, 0, 0)
    }

    fn admitted(admission: Admission) -> Endpoint {
        match admission {
            Admission::Send(endpoint) => endpoint,
            other => panic!("not admitted: {other:?}"),
        }
    }

    #[test]
    fn a_first_attempt_is_free_and_a_retry_is_paid() {
        let endpoint = admitted(Endpoint::default().admit(&first(), &Policy::default(), 0, NOW));
        assert_eq!(endpoint.budget.spent_milli, 0);
        let endpoint = admitted(endpoint.admit(&attempt(Level::Info, 1, 1), &Policy::default(), 0, NOW));
        assert_eq!(endpoint.budget.spent_milli, RETRY_MILLI);
    }

    #[test]
    fn where_the_budget_is_spent_retries_wait_and_first_attempts_go() {
        let budget = Budget { spent_milli: CAP_MILLI, credited: NOW };
        let endpoint = Endpoint { budget, updated: NOW, ..Endpoint::default() };
        let retry = attempt(Level::Info, 1, 1);
        assert_eq!(endpoint.admit(&retry, &Policy::default(), 0, NOW), Admission::Later(NOW + 30_000));
        admitted(endpoint.admit(&first(), &Policy::default(), 0, NOW));
    }

    #[test]
    fn while_it_is_open_one_probe_at_a_time_goes_and_is_paid() {
        let probe = Probe { at: NOW + 500, number: 2, is_held: false };
        let endpoint = Endpoint { breaker: Breaker::Open(probe), ..Endpoint::default() };
        assert_eq!(endpoint.admit(&first(), &Policy::default(), 10_000, NOW), Admission::Wait(NOW + 500));
        let endpoint = admitted(endpoint.admit(&first(), &Policy::default(), 10_000, NOW + 500));
        assert_eq!(endpoint.breaker, Breaker::HalfOpen(Probe { at: NOW + 500, number: 2, is_held: false }));
        assert_eq!(endpoint.budget.spent_milli, RETRY_MILLI);
        let lost_at = NOW + 500 + 10_000 + LOST_AFTER_MS;
        assert_eq!(endpoint.admit(&first(), &Policy::default(), 10_000, NOW + 501), Admission::Wait(lost_at));
        admitted(endpoint.admit(&first(), &Policy::default(), 10_000, lost_at));
        let budget = Budget { spent_milli: CAP_MILLI, credited: NOW + 501 };
        let poor = Endpoint { budget, breaker: Breaker::Open(probe), ..endpoint };
        assert_eq!(poor.admit(&first(), &Policy::default(), 0, NOW + 501), Admission::Wait(NOW + 30_501));
    }

    #[test]
    fn the_receivers_word_and_an_end_hold_everything_up() {
        let endpoint = Endpoint { not_before: NOW + 7, updated: NOW, ..Endpoint::default() };
        assert_eq!(endpoint.admit(&first(), &Policy::default(), 0, NOW), Admission::Wait(NOW + 7));
        let endpoint = Endpoint { breaker: Breaker::Gone, ..Endpoint::default() };
        assert_eq!(endpoint.admit(&first(), &Policy::default(), 0, NOW), Admission::Wait(NOW + GONE_MS));
    }

    #[test]
    fn a_clock_that_is_set_back_moves_everything_with_it() {
        let probe = Probe { at: NOW + 30_000, number: 9, is_held: false };
        let endpoint = Endpoint {
            updated: NOW,
            not_before: NOW + 10_000,
            breaker: Breaker::Open(probe),
            budget: Budget { spent_milli: CAP_MILLI, credited: NOW },
            ..Endpoint::default()
        };
        let back = NOW - 3_600_000;
        assert_eq!(endpoint.admit(&first(), &Policy::default(), 0, back), Admission::Wait(back + 30_000));
        assert_eq!(endpoint.at(back).not_before, back + 10_000);
        assert_eq!(endpoint.at(back).budget.spent_milli, CAP_MILLI);
    }
}
