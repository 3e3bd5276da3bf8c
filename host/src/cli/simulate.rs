//! `nuncio simulate`: what the policy does with an outage, a burst or a limit, before one comes.
//!
//! The component and the dispatch loop are the real ones; time and the endpoints are not. It is the same each
//! time for the same scenario and seed.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use nuncio::brain::Brain;
use nuncio::clock::{Clock, SystemClock};

use super::{Component, Failure};

mod arrivals;
mod describe;
mod endpoint;
mod limiter;
mod measure;
mod part;
mod play;
mod read;
mod report;
mod scenario;
mod settings;

use report::{Run, TOTALS, TargetRun};

/// The scenarios that are there already, by name.
const READY: [(&str, &str); 6] = [
    ("outage", include_str!("../../simulations/outage.yml")),
    ("flapping", include_str!("../../simulations/flapping.yml")),
    ("rate-limited", include_str!("../../simulations/rate-limited.yml")),
    ("slow-one-of-ten", include_str!("../../simulations/slow-one-of-ten.yml")),
    ("burst", include_str!("../../simulations/burst.yml")),
    ("poison", include_str!("../../simulations/poison.yml")),
];

/// A scenario is no larger: 1 MiB.
const LARGEST_SCENARIO: u64 = 1 << 20;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The scenario: a file, or one that is there already: outage, flapping, rate-limited, slow-one-of-ten,
    /// burst, poison
    scenario: PathBuf,
    /// Write the report to this file: a page to open in a browser
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a picture of the first target to this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Make every random choice from this number; the same number, the same report [default: the scenario's
    /// `seed`, or 1]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Play this one too, and put both side by side
    #[arg(long, value_name = "SCENARIO")]
    compare: Option<PathBuf>,
    /// Print a list of runs, each `{"name", "seed", "duration_ms", "bin_ms", "policy", "targets"}`
    #[arg(long)]
    json: bool,
    /// Print the scenario, to change it
    #[arg(long, conflicts_with_all = ["out", "svg", "seed", "compare", "json"])]
    show: bool,
}

/// How much was decided, and in what time.
#[derive(Default)]
struct Effort {
    decisions: u64,
    milliseconds: u64,
}

pub(super) async fn run(arguments: Arguments, component: Component) -> Result<ExitCode, Failure> {
    if arguments.show {
        let (_, text) = find(&arguments.scenario)?;
        super::print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    // The simulation has a runtime of its own, on a thread of its own.
    let done = tokio::task::spawn_blocking(move || simulate(&arguments, &component)).await;
    done.unwrap_or_else(|error| Err(Failure::Other(format!("the simulation broke off: {error}"))))
}

fn simulate(arguments: &Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let brain = component.load()?;
    let sources = std::iter::once(&arguments.scenario).chain(&arguments.compare);
    let mut scenarios = Vec::new();
    for source in sources {
        let (name, text) = find(source)?;
        scenarios.push(settings::load(&name, &text, &brain)?);
    }
    let (mut runs, mut effort) = (Vec::new(), Effort::default());
    for (mut scenario, config) in scenarios {
        scenario.seed = arguments.seed.unwrap_or(scenario.seed);
        runs.push(play(&scenario, config, &brain, &mut effort)?);
    }
    if let Some(path) = &arguments.out {
        let page = report::html(&runs).map_err(|error| Failure::Other(error.to_string()))?;
        write(path, &page)?;
    }
    if let (Some(path), [first, ..]) = (&arguments.svg, runs.as_slice()) {
        let picture = report::svg_overview(first).map_err(|error| Failure::Other(error.to_string()))?;
        write(path, &picture)?;
    }
    if arguments.json {
        super::print_json(&runs)?;
    } else {
        super::print(&tables(&runs))?;
    }
    let Effort { decisions, milliseconds } = effort;
    let each_second = decisions.saturating_mul(1_000) / milliseconds.max(1);
    let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    eprintln!("about {decisions} decisions in {seconds}.{rest:03} s, {each_second} a second");
    Ok(ExitCode::SUCCESS)
}

fn play(
    scenario: &scenario::Scenario,
    config: nuncio::config::Config,
    brain: &Brain,
    effort: &mut Effort,
) -> Result<Run, Failure> {
    let bar = bar(scenario);
    let told = bar.clone();
    let stopwatch = SystemClock::default();
    let played = play::play(scenario, config, brain, move |at| told.set_position(at))?;
    bar.finish_and_clear();
    let milliseconds = u64::try_from(stopwatch.elapsed().as_millis()).unwrap_or(u64::MAX);
    // Each notification is routed; each attempt is admitted, formatted and judged. How often the answer was
    // "not yet", nobody counts.
    effort.decisions += measure::arrivals(&played) + 3 * measure::attempts(&played);
    effort.milliseconds += milliseconds;
    Ok(measure::run(scenario, &played))
}

/// How far a run is, on a terminal; what comes after the last notification has no known length.
fn bar(scenario: &scenario::Scenario) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} %");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(scenario.duration).with_style(style).with_message(super::harmless(&scenario.title))
}

