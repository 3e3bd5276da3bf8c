//! What a simulation found, as one page to look at and one picture for a README.
//!
//! It decides how findings look: which targets are worth a plot, which numbers come first, what is drawn on
//! which scale. It refuses to know how they were found: everything arrives as counts and lengths of virtual
//! time, and nothing is computed from them that a reader could not check against the totals.
//!
//! It guarantees that the same findings give the same bytes, that a page needs no script and nothing from
//! elsewhere, that its size is bounded by the number of targets and not by the length of the run, and that
//! no text of a scenario can become markup.

mod page;
mod plot;
mod points;
mod words;

#[cfg(test)]
mod tests;

use plotters::drawing::DrawingAreaErrorKind;
use serde::Serialize;

pub(super) use page::TOTALS;

/// What one simulation found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// The scenario's title.
    pub name: String,
    /// What the scenario is, in one sentence.
    pub summary: String,
    /// What every random choice came from.
    pub seed: u64,
    /// How much virtual time was simulated, draining included.
    pub duration_ms: u64,
    /// How much virtual time a bin covers.
    pub bin_ms: u64,
    /// The settings the dispatcher ran with: names and values.
    pub policy: Vec<(String, String)>,
    /// What happened at each target.
    pub targets: Vec<TargetRun>,
}

/// What happened at one target.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TargetRun {
    /// What the configuration calls it; in a comparison, targets of the same name stand side by side.
    pub name: String,
    /// What its endpoint does, in words.
    pub endpoint: String,
    /// When its endpoint was down.
    pub faults: Vec<Span>,
    /// The whole run in numbers.
    pub totals: Totals,
    /// The run in slices of [`Run::bin_ms`], from its start.
    pub bins: Vec<Bin>,
}

/// A part of a run that has a name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Span {
    /// Its beginning, since the run began.
    pub from_ms: u64,
    /// Its end, since the run began.
    pub until_ms: u64,
    /// What happened.
    pub label: String,
}

/// A target's run in numbers; `milli` means thousandths.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Notifications accepted for the target.
    pub arrivals: u64,
    /// Those its endpoint took.
    pub delivered: u64,
    /// Those given up, each with a reason on record.
    pub dead: u64,
    /// Those that are nowhere; any is a bug.
    pub lost: u64,
    /// Those still waiting when the run ended.
    pub waiting: u64,
    /// Requests sent.
    pub attempts: u64,
    /// Requests answered with 429.
    pub refused_429: u64,
    /// Attempts for each arrival.
    pub attempts_per_arrival_milli: u64,
    /// The same while the endpoint was down; absent where it never was.
    pub attempts_per_arrival_in_outage_milli: Option<u64>,
    /// The highest rate of attempts after the last fault until the backlog was gone, in thousandths of the
    /// rate at which notifications come; absent where there was no fault, or none come all the time.
    pub peak_milli: Option<u64>,
    /// The same rate, in thousandths of an attempt per second.
    pub peak_per_second_milli: Option<u64>,
    /// How long after the last fault or burst the backlog was gone; absent where that never came.
    pub drain_ms: Option<u64>,
    /// The longest that anything waited.
    pub oldest_wait_ms: u64,
    /// Within what time half were delivered.
    pub p50_ms: u64,
    /// Within what time 99 of 100 were delivered.
    pub p99_ms: u64,
    /// How many died of which reason.
    pub deaths: Vec<(String, u64)>,
}

/// What happened in one slice of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// Notifications accepted.
    pub arrivals: u64,
    /// Requests sent.
    pub attempts: u64,
    /// Requests that delivered.
    pub successes: u64,
    /// Requests answered with 429.
    pub refused_429: u64,
    /// How many wait at its end.
    pub depth: u64,
    /// The retry budget at its end, in thousandths of a token: 0 to 10000.
    pub budget_milli: u64,
    /// Whether the breaker is anything but closed at its end.
    pub is_open: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A page shows one run or compares two.
    #[error("a report is about one run or two, not {0}")]
    Runs(usize),
    /// A plot could not be drawn.
    #[error("cannot draw a plot")]
    Draw(#[from] DrawingAreaErrorKind<std::io::Error>),
    /// A piece of text could not be written.
    #[error("cannot write the report")]
    Write(#[from] std::fmt::Error),
}

/// One run as a page, or two compared: side by side, and on the same scales.
///
/// # Errors
///
/// Where there are no runs or more than two.
pub fn html(runs: &[Run]) -> Result<String, Error> {
    if !matches!(runs.len(), 1 | 2) {
        return Err(Error::Runs(runs.len()));
    }
    let mut page = String::new();
    page::write(&mut page, runs)?;
    Ok(page)
}

/// A run's first target as one picture that stands alone, on light backgrounds and on dark ones.
///
/// # Errors
///
/// Where plotters cannot draw.
pub fn svg_overview(run: &Run) -> Result<String, Error> {
    let nothing = TargetRun::default();
    plot::overview(run, run.targets.first().unwrap_or(&nothing))
}
