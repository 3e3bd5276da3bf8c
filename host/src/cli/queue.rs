//! `nuncio queue`: what waits, and what can be done with it.

use std::process::ExitCode;

use nuncio::Steer;
use nuncio::store::{Reader, State, Usage};

use self::access::{Place, Queue};
use self::show::Listing;
use self::steer::Chosen;
use super::Failure;
use crate::selection::{Selection, read_states};

pub(super) mod access;
pub(super) mod place;
pub(super) mod show;
pub(super) mod steer;

/// There is no folder for the state of programs.
pub(super) fn nowhere() -> Failure {
    Failure::Usage(
        "there is no place for the queue\n  help: name a file with `--queue FILE` or `queue.path`".to_owned(),
    )
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List deliveries that wait, in the order in which they were handed in
    Ls {
        #[command(flatten)]
        place: Place,
        /// Only in these states, with commas between them: queued, retrying, delivered, dead, dropped
        #[arg(long, default_value = "queued,retrying")]
        state: String,
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show a notification and what became of it at each target
    Show {
        #[command(flatten)]
        place: Place,
        /// The notification's id
        id: String,
        /// Print it as the HTTP API does
        #[arg(long)]
        json: bool,
    },
    /// Count deliveries by target and state, and what they take
    Stats {
        #[command(flatten)]
        place: Place,
        /// Print `{"open", "bytes", "file_bytes", "targets": [{"target", "state", "deliveries", "oldest"}]}`
        #[arg(long)]
        json: bool,
    },
    /// Have deliveries that wait tried now
    Retry {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Take deliveries out that wait; they end as dropped
    Drop {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        chosen: Chosen,
    },
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Ls { place, state, selection, listing } => {
            let states = read_states(&state).map_err(super::misunderstood)?;
            listing.run(&mut Queue::find(&place)?, &selection, &states)
        }
        Command::Show { place, id, json } => show::one(&mut Queue::find(&place)?, &id, json),
        Command::Stats { place, json } => stats(&mut Queue::find(&place)?, json),
        Command::Retry { place, chosen } => {
            chosen.run(Queue::find(&place)?, Steer::Retry, &State::OPEN, "due now").await
        }
        Command::Drop { place, chosen } => {
            chosen.run(Queue::find(&place)?, Steer::Drop, &State::OPEN, "dropped").await
        }
    }
}

fn stats(queue: &mut Queue, json: bool) -> Result<ExitCode, Failure> {
    let usage = queue.reader().usage()?;
    if json {
        super::print_json(&usage)?;
    } else {
        super::print(&describe(&usage, &queue.path().display().to_string(), super::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(usage: &Usage, path: &str, now: u64) -> String {
    let mut table = super::table(&["target", "state", "deliveries", "oldest"]);
    for count in &usage.targets {
        let age = super::age(now, count.oldest);
        table.add_row([
            super::harmless(&count.target),
            count.state.to_string(),
            count.deliveries.to_string(),
            age,
        ]);
    }
    let waiting = super::deliveries(usage.open);
    let size = |bytes: u64| bytesize::ByteSize::b(bytes).display().iec().to_string();
    let table = if usage.targets.is_empty() { String::new() } else { format!("{table}\n\n") };
    let (bytes, file) = (size(usage.bytes), size(usage.file_bytes));
    format!("{table}{path}: {waiting} waiting; {bytes} of max_bytes used, the file has {file}\n")
}
