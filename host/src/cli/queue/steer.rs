//! Which deliveries are steered, page by page, and how far that is.

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use nuncio::store::{DeliveryKey, LARGEST_PAGE, Query, Reader, State};
use nuncio::{Steer, Steered};

use super::access::{Hand, Queue};
use crate::cli::{self, Failure};
use crate::selection::Selection;

/// How many deliveries are steered at a time.
const PAGE: usize = 256;

/// Which deliveries are meant.
#[derive(clap::Args)]
pub(in crate::cli) struct Chosen {
    /// Of these notifications
    id: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Print `{"changed", "unchanged", "full", "failed"}`
    #[arg(long)]
    json: bool,
}

impl Chosen {
    pub(in crate::cli) async fn run(
        &self,
        mut queue: Queue,
        steer: Steer,
        states: &[State],
        done: &str,
    ) -> Result<ExitCode, Failure> {
        if !self.all && self.id.is_empty() && self.selection.is_everything() {
            return Err(Failure::Usage(
                "name notifications, or say which with --target, --level, --since or --reason, or say --all"
                    .to_owned(),
            ));
        }
        let mut query = self.selection.query(states, cli::now()).map_err(cli::misunderstood)?;
        let mut hand = queue.hand().await?;
        let (mut steered, mut unknown) = (Steered::default(), Vec::new());
        if self.id.is_empty() {
            let bar = bar(queue.reader().count(&query)?);
            query.limit = PAGE;
            loop {
                let page = queue.reader().list(&query)?;
                let keys: Vec<DeliveryKey> = page.entries.iter().map(|entry| entry.key).collect();
                steered.add(hand.steer(steer, &keys).await?);
                bar.inc(keys.len() as u64);
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
            bar.finish_and_clear();
        } else {
            for id in &self.id {
                match steer_one(&mut queue, &mut hand, steer, &query, id).await? {
                    Some(one) => steered.add(one),
                    None => unknown.push(id.as_str()),
                }
            }
        }
        self.tell(steered, &unknown, done)
    }

    fn tell(&self, steered: Steered, unknown: &[&str], done: &str) -> Result<ExitCode, Failure> {
        let Steered { changed, unchanged, full, failed } = steered;
        if self.json {
            cli::print_json(&steered)?;
        } else {
            let mut text = format!("{} {done}", cli::deliveries(changed));
            for (number, what) in [
                (unchanged, "left alone: under way, or not in the state for it"),
                (full, "left alone: the queue is full"),
                (failed, "left alone: the queue could not be written"),
            ] {
                if number > 0 {
                    text += &format!("; {number} {what}");
                }
            }
            cli::print(&(text + "\n"))?;
        }
        for id in unknown {
            eprintln!("error: no notification here has the id {id}");
        }
        let is_whole = changed > 0 && full + failed == 0 && unknown.is_empty();
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Steers those deliveries of a notification that the query means; `None` where there is no such notification.
async fn steer_one(
    queue: &mut Queue,
    hand: &mut Hand,
    steer: Steer,
    query: &Query,
    id: &str,
) -> Result<Option<Steered>, Failure> {
    let of_id = Query { id: Some(id.to_owned()), limit: LARGEST_PAGE, ..Query::default() };
    let all = queue.reader().list(&of_id)?.entries;
    if all.is_empty() {
        return Ok(None);
    }
    let meant = all.iter().filter(|entry| query.matches(entry));
    let keys: Vec<DeliveryKey> = meant.map(|entry| entry.key).collect();
    hand.steer(steer, &keys).await.map(Some)
}

/// Shows how far it is where there is a terminal.
fn bar(all: u64) -> ProgressBar {
    let bar = ProgressBar::new(all);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
