//! The verdict: what an outcome means for the delivery and for the endpoint.
//!
//! Knows the schedule and the limits; refuses to know what was sent, or by which provider. The same
//! arguments always give the same judgement.

use crate::backoff::Policy;
use crate::notification::Level;
use crate::outcome::{Class, Outcome};
use crate::retry_after;

/// What the retry policy remembers of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// No attempt before this instant, in milliseconds since the Unix epoch.
    pub not_before: u64,
    /// Failures since the last success; saturates.
    pub consecutive_failures: u32,
    /// When it last took a delivery.
    pub last_success: Option<u64>,
}

/// One try of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// 0 for the first, then 1 for the first retry.
    pub number: u32,
    /// When the first attempt of this delivery began.
    pub first_tried: u64,
    /// The notification's level.
    pub level: Level,
}

/// What happens to the delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived.
    Delivered,
    /// Another attempt, not before this instant.
    Retry(u64),
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
    /// What to remember of the endpoint from now on.
    pub endpoint: Endpoint,
}

/// Whether an endpoint may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Send,
    /// Not before this instant, which is later than now.
    Wait(u64),
}

/// Decides whether an endpoint may be tried now.
#[must_use]
pub fn admit(endpoint: &Endpoint, now: u64) -> Admission {
    if endpoint.not_before > now { Admission::Wait(endpoint.not_before) } else { Admission::Send }
}

/// Decides what an outcome of a class means.
#[must_use]
pub fn judge(
    policy: &Policy,
    attempt: &Attempt,
    class: Class,
    outcome: &Outcome,
    endpoint: &Endpoint,
    now: u64,
    entropy: u64,
) -> Judgement {
    let detail = outcome.describe();
    if class == Class::Delivered {
        let endpoint = Endpoint { consecutive_failures: 0, last_success: Some(now), ..*endpoint };
        return Judgement { verdict: Verdict::Delivered, class, detail, endpoint };
    }
    let hint = match outcome {
        Outcome::Reply(reply) if class.may_pass() => retry_after::hint(reply),
        _ => None,
    };
    let endpoint = Endpoint {
        // The receiver's word is about itself, not about one message: nothing is sent there before.
        not_before: endpoint.not_before.max(hint.map_or(0, |wait| now.saturating_add(wait))),
        consecutive_failures: endpoint.consecutive_failures.saturating_add(1),
        last_success: endpoint.last_success,
    };
    let limit = *policy.limits.get(attempt.level);
    let verdict = if !class.may_pass() {
        Verdict::Dead(refusal(class).to_owned())
    } else if attempt.number >= limit {
        Verdict::Dead(format!(
            "gave up after {}, the limit at level {}",
            retries(limit),
            attempt.level.name()
        ))
    } else {
        let wait = policy.delay(attempt.number, entropy).max(hint.unwrap_or(0));
        Verdict::Retry(now.saturating_add(wait))
    };
    Judgement { verdict, class, detail, endpoint }
}

/// Why an outcome that will not pass ends a delivery.
fn refusal(class: Class) -> &'static str {
    match class {
        Class::Credentials => "the receiver does not accept the credentials",
        Class::Gone => "the receiver says that this address is gone",
        _ => "the receiver will not take this request",
    }
}

fn retries(count: u32) -> String {
    match count {
        0 => "no retries".to_owned(),
        1 => "1 retry".to_owned(),
        many => format!("{many} retries"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::{Reply, Transport};

    const NOW: u64 = 1_700_000_000_000;

    fn status(status: u16, headers: &[(&str, &str)]) -> Outcome {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Outcome::Reply(Reply { status, headers, body: vec![] })
    }

    fn judged(level: Level, number: u32, outcome: &Outcome) -> Judgement {
        let class = match outcome {
            Outcome::Reply(reply) => Class::of_status(reply.status),
            Outcome::Failed(transport) => Class::of_transport(*transport),
        };
        let attempt = Attempt { number, first_tried: NOW, level };
        judge(&Policy::default(), &attempt, class, outcome, &Endpoint::default(), NOW, 7)
    }

    #[test]
    fn a_success_is_delivered_and_remembered() {
        let judgement = judged(Level::Warn, 1, &status(204, &[]));
        assert_eq!(judgement.verdict, Verdict::Delivered);
        assert_eq!(judgement.endpoint.last_success, Some(NOW));
        assert_eq!(judgement.endpoint.consecutive_failures, 0);
    }

    #[test]
    fn each_level_has_its_number_of_retries() {
        for (level, limit) in
            [(Level::Debug, 0), (Level::Info, 1), (Level::Warn, 2), (Level::Error, 3), (Level::Fatal, 10)]
        {
            for number in 0..12 {
                let verdict = judged(level, number, &status(503, &[])).verdict;
                assert_eq!(matches!(verdict, Verdict::Retry(_)), number < limit, "{level:?} {number}");
            }
        }
    }

    #[test]
    fn what_will_not_pass_is_dead_at_once() {
        for outcome in
            [status(400, &[]), status(404, &[]), status(301, &[]), Outcome::Failed(Transport::Blocked)]
        {
            assert!(matches!(judged(Level::Fatal, 0, &outcome).verdict, Verdict::Dead(_)), "{outcome:?}");
        }
    }

    #[test]
    fn the_reason_of_death_says_why() {
        let reason = |level, code| match judged(level, 9, &status(code, &[])).verdict {
            Verdict::Dead(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(Level::Info, 503), "gave up after 1 retry, the limit at level info");
        assert_eq!(reason(Level::Info, 401), "the receiver does not accept the credentials");
    }

    #[test]
    fn retry_after_moves_the_message_and_the_endpoint() {
        let judgement = judged(Level::Error, 0, &status(429, &[("retry-after", "120")]));
        assert_eq!(judgement.verdict, Verdict::Retry(NOW + 120_000));
        assert_eq!(judgement.class, Class::Throttled);
        assert_eq!(admit(&judgement.endpoint, NOW), Admission::Wait(NOW + 120_000));
        assert_eq!(admit(&judgement.endpoint, NOW + 120_000), Admission::Send);
    }

    #[test]
    fn a_short_retry_after_does_not_shorten_the_schedule() {
        let Verdict::Retry(at) = judged(Level::Error, 2, &status(503, &[("Retry-After", "0")])).verdict
        else {
            panic!("not retried")
        };
        assert!(at >= NOW + 3_600);
    }

    proptest! {
        #[test]
        fn a_retry_is_never_now_and_the_endpoint_never_forgets(number: u32, code: u16, entropy: u64, now: u64,
            not_before: u64, retry_after in "[0-9]{0,12}") {
            let attempt = Attempt { number, first_tried: 0, level: Level::Fatal };
            let endpoint = Endpoint { not_before, consecutive_failures: u32::MAX, last_success: None };
            let outcome = status(code, &[("retry-after", &retry_after)]);
            let judgement =
                judge(&Policy::default(), &attempt, Class::of_status(code), &outcome, &endpoint, now, entropy);
            if let Verdict::Retry(at) = judgement.verdict {
                prop_assert!(at > now || now == u64::MAX);
            }
            prop_assert!(judgement.endpoint.not_before >= not_before);
            if let Admission::Wait(at) = admit(&judgement.endpoint, now) {
                prop_assert!(at > now);
            }
        }
    }
}
