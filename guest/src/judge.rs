//! The verdict: what an outcome means for the delivery and for the endpoint.
//!
//! Limits judge the message, the breaker judges the endpoint: a retry limit ends a delivery only if the
//! endpoint has taken something since the delivery was first tried. While the endpoint itself is down, its
//! deliveries wait, and no attempt counts.
//!
//! Knows the schedule and the limits; refuses to know what was sent, or by which provider. The same
//! arguments always give the same judgement.

use crate::backoff::{draw, share};
use crate::breaker::{
    Breaker, HELD_MS, IN_A_ROW, LONGEST_HELD_MS, PROBE_CAP_MS, Probe, Recent, TLS_PROBE_CAP_MS,
};
pub use crate::endpoint::{Admission, Attempt, Endpoint};
use crate::hint::Hint;
use crate::notification::Level;
use crate::outcome::{Class, Outcome, Transport};
use crate::policy::{Limit, Policy};

/// What happens to the delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived.
    Delivered,
    /// Another attempt, not before this instant.
    Retry(u64),
    /// Another attempt as soon as its endpoint may be tried; this one does not count.
    Park,
    /// Given up, for this reason.
    Dead(String),
}

/// The verdict on one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What happens to the delivery.
    pub verdict: Verdict,
    /// What the outcome meant.
    pub class: Class,
    /// The outcome in words for people.
    pub detail: String,
    /// Whether the delivery is plain text from now on, because the receiver refuses its markup.
    pub is_plain: bool,
    /// What to remember of the endpoint from now on.
    pub endpoint: Endpoint,
}

/// An outcome, as the target's provider understands it.
#[derive(Clone, Copy, Debug)]
pub struct Understood<'a> {
    /// The outcome itself.
    pub outcome: &'a Outcome,
    /// What it means.
    pub class: Class,
    /// When the receiver wants to be asked again.
    pub hint: Hint,
    /// Whether the service knows a delivery that it has seen before.
    pub knows_repeats: bool,
    /// Whether the receiver refuses nothing but the markup.
    pub refuses_markup: bool,
}

/// After a receiver's word comes so much more, drawn at random, in thousandths of it: those who were told
/// the same must not come back together.
const AFTER_HINT_MILLI: u32 = 100;

/// That is at most so much, in milliseconds.
const MOST_AFTER_HINT_MS: u64 = 5_000;

/// Something that is not found is tried again so often, in case it is being put there just now.
const NOT_FOUND_RETRIES: u32 = 2;

/// Decides what an outcome means.
#[must_use]
pub fn judge(
    policy: &Policy,
    attempt: &Attempt,
    understood: &Understood<'_>,
    endpoint: Endpoint,
    now: u64,
    entropy: u64,
) -> Judgement {
    let Understood { outcome, class, hint, .. } = *understood;
    let mut judge = Judge { policy, attempt, endpoint: endpoint.at(now), now, entropy };
    let hint = judge.heed(hint);
    let becomes_plain = class == Class::Permanent && understood.refuses_markup && !attempt.is_plain;
    let verdict = match class {
        Class::Permanent if becomes_plain => judge.plain(),
        Class::Delivered => judge.delivered(),
        Class::Transient => judge.failed(outcome, hint),
        Class::Ambiguous if policy.retry_ambiguous || understood.knows_repeats => judge.failed(outcome, hint),
        Class::Ambiguous => {
            judge.failed(outcome, hint);
            let reason = "it may have arrived, and `retry_ambiguous` is false";
            Verdict::Dead(reason.to_owned())
        }
        Class::Throttled => judge.throttled(hint),
        Class::Credentials => judge.held(),
        Class::Gone => judge.gone(),
        Class::Permanent => judge.refused(outcome),
    };
    let is_plain = attempt.is_plain || becomes_plain;
    Judgement { verdict, class, detail: outcome.describe(), is_plain, endpoint: judge.endpoint }
}

struct Judge<'a> {
    policy: &'a Policy,
    attempt: &'a Attempt,
    endpoint: Endpoint,
    now: u64,
    entropy: u64,
}