/// A scenario's name for reports, and its text.
fn find(source: &Path) -> Result<(String, String), Failure> {
    if let Some((name, text)) = READY.into_iter().find(|(name, _)| Path::new(name) == source) {
        return Ok((name.to_owned(), text.to_owned()));
    }
    let name = source.display().to_string();
    if !source.exists() && source.extension().is_none() && source.components().count() == 1 {
        let known: Vec<&str> = READY.into_iter().map(|(name, _)| name).collect();
        let known = known.join(", ");
        return Err(Failure::Usage(format!(
            "there is no file {name}, and no scenario of that name\n  help: name a file, or one of: {known}"
        )));
    }
    match String::from_utf8(super::read_file(source, LARGEST_SCENARIO)?) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(Failure::Usage(format!("{name} is not UTF-8, from byte {at} on\n  help: save it as UTF-8")))
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let cannot = |error| Failure::Other(format!("cannot write {}: {error}", path.display()));
    std::fs::write(path, text).map_err(cannot)
}

/// The runs as two tables: what became of everything, and at what price.
fn tables(runs: &[Run]) -> String {
    let mut text = String::new();
    for (run, badge) in runs.iter().zip(["A", "B"]) {
        let badge = if runs.len() > 1 { format!("{badge}: ") } else { String::new() };
        text += &format!("{badge}{}, seed {}\n", super::harmless(&run.name), run.seed);
        if !run.summary.is_empty() {
            text += &format!("{}\n", super::harmless(&run.summary));
        }
    }
    let mut names: Vec<&str> = Vec::new();
    for target in runs.iter().flat_map(|run| &run.targets) {
        if !names.contains(&target.name.as_str()) {
            names.push(&target.name);
        }
    }
    for columns in TOTALS {
        let headings = columns.iter().map(|(heading, _)| *heading);
        let mut table = super::table(&std::iter::once("target").chain(headings).collect::<Vec<_>>());
        for name in &names {
            for (run, badge) in runs.iter().zip(["A", "B"]) {
                let Some(target) = run.targets.iter().find(|target| target.name == *name) else { continue };
                let name = if runs.len() > 1 { format!("{name} {badge}") } else { (*name).to_owned() };
                let numbers = columns.iter().map(|(_, number)| number(&target.totals));
                table.add_row(std::iter::once(super::harmless(&name)).chain(numbers));
            }
        }
        text += &format!("\n{table}\n");
    }
    text + &deaths(runs)
}

/// What died, and why.
fn deaths(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        for TargetRun { name, totals, .. } in &run.targets {
            for (reason, number) in &totals.deaths {
                text += &format!("{}: {number} dead: {}\n", super::harmless(name), super::harmless(reason));
            }
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_scenario_that_is_there_is_right() {
        let brain = Brain::new(nuncio::brain::EMBEDDED).unwrap();
        for (name, text) in READY {
            let loaded = settings::load(name, text, &brain);
            assert!(loaded.is_ok_and(|(scenario, _)| !scenario.about.is_empty()), "{name}");
        }
    }

    #[test]
    fn the_help_names_every_scenario_that_is_there() {
        let mut command = crate::cli::Arguments::command();
        let help = command.find_subcommand_mut("simulate").unwrap().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let names = READY.map(|(name, _)| name).join(", ");
        assert!(help.contains(&names), "{names} is not in:\n{help}");
    }
}
