//! What an endpoint does, in words for a report.

use std::time::Duration;

use super::scenario::{Arrivals, Behaviour, Burst, Fault, LimitKind, Plan, RateLimit, Spacing};

/// What comes for a target and what its endpoint does, in one line.
pub(super) fn plan(plan: &Plan) -> String {
    let mut parts = Vec::new();
    parts.extend(plan.arrivals.map(arrivals));
    match plan.bursts.as_slice() {
        [] => {}
        [Burst { at, count }] => parts.push(format!("{count} at once after {}", length(*at))),
        many => parts.push(format!("{} bursts", many.len())),
    }
    let comes = if parts.is_empty() { "Nothing comes".to_owned() } else { parts.join(", ") };
    format!("{comes}. {}", behaviour(&plan.behaviour))
}

fn arrivals(Arrivals { number, per, spacing }: Arrivals) -> String {
    let unit = match per {
        1_000 => "a second",
        60_000 => "a minute",
        _ => "an hour",
    };
    let how = if spacing == Spacing::Even { "evenly spaced" } else { "at random" };
    format!("{number} {unit}, {how}")
}

fn behaviour(behaviour: &Behaviour) -> String {
    let Behaviour { fastest, slowest, failures, poison, rate_limit, .. } = behaviour;
    let mut text = if fastest == slowest {
        format!("It answers in {}", length(*fastest))
    } else {
        format!("It answers in {} to {}", length(*fastest), length(*slowest))
    };
    if *failures > 0.0 {
        text += &format!("; {} % of requests get a 500", percent(*failures));
    }
    if *poison > 0.0 {
        text += &format!("; {} % of notifications always get a 500", percent(*poison));
    }
    if let Some(RateLimit { requests, per, kind, retry_after }) = rate_limit {
        let counted = match kind {
            LimitKind::Fixed => "counted in fixed windows",
            LimitKind::Sliding => "counted in a sliding window",
            LimitKind::Bucket => "counted as a token bucket",
        };
        let says = if *retry_after { "with Retry-After" } else { "without Retry-After" };
        text += &format!("; it takes {requests} requests in {}, {counted}, then 429 {says}", length(*per));
    }
    text + "."
}

/// What an outage is like.
pub(super) fn fault(fault: Fault) -> String {
    match fault {
        Fault::Refused => "connections refused".to_owned(),
        Fault::Unreachable => "no connection in time".to_owned(),
        Fault::Timeout => "no reply in time".to_owned(),
        Fault::Reset => "connections broken off".to_owned(),
        Fault::Status(status) => format!("answers {status}"),
    }
}

fn length(ms: u64) -> String {
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

fn percent(share: f64) -> f64 {
    (share * 10_000.0).round() / 100.0
}
