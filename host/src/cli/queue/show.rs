//! Lists of deliveries, and one notification.

use std::io::IsTerminal;
use std::process::ExitCode;

use comfy_table::ColumnConstraint;
use nuncio::store::{Delivery, Entry, LARGEST_PAGE, Query, Reader, State, timestamp};

use super::access::Queue;
use crate::cli::{self, Failure};
use crate::selection::Selection;
use crate::server;

/// How much of a list is shown, and how.
#[derive(clap::Args)]
pub(in crate::cli) struct Listing {
    /// Show at most so many; 0 for all
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Print a list of `{"id", "level", "title", "at", "target", "state", "attempts", "detail", …}`
    #[arg(long)]
    json: bool,
}

/// How wide a list is where there is no terminal to say.
const WIDTH: u16 = 160;

/// How long a detail in a table is, in characters.
const LONGEST_DETAIL: usize = 100;

impl Listing {
    pub(in crate::cli) fn run(
        &self,
        queue: &mut Queue,
        selection: &Selection,
        states: &[State],
    ) -> Result<ExitCode, Failure> {
        let query = selection.query(states, cli::now()).map_err(cli::misunderstood)?;
        if self.json { self.print_json(queue, query) } else { self.print_table(queue, &query) }
    }

    fn print_table(&self, queue: &mut Queue, query: &Query) -> Result<ExitCode, Failure> {
        let all = queue.reader().count(query)?;
        let now = cli::now();
        let mut table = cli::table(&["id", "target", "level", "state", "tries", "when", "title", "detail"]);
        // An id that is broken up cannot be copied.
        if let Some(id) = table.column_mut(0) {
            id.set_constraint(ColumnConstraint::ContentWidth);
        }
        if !std::io::stdout().is_terminal() {
            table.set_width(WIDTH);
        }
        let mut shown = 0;
        self.each_page(queue, query.clone(), |entries| {
            shown += entries.len() as u64;
            table.add_rows(entries.iter().map(|entry| row(entry, now)));
            Ok(())
        })?;
        let table = if shown == 0 { String::new() } else { format!("{table}\n") };
        let rest = match all.saturating_sub(shown) {
            0 => String::new(),
            more => format!("; {more} more, `--limit 0` shows all"),
        };
        cli::print(&format!("{table}{}{rest}\n", cli::deliveries(shown)))?;
        Ok(ExitCode::SUCCESS)
    }

    fn print_json(&self, queue: &mut Queue, query: Query) -> Result<ExitCode, Failure> {
        // Page by page: a list may be longer than the memory.
        let mut before = "[";
        self.each_page(queue, query, |entries| {
            for entry in entries {
                let json = serde_json::to_string(entry).map_err(|error| Failure::Other(error.to_string()))?;
                cli::print(&format!("{before}\n{}", cli::harmless_json(&json)))?;
                before = ",";
            }
            Ok(())
        })?;
        cli::print(if before == "[" { "[]\n" } else { "\n]\n" })?;
        Ok(ExitCode::SUCCESS)
    }

    fn each_page(
        &self,
        queue: &mut Queue,
        mut query: Query,
        mut show: impl FnMut(&[Entry]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut left = if self.limit == 0 { usize::MAX } else { self.limit };
        while left > 0 {
            query.limit = left.min(LARGEST_PAGE);
            let page = queue.reader().list(&query)?;
            show(&page.entries)?;
            left -= page.entries.len();
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        Ok(())
    }
}

fn row(entry: &Entry, now: u64) -> [String; 8] {
    let Delivery { target, progress } = &entry.delivery;
    let when = match (progress.ended_at, progress.due_at) {
        (Some(at), _) => format!("{} ago", cli::age(now, at)),
        (None, Some(due)) if due > now => format!("in {}", cli::age(due, now)),
        _ => "now".to_owned(),
    };
    let mut detail: String = progress.detail.chars().take(LONGEST_DETAIL).collect();
    if detail.len() < progress.detail.len() {
        detail += "…";
    }
    [
        entry.id.clone(),
        target.to_string(),
        entry.level.name().to_owned(),
        progress.state.to_string(),
        progress.attempts.to_string(),
        when,
        entry.title.clone(),
        detail,
    ]
    .map(|text| cli::harmless(&text))
}

/// Shows one notification.
pub(in crate::cli) fn one(queue: &mut Queue, id: &str, json: bool) -> Result<ExitCode, Failure> {
    let Some(record) = queue.reader().find(id)? else {
        return Err(Failure::Other(format!(
            "no notification here has the id {id}\n  help: it was never accepted, or it ended long ago"
        )));
    };
    let shown = server::notification(&record);
    if json {
        cli::print_json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let notification = &record.notification;
    let mut text = format!(
        "{}  {}  {}\n{}\n",
        notification.id,
        notification.level.name(),
        timestamp(notification.at),
        cli::harmless(&notification.title)
    );
    for (name, value) in shown.as_object().into_iter().flatten() {
        let is_told = ["body", "to", "tags", "link"].contains(&name.as_str());
        let is_empty = value.is_null() || *value == "" || value.as_array().is_some_and(Vec::is_empty);
        if is_told && !is_empty {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            text += &format!("{name}: {}\n", cli::harmless(&value));
        }
    }
    if record.deliveries.is_empty() {
        text += "\nno target wanted it\n";
    }
    for Delivery { target, progress } in &record.deliveries {
        let tries = cli::count(progress.attempts, "attempt");
        text += &format!("\n{}: {}, {tries}\n", cli::harmless(target), progress.state);
        let instants = [
            ("queued", Some(progress.queued_at)),
            ("first tried", progress.first_tried_at),
            ("last outcome", progress.tried_at),
            ("next attempt", progress.due_at),
            ("ended", progress.ended_at),
        ];
        for (name, at) in instants {
            text += &at.map_or_else(String::new, |at| format!("  {name}: {}\n", timestamp(at)));
        }
        if !progress.detail.is_empty() {
            text += &format!("  detail: {}\n", cli::harmless(&progress.detail));
        }
        if let Some(reply) = &progress.reply {
            text += &format!("  last reply: {}", reply.status);
            for line in reply.body.lines() {
                text += &format!("\n    {}", cli::harmless(line));
            }
            text += "\n";
        }
    }
    cli::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
