//! From what happened to what it means: the numbers of a report.

use std::collections::BTreeMap;

use super::describe;
use super::play::{End, Fate, Look, Played, TargetPlayed};
use super::report::{Bin, Run, Span, TargetRun, Totals};
use super::scenario::{Outage, Plan, Scenario};

/// Over what time the highest rate of attempts is looked for, in milliseconds.
const PEAK_MS: u64 = 10_000;

/// What has waited for no longer than this beyond the slowest answer is no backlog, in milliseconds.
const FRESH_MS: u64 = 2_000;

/// The numbers of a run.
pub(super) fn run(scenario: &Scenario, played: &Played) -> Run {
    let targets = scenario.targets.iter().zip(&played.targets);
    Run {
        name: scenario.title.clone(),
        summary: scenario.about.clone(),
        seed: scenario.seed,
        duration_ms: played.until,
        bin_ms: played.bin,
        policy: scenario.policy.clone(),
        targets: targets.map(|(plan, target)| target_run(plan, target, played)).collect(),
    }
}

/// How many requests were sent in a run.
pub(super) fn attempts(played: &Played) -> u64 {
    played.targets.iter().map(|target| target.seen.attempts.len() as u64).sum()
}

/// How many notifications came in a run.
pub(super) fn arrivals(played: &Played) -> u64 {
    played.targets.iter().map(|target| target.arrivals.len() as u64).sum()
}

fn target_run(plan: &Plan, target: &TargetPlayed, played: &Played) -> TargetRun {
    let outages = plan.behaviour.outages.iter().filter(|outage| outage.from < played.until);
    let span = |outage: &Outage| Span {
        from_ms: outage.from,
        until_ms: outage.until.min(played.until),
        label: describe::fault(outage.fault),
    };
    TargetRun {
        name: plan.name.clone(),
        endpoint: describe::plan(plan),
        faults: outages.map(span).collect(),
        totals: totals(plan, target, played.until),
        bins: bins(target, played),
    }
}

fn totals(plan: &Plan, target: &TargetPlayed, until: u64) -> Totals {
    let is = |fate: Fate| target.ends.iter().filter(move |end| end.fate == fate).count() as u64;
    let (arrivals, attempts) = (target.arrivals.len() as u64, target.seen.attempts.len() as u64);
    let mut deaths: BTreeMap<&str, u64> = BTreeMap::new();
    for end in &target.ends {
        if let Fate::Dead(reason) = &end.fate {
            *deaths.entry(reason).or_default() += 1;
        }
    }
    let wait = |end: &End| end.ended_at.unwrap_or(until).saturating_sub(end.queued_at);
    let mut waits: Vec<u64> =
        target.ends.iter().filter(|end| end.fate == Fate::Delivered).map(wait).collect();
    waits.sort_unstable();

    let last_outage = plan.behaviour.outages.iter().map(|outage| outage.until).max();
    let last_burst = plan.bursts.iter().map(|burst| burst.at).max();
    let trouble = last_outage.max(last_burst).filter(|end| *end <= until);
    let slack = FRESH_MS.saturating_add(plan.behaviour.slowest);
    let drained = trouble.and_then(|from| gone(&target.ends, from, slack));
    let recovered = last_outage.filter(|end| *end <= until);
    let peak = recovered.map(|from| {
        let most = busiest(&target.seen.attempts, from, drained.unwrap_or(until));
        most.saturating_mul(1_000_000) / PEAK_MS
    });
    let usual = plan.arrivals.map(|arrivals| arrivals.per_second_micro()).filter(|usual| *usual > 0);
    Totals {
        arrivals,
        delivered: is(Fate::Delivered),
        dead: deaths.values().sum(),
        lost: is(Fate::Lost),
        waiting: is(Fate::Waiting),
        attempts,
        refused_429: target.seen.refused.len() as u64,
        attempts_per_arrival_milli: share_milli(attempts, arrivals).unwrap_or_default(),
        attempts_per_arrival_in_outage_milli: in_outages(plan, target),
        peak_milli: peak.zip(usual).map(|(peak, usual)| peak.saturating_mul(1_000_000) / usual),
        peak_per_second_milli: peak,
        drain_ms: trouble.zip(drained).map(|(from, until)| until.saturating_sub(from)),
        oldest_wait_ms: target.ends.iter().map(wait).max().unwrap_or_default(),
        p50_ms: percentile(&waits, 50),
        p99_ms: percentile(&waits, 99),
        deaths: deaths.into_iter().map(|(reason, number)| (reason.to_owned(), number)).collect(),
    }
}

fn share_milli(of: u64, all: u64) -> Option<u64> {
    of.saturating_mul(1_000).checked_div(all)
}

/// Attempts for each arrival while the endpoint was down; `None` where it never was, or nothing came.
fn in_outages(plan: &Plan, target: &TargetPlayed) -> Option<u64> {
    let sum = |instants: &[u64]| -> u64 {
        plan.behaviour.outages.iter().map(|outage| within(instants, outage.from, outage.until)).sum()
    };
    share_milli(sum(&target.seen.attempts), sum(&target.arrivals))
}