impl Judge<'_> {
    /// The receiver's word is about itself, not about one message: nothing is sent there before. Returns
    /// that instant.
    fn heed(&mut self, hint: Hint) -> Option<u64> {
        if hint.is_unreadable {
            self.endpoint.unreadable_hints = self.endpoint.unreadable_hints.saturating_add(1);
        }
        let wait = hint.wait?;
        let more = share(wait, AFTER_HINT_MILLI).min(MOST_AFTER_HINT_MS);
        let until = self.now.saturating_add(wait).saturating_add(draw(0, more, self.entropy.rotate_left(32)));
        self.endpoint.not_before = self.endpoint.not_before.max(until);
        Some(until)
    }

    fn delivered(&mut self) -> Verdict {
        let (endpoint, now) = (&mut self.endpoint, self.now);
        let was_paid = !self.attempt.is_first() || endpoint.breaker.probe(self.attempt.began).is_some();
        endpoint.budget = endpoint.budget.earn(now, was_paid);
        endpoint.recent = endpoint.recent.with(now, true);
        endpoint.pace = endpoint.pace.succeed(now);
        endpoint.last_success = endpoint.last_success.max(Some(self.attempt.began));
        self.close();
        Verdict::Delivered
    }

    /// The endpoint could not do its part.
    fn failed(&mut self, outcome: &Outcome, hint: Option<u64>) -> Verdict {
        let (attempt, now) = (self.attempt, self.now);
        let limit = self.policy.limits.get(attempt.level);
        let is_exhausted = !limit.allows(attempt.number);
        let works = self.works();
        let endpoint = &mut self.endpoint;
        endpoint.last_failure = Some(now);
        // One message that fails again and again says of the endpoint what it has said already.
        if attempt.is_first() || !is_exhausted {
            endpoint.consecutive_failures = endpoint.consecutive_failures.saturating_add(1);
            endpoint.recent = endpoint.recent.with(now, false);
        }
        let cap = match outcome {
            Outcome::Failed(Transport::Tls) => TLS_PROBE_CAP_MS,
            _ => PROBE_CAP_MS,
        };
        match endpoint.breaker {
            Breaker::Closed => {
                if endpoint.consecutive_failures >= IN_A_ROW || endpoint.recent.is_bad() {
                    self.open(0, cap);
                }
            }
            breaker => {
                if let Some(Probe { number, is_held, .. }) = breaker.probe(attempt.began) {
                    self.open(if is_held { 0 } else { number.saturating_add(1) }, cap);
                }
            }
        }
        if self.policy.park && self.endpoint.breaker != Breaker::Closed {
            Verdict::Park
        } else if is_exhausted && (works || !self.policy.park) {
            Verdict::Dead(exhausted(limit, attempt.level))
        } else {
            // Where nothing shows whether it is the message or the endpoint, it is asked as a probe would.
            let most = if is_exhausted { cap } else { u64::MAX };
            let delay = self.policy.backoff.delay_within(attempt.number, most, self.entropy);
            Verdict::Retry(now.saturating_add(delay).max(hint.unwrap_or(0)))
        }
    }

    /// The endpoint works, but asks for less: the message has done nothing wrong.
    fn throttled(&mut self, hint: Option<u64>) -> Verdict {
        if !matches!(self.endpoint.breaker, Breaker::Held(_)) {
            self.close();
        }
        let (endpoint, now) = (&mut self.endpoint, self.now);
        endpoint.last_failure = Some(now);
        let again = endpoint.pace.in_a_row;
        let backoff = now.saturating_add(self.policy.backoff.delay(again, self.entropy));
        // Who says "at once" and then the same again is not believed.
        let until = match hint {
            Some(hint) if hint > now && again == 0 => hint,
            hint => hint.unwrap_or(0).max(backoff),
        };
        endpoint.pace = endpoint.pace.throttle(self.attempt.began, now, until);
        endpoint.not_before = endpoint.not_before.max(until);
        let limit = self.policy.limits.get(self.attempt.level);
        if self.policy.park {
            Verdict::Park
        } else if limit.allows(self.attempt.number) {
            Verdict::Retry(until)
        } else {
            Verdict::Dead(exhausted(limit, self.attempt.level))
        }
    }

    /// Somebody has to see to the credentials; until then all wait.
    fn held(&mut self) -> Verdict {
        const REASON: &str = "the receiver does not accept the credentials";
        self.endpoint.last_failure = Some(self.now);
        if !self.attempt.is_first() && self.works() {
            // It does accept them, from others: this message is refused for itself.
            self.close();
            return Verdict::Dead(REASON.to_owned());
        }
        let number = match self.endpoint.breaker {
            Breaker::Closed | Breaker::Open(_) => Some(0),
            breaker => breaker
                .probe(self.attempt.began)
                .map(|probe| if probe.is_held { probe.number.saturating_add(1) } else { 0 }),
        };
        if let Some(number) = number {
            let wait = HELD_MS.saturating_mul(1 << number.min(10)).min(LONGEST_HELD_MS);
            let at = self.now.saturating_add(wait);
            self.endpoint.breaker = Breaker::Held(Probe { at, number, is_held: true });
        }
        self.park(REASON)
    }

    /// Whether the endpoint has taken something that began after this delivery was first tried.
    fn works(&self) -> bool {
        self.endpoint.last_success.is_some_and(|at| at > self.attempt.first_tried)
    }

    fn gone(&mut self) -> Verdict {
        self.endpoint.last_failure = Some(self.now);
        self.endpoint.breaker = Breaker::Gone;
        self.park("the receiver says that this address is gone")
    }

    fn park(&self, reason: &str) -> Verdict {
        if self.policy.park { Verdict::Park } else { Verdict::Dead(reason.to_owned()) }
    }

    /// The receiver works, and takes the text without its markup perhaps: at once, and whatever the limits, since
    /// this happens to a delivery once.
    fn plain(&mut self) -> Verdict {
        if !matches!(self.endpoint.breaker, Breaker::Held(_)) {
            self.close();
        }
        Verdict::Retry(self.now)
    }

    /// The receiver will not take this message; whoever says that, works.
    fn refused(&mut self, outcome: &Outcome) -> Verdict {
        self.endpoint.last_failure = Some(self.now);
        match outcome {
            Outcome::Reply(reply) => {
                if !matches!(self.endpoint.breaker, Breaker::Held(_)) {
                    self.close();
                }
                let limit = self.policy.limits.get(self.attempt.level);
                let may_appear = reply.status == 404 && self.attempt.number < NOT_FOUND_RETRIES;
                if may_appear && limit.allows(self.attempt.number) {
                    let delay = self.policy.backoff.delay(self.attempt.number, self.entropy);
                    return Verdict::Retry(self.now.saturating_add(delay));
                }
            }
            Outcome::Failed(_) => {
                if let Some(Probe { number, .. }) = self.endpoint.breaker.probe(self.attempt.began) {
                    self.open(number, PROBE_CAP_MS);
                }
            }
        }
        Verdict::Dead("the receiver will not take this request".to_owned())
    }

    fn open(&mut self, number: u32, cap: u64) {
        let wait = self.policy.backoff.delay_within(number, cap, self.entropy);
        let at = self.now.saturating_add(wait);
        self.endpoint.breaker = Breaker::Open(Probe { at, number, is_held: false });
    }

    fn close(&mut self) {
        let endpoint = &mut self.endpoint;
        endpoint.consecutive_failures = 0;
        if !matches!(endpoint.breaker, Breaker::Closed | Breaker::Gone) {
            // What came before says nothing of what works again.
            (endpoint.breaker, endpoint.recent) = (Breaker::Closed, Recent::default());
            endpoint.pace = endpoint.pace.drain(endpoint.arrivals, self.now);
        }
    }
}

fn exhausted(limit: Limit, level: Level) -> String {
    format!("gave up after {limit}, the limit at level {}", level.name())
}

#[cfg(test)]
mod tests;
