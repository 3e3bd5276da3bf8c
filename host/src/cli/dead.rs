//! `nuncio dead`: what was given up, and what can be done with it.

use std::process::ExitCode;

use nuncio::Steer;
use nuncio::store::State;

use super::Failure;
use super::queue::access::{Place, Queue};
use super::queue::show::{self, Listing};
use super::queue::steer::Chosen;
use crate::selection::Selection;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List dead letters, in the order in which they were handed in
    Ls {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show a notification, why it was given up and what the receiver said last
    Show {
        #[command(flatten)]
        place: Place,
        /// The notification's id
        id: String,
        /// Print it as the HTTP API does
        #[arg(long)]
        json: bool,
    },
    /// Queue dead letters again, as if they had just been handed in
    Replay {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Forget dead letters; they end as dropped
    Drop {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        chosen: Chosen,
    },
}

const DEAD: [State; 1] = [State::Dead];

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Ls { place, selection, listing } => {
            listing.run(&mut Queue::find(&place)?, &selection, &DEAD)
        }
        Command::Show { place, id, json } => show::one(&mut Queue::find(&place)?, &id, json),
        Command::Replay { place, chosen } => {
            chosen.run(Queue::find(&place)?, Steer::Replay, &DEAD, "queued again").await
        }
        Command::Drop { place, chosen } => {
            chosen.run(Queue::find(&place)?, Steer::Drop, &DEAD, "dropped").await
        }
    }
}