/// How many of these instants, which are sorted, are in a span.
fn within(instants: &[u64], from: u64, until: u64) -> u64 {
    let before = |instant: u64| instants.partition_point(|at| *at < instant);
    before(until).saturating_sub(before(from)) as u64
}

/// The most attempts in any [`PEAK_MS`] of a span.
fn busiest(attempts: &[u64], from: u64, until: u64) -> u64 {
    let first = attempts.partition_point(|at| *at < from);
    let last = attempts.partition_point(|at| *at <= until);
    let span = attempts.get(first..last).unwrap_or_default();
    span.iter().map(|at| within(span, *at, at.saturating_add(PEAK_MS))).max().unwrap_or_default()
}

/// When the backlog was gone that there was at an instant, or that built up right then.
fn gone(ends: &[End], from: u64, slack: u64) -> Option<u64> {
    // What came at that instant is no backlog before it has waited.
    let later = from.saturating_add(slack);
    match (drained(ends, from, slack)?, drained(ends, later, slack)?) {
        (at, then) if at == from && then == later => Some(from),
        (at, then) if at == from => Some(then),
        (at, _) => Some(at),
    }
}

/// From an instant on, the first at which nothing has waited for longer than `slack`; `None` where there is
/// none.
fn drained(ends: &[End], from: u64, slack: u64) -> Option<u64> {
    let mut at = from;
    for end in ends {
        // They are in the order in which they were queued.
        if end.queued_at.saturating_add(slack) > at {
            break;
        }
        at = at.max(end.ended_at?);
    }
    Some(at)
}

/// The nearest rank, of what is sorted.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn bins(target: &TargetPlayed, played: &Played) -> Vec<Bin> {
    let bin_ms = played.bin.max(1);
    let number = usize::try_from(played.until.div_ceil(bin_ms).max(1)).unwrap_or_default();
    // What is looked at last is how it ended.
    let looks = target.looks.iter().copied().chain(std::iter::repeat(last_look(target)));
    let bin = |(look, from): (Look, u64)| {
        let count = |instants: &[u64]| within(instants, from, from + bin_ms);
        Bin {
            arrivals: count(&target.arrivals),
            attempts: count(&target.seen.attempts),
            successes: count(&target.seen.successes),
            refused_429: count(&target.seen.refused),
            depth: look.depth,
            budget_milli: look.budget_milli,
            is_open: look.is_open,
        }
    };
    looks.zip((0..).map(|n: u64| n * bin_ms)).take(number).map(bin).collect()
}

fn last_look(target: &TargetPlayed) -> Look {
    let last = target.looks.last().copied();
    Look {
        depth: target.ends.iter().filter(|end| end.fate == Fate::Waiting).count() as u64,
        budget_milli: last.map_or(10_000, |look| look.budget_milli),
        is_open: last.is_some_and(|look| look.is_open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(queued_at: u64, ended_at: u64) -> End {
        End { queued_at, ended_at: Some(ended_at), fate: Fate::Delivered }
    }

    #[test]
    fn a_backlog_is_gone_when_nothing_older_waits() {
        let mut ends = vec![end(0, 50), end(1_000, 11_000), end(5_000, 12_500), end(12_000, 15_000)];
        assert_eq!(drained(&ends, 10_000, 2_000), Some(12_500));
        ends.push(end(12_400, 16_000));
        assert_eq!(drained(&ends, 10_000, 500), Some(16_000));
        assert_eq!(drained(&ends, 20_000, 500), Some(20_000));
        ends.push(End { queued_at: 12_600, ended_at: None, fate: Fate::Waiting });
        assert_eq!(drained(&ends, 10_000, 500), None);
    }

    #[test]
    fn a_burst_is_no_backlog_before_it_has_waited() {
        let burst: Vec<End> = (0..100).map(|n| end(10_000, 10_000 + n * 100)).collect();
        assert_eq!(gone(&burst, 10_000, 2_000), Some(19_900));
        assert_eq!(gone(&burst[..10], 10_000, 2_000), Some(10_000));
        assert_eq!(gone(&[end(0, 10_700)], 10_000, 2_000), Some(10_700));
    }

    #[test]
    fn the_busiest_ten_seconds_are_found_wherever_they_begin() {
        let attempts = [0, 100, 200, 20_000, 25_000, 29_999, 30_001, 60_000, 60_001, 60_002, 60_003];
        assert_eq!(busiest(&attempts, 10_000, 50_000), 3);
        assert_eq!(busiest(&attempts, 10_000, 60_003), 4);
        assert_eq!(busiest(&attempts, 70_000, 80_000), 0);
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let waits: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&waits, 50), percentile(&waits, 99)), (50, 99));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99), percentile(&[], 99)), (7, 7, 0));
    }
}
