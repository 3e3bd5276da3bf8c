//! `nuncio demo`: the whole path on this machine, to look at.
//!
//! What it sends and what its receivers expect is data (`host/demo/`): this file knows no provider.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use console::Term;
use nuncio::Nuncio;
use nuncio::event::{Event, Happened};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::Failure;

mod receivers;

const CONFIG: &str = include_str!("../../demo/demo.yml");
const EVENTS: &str = include_str!("../../demo/events.json");

#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) async fn run(_: &Arguments, component: Option<Vec<u8>>) -> Result<ExitCode, Failure> {
    let cannot = |what: &str, error: &dyn std::fmt::Display| Failure::Other(format!("{what}: {error}"));
    let receivers = receivers::start().await.map_err(|error| cannot("cannot start the receivers", &error))?;
    let builder = Nuncio::builder("demo.yml", CONFIG).environment(receivers.environment());
    let nuncio = match component {
        Some(component) => builder.component(component),
        None => builder,
    }
    .start()?;
    let mut events = nuncio.events();
    let mut board = Board::new(receivers.describe());
    let notifications: Vec<Value> =
        serde_json::from_str(EVENTS).map_err(|error| cannot("cannot read the events", &error))?;
    for notification in notifications {
        let read = nuncio.read(&notification.to_string())?;
        let read = read.map_err(|_| Failure::Other("the events are no notifications".to_owned()))?;
        let title = read.title.clone();
        let ticket = nuncio.notify(read).map_err(|error| cannot("cannot hand in", &error))?;
        board.titles.insert(ticket.id, title);
    }
    let ended = nuncio.flush();
    tokio::pin!(ended);
    let mut is_flushed = false;
    while !is_flushed {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(event) => board.show(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            () = &mut ended => is_flushed = true,
        }
    }
    while let Ok(event) = events.try_recv() {
        board.show(event);
    }
    let remains = nuncio.shutdown(Duration::from_secs(1)).await;
    let (delivered, total) = (board.count_delivered(), board.rows.len());
    let arrived = receivers.accepted();
    let is_well = delivered == total && total == arrived && remains.waiting + remains.in_flight == 0;
    board.finish();
    println!(
        "\n{delivered} of {total} deliveries arrived, {} of them after a retry; the receivers took {arrived} and refused {}.",
        board.count_retried(),
        receivers.refused(),
    );
    if is_well {
        println!(
            "Nothing was lost. Next: write nuncio.yml, then `nuncio check` and `nuncio send --title Hello`."
        );
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Other("what was handed in and what arrived differ".to_owned()))
}

/// What is on the screen.
struct Board {
    /// Where the picture is redrawn in place; elsewhere each event is a line.
    term: Option<Term>,
    titles: HashMap<String, String>,
    /// In the order in which they were queued.
    rows: Vec<Row>,
    drawn: usize,
}

struct Row {
    id: String,
    target: String,
    state: String,
    attempts: u32,
    is_delivered: bool,
}

impl Board {
    fn new(introduction: String) -> Self {
        println!("{introduction}");
        let term = std::io::stdout().is_terminal().then(Term::stdout);
        Self { term, titles: HashMap::new(), rows: Vec::new(), drawn: 0 }
    }

    fn show(&mut self, event: Event) {
        let known = self.rows.iter().position(|row| row.id == event.id && row.target == event.target);
        let mut row = known.map_or_else(
            || Row {
                id: event.id.clone(),
                target: event.target.clone(),
                state: String::new(),
                attempts: 0,
                is_delivered: false,
            },
            |n| self.rows.remove(n),
        );
        row.state = match event.happened {
            Happened::Queued => "queued".to_owned(),
            Happened::Started { attempt } => {
                row.attempts = attempt;
                "sending".to_owned()
            }
            Happened::Retrying { detail, due, .. } => {
                let wait = due.saturating_sub(event.at);
                format!("{detail}; again in {}.{} s", wait / 1_000, wait % 1_000 / 100)
            }
            Happened::Delivered { .. } => {
                row.is_delivered = true;
                "delivered".to_owned()
            }
            Happened::Dead { detail, .. } => format!("dead: {detail}"),
        };
        if self.term.is_none() && !matches!(row.state.as_str(), "queued" | "sending") {
            let title = self.titles.get(&row.id).map_or("", String::as_str);
            println!("{:8} {title}: {} (attempt {})", row.target, row.state, row.attempts);
        }
        let place = known.unwrap_or(self.rows.len());
        self.rows.insert(place, row);
        self.draw();
    }

    fn draw(&mut self) {
        let picture = self.picture();
        if let Some(term) = &self.term {
            // A terminal that cannot be redrawn shows the picture again; nothing is lost.
            let _ = term.clear_last_lines(self.drawn);
            let _ = term.write_line(&picture);
            self.drawn = picture.lines().count();
        }
    }

    /// Leaves the picture where none was drawn on the way.
    fn finish(&self) {
        if self.term.is_none() {
            println!("\n{}", self.picture());
        }
    }

    fn picture(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["event", "target", "attempts", "state"]);
        for row in &self.rows {
            let title = self.titles.get(&row.id).cloned().unwrap_or_default();
            table.add_row([title, row.target.clone(), row.attempts.to_string(), row.state.clone()]);
        }
        table.to_string()
    }

    fn count_delivered(&self) -> usize {
        self.rows.iter().filter(|row| row.is_delivered).count()
    }

    fn count_retried(&self) -> usize {
        self.rows.iter().filter(|row| row.is_delivered && row.attempts > 1).count()
    }
}
