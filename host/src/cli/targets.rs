//! `nuncio targets`: how each target is, and what can be done about it.

use std::collections::HashMap;
use std::process::ExitCode;

use comfy_table::ColumnConstraint;
use nuncio::TargetHealth;
use nuncio::contract::Breaker;
use nuncio::store::{Health, Reader};

use super::Failure;
use super::queue::access::{Place, Queue};
use crate::server;

/// How long an error in a table is, in characters.
const LONGEST_ERROR: usize = 80;

/// How wide a table is where there is no terminal to say.
const WIDTH: u16 = 160;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    place: Place,
    /// Print a list of `{"target", "state", "budget", "waiting", "next_try", "last_success", "last_error", …}`
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Have a target begin anew, as if its endpoint had never been tried: after it said that it was gone, or did
    /// not accept credentials that are right now
    Enable {
        #[command(flatten)]
        place: Place,
        /// The target's name
        #[arg(value_name = "TARGET")]
        target: String,
    },
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        None => list(&mut Queue::find(&arguments.place)?, arguments.json),
        Some(Command::Enable { place, target }) => {
            if Queue::find(&place)?.hand().await?.enable(&target).await? {
                super::print(&format!("{} is enabled\n", super::harmless(&target)))?;
                return Ok(ExitCode::SUCCESS);
            }
            let name = super::harmless(&target);
            Err(Failure::Usage(format!("no target is called `{name}`\n  help: `nuncio targets` lists them")))
        }
    }
}

fn list(queue: &mut Queue, json: bool) -> Result<ExitCode, Failure> {
    let usage = queue.reader().usage()?;
    let mut waiting: HashMap<String, u64> = HashMap::new();
    for count in usage.targets.into_iter().filter(|count| !count.state.has_ended()) {
        *waiting.entry(count.target).or_default() += count.deliveries;
    }
    let now = super::now();
    let healths = queue.reader().healths()?;
    let targets: Vec<TargetHealth> = healths
        .into_iter()
        .map(|health| {
            let waiting = waiting.get(&health.target).copied().unwrap_or_default();
            let next_try = (waiting > 0).then(|| health.endpoint.closed_until().max(now));
            TargetHealth { health, waiting, next_try }
        })
        .collect();
    if json {
        super::print_json(&targets.iter().map(|target| server::target(target, now)).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    if targets.is_empty() {
        super::print("nothing is known of any target yet; `nuncio serve` finds out\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["target", "state", "budget", "waiting", "next try", "last success", "last error"];
    let mut table = super::table(&header);
    if let Some(name) = table.column_mut(0) {
        name.set_constraint(ColumnConstraint::ContentWidth);
    }
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        table.set_width(WIDTH);
    }
    table.add_rows(targets.iter().map(|target| row(target, now)));
    super::print(&format!("{table}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn row(TargetHealth { health, waiting, next_try }: &TargetHealth, now: u64) -> [String; 7] {
    let Health { target, endpoint, last_error, .. } = health;
    let state = match endpoint.breaker {
        Breaker::Closed if endpoint.pace.is_draining => "works again, draining".to_owned(),
        Breaker::Closed if endpoint.pace.interval_us > 0 => {
            format!("works, one every {} ms", endpoint.pace.interval_us / 1_000)
        }
        Breaker::Closed if endpoint.consecutive_failures > 0 => "fails".to_owned(),
        Breaker::Closed => "works".to_owned(),
        Breaker::Open(_) | Breaker::HalfOpen(_) => "down".to_owned(),
        Breaker::Held(_) => "credentials refused".to_owned(),
        Breaker::Gone => "gone; see `enable`".to_owned(),
    };
    let left = endpoint.budget_left(now);
    let budget = format!("{}.{} of 10", left / 1_000, left % 1_000 / 100);
    let ago = |at: u64| format!("{} ago", super::age(now, at));
    let next = match (endpoint.breaker, next_try) {
        (_, None) => "-".to_owned(),
        (Breaker::Gone, _) => "when enabled".to_owned(),
        (_, Some(at)) if *at <= now => "now".to_owned(),
        (_, Some(at)) => format!("in {}", super::age(*at, now)),
    };
    let error = last_error.as_ref().map_or_else(String::new, |(at, error)| {
        let short: String = super::harmless(error).chars().take(LONGEST_ERROR).collect();
        format!("{short} ({})", ago(*at))
    });
    let success = endpoint.last_success.map_or_else(|| "-".to_owned(), ago);
    [super::harmless(target), state, budget, waiting.to_string(), next, success, error]
}
