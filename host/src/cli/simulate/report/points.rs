//! A run's bins and spans as few enough points to draw, and the ticks of the axes they stand on.

use super::{Bin, Span, TargetRun, Totals};

/// How many points a line has at most: more stand so close that a line becomes a band.
pub(super) const MOST: usize = 360;

/// How many parts of the time axis can differ in shading; the eye tells no more apart.
const CELLS: u64 = 400;

/// Some neighbouring bins as one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
    pub(super) bin: Bin,
}

impl Point {
    /// Where it stands on the time axis.
    pub(super) fn middle_ms(&self) -> u64 {
        self.from_ms.midpoint(self.until_ms)
    }

    /// Its arrivals, in thousandths per second.
    pub(super) fn arrival_rate(&self) -> u64 {
        self.rate(self.bin.arrivals)
    }

    /// Its attempts, in thousandths per second.
    pub(super) fn attempt_rate(&self) -> u64 {
        self.rate(self.bin.attempts)
    }

    fn rate(&self, happened: u64) -> u64 {
        let width_ms = u128::from((self.until_ms - self.from_ms).max(1));
        u64::try_from(u128::from(happened) * 1_000_000 / width_ms).unwrap_or(u64::MAX)
    }
}

/// The bins, merged until there are at most [`MOST`]: what happened is added up, and of what was, the
/// worst is kept.
pub(super) fn merged(bins: &[Bin], bin_ms: u64) -> Vec<Point> {
    let together = bins.len().div_ceil(MOST).max(1);
    let mut from_ms = 0_u64;
    let merge = |few: &[Bin]| {
        let width_ms = bin_ms.max(1).saturating_mul(u64::try_from(few.len()).unwrap_or(u64::MAX));
        let until_ms = from_ms.saturating_add(width_ms);
        let mut bin = Bin { budget_milli: u64::MAX, ..Bin::default() };
        for next in few {
            bin.arrivals = bin.arrivals.saturating_add(next.arrivals);
            bin.attempts = bin.attempts.saturating_add(next.attempts);
            bin.successes = bin.successes.saturating_add(next.successes);
            bin.refused_429 = bin.refused_429.saturating_add(next.refused_429);
            bin.depth = bin.depth.max(next.depth);
            bin.budget_milli = bin.budget_milli.min(next.budget_milli);
            bin.is_open |= next.is_open;
        }
        Point { from_ms: std::mem::replace(&mut from_ms, until_ms), until_ms, bin }
    };
    bins.chunks(together).map(merge).collect()
}

/// When the breaker was open.
pub(super) fn open(points: &[Point]) -> Vec<(u64, u64)> {
    let open = points.iter().filter(|point| point.bin.is_open);
    joined(open.map(|point| (point.from_ms, point.until_ms)), 0)
}

/// When the endpoint was down, with so short a pause between two faults left out that it could not be seen.
pub(super) fn down(faults: &[Span], end_ms: u64) -> Vec<(u64, u64)> {
    let cell_ms = end_ms / CELLS;
    let mut spans: Vec<_> = faults
        .iter()
        .filter(|fault| fault.from_ms < end_ms && fault.from_ms <= fault.until_ms)
        .map(|fault| (fault.from_ms, fault.until_ms.max(fault.from_ms.saturating_add(cell_ms)).min(end_ms)))
        .collect();
    spans.sort_unstable();
    joined(spans.into_iter(), cell_ms)
}

/// The spans in their order, those joined that are no more than a gap apart.
fn joined(spans: impl Iterator<Item = (u64, u64)>, gap_ms: u64) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, until) in spans {
        match joined.last_mut() {
            Some((_, last)) if from <= last.saturating_add(gap_ms) => *last = until.max(*last),
            _ => joined.push((from, until)),
        }
    }
    joined
}

/// The targets worth a plot, at most so many: first those to which something happened, then those where most
/// waited; in the order in which they came.
pub(super) fn interesting<'a>(targets: &[Vec<Option<&'a TargetRun>>], most: usize) -> Vec<usize> {
    let weight = |sides: &Vec<Option<&'a TargetRun>>| {
        let of_side = sides.iter().flatten().map(|target| {
            let Totals { dead, lost, refused_429, waiting, .. } = target.totals;
            let happened = !target.faults.is_empty() || dead > 0 || lost > 0 || refused_429 > 0;
            let deepest = target.bins.iter().map(|bin| bin.depth).max().unwrap_or_default();
            (happened, waiting.max(deepest))
        });
        of_side.max().unwrap_or_default()
    };
    let mut order: Vec<_> = targets.iter().map(weight).enumerate().collect();
    order.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let mut chosen: Vec<_> = order.into_iter().take(most).map(|(at, _)| at).collect();
    chosen.sort_unstable();
    chosen
}

/// Where a time axis is marked: whole units, at most nine of them.
pub(super) fn time_ticks(end_ms: u64) -> Vec<u64> {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const STEPS: [u64; 15] = [
        SECOND,
        2 * SECOND,
        5 * SECOND,
        15 * SECOND,
        30 * SECOND,
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        15 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
    ];
    const DAY: u64 = 24 * HOUR;
    let fits = |step: &u64| end_ms / step <= 8;
    let step = match end_ms {
        ..SECOND => round_step(end_ms, 8),
        _ => STEPS.into_iter().find(fits).unwrap_or_else(|| round_step(end_ms / DAY, 8).saturating_mul(DAY)),
    };
    ticks(step, end_ms)
}

/// Where an axis of values is marked, and where it ends: a little above the largest value.
pub(super) fn value_ticks(largest: u64) -> (Vec<u64>, u64) {
    let top = largest.saturating_add(largest / 16).max(1);
    (ticks(round_step(top, 5), top), top)
}

/// One, two or five times a power of ten, of which no more than so many are in the value.
fn round_step(value: u64, most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        let step = [1, 2, 5].into_iter().map(|n| power.saturating_mul(n)).find(|step| value / step <= most);
        match step {
            Some(step) => return step,
            None => power = power.saturating_mul(10),
        }
    }
}

fn ticks(step: u64, end: u64) -> Vec<u64> {
    (0..=end / step).map(|n| n * step).collect()
}
