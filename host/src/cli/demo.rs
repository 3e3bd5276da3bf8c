//! `nuncio demo`: the whole path on this machine, to look at.
//!
//! What it sends and what its receivers expect is data (`host/demo/`): this file knows no provider.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use console::Term;
use nuncio::Nuncio;
use nuncio::event::{Event, Happened};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::{Component, Failure};

mod receivers;

const CONFIG: &str = include_str!("../../demo/demo.yml");
const EVENTS: &str = include_str!("../../demo/events.json");

#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) async fn run(_: &Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let cannot = |what: &str, error: &dyn std::fmt::Display| Failure::Other(format!("{what}: {error}"));
    let receivers = receivers::start().await.map_err(|error| cannot("cannot start the receivers", &error))?;
    let builder = Nuncio::builder("demo.yml", CONFIG).environment(receivers.environment());
    let nuncio = builder.component(component.bytes()).component_limits(component.limits).start()?;
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
    let is_left = remains.is_none_or(|remains| remains.waiting + remains.in_flight > 0);
    let (delivered, total) = (board.count_delivered(), board.cells.len());
    let arrived = receivers.accepted();
    let is_well = delivered == total && total == arrived && !is_left;
    board.finish();
    super::print(&format!(
        "\n{delivered} of {total} deliveries arrived, {} of them after a retry; the receivers took {arrived} and refused {}.\n",
        board.count_retried(),
        receivers.refused(),
    ))?;
    if is_well {
        super::print(
            "Nothing was lost. Next: write nuncio.yml, then `nuncio check` and `nuncio send --title Hello`.\n",
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Other("what was handed in and what arrived differ".to_owned()))
}

/// What is on the screen: a row for each event, a column for each target.
struct Board {
    /// Where the picture is redrawn in place; elsewhere each end is a line.
    term: Option<Term>,
    titles: HashMap<String, String>,
    /// The events, in the order in which they were queued.
    events: Vec<String>,
    /// The targets, likewise.
    targets: Vec<String>,
    cells: HashMap<(String, String), Cell>,
    drawn: usize,
}

#[derive(Clone, Default)]
struct Cell {
    state: String,
    attempts: u32,
    is_delivered: bool,
}

impl Board {
    fn new(introduction: String) -> Self {
        say(&(introduction + "\n"));
        let term = std::io::stdout().is_terminal().then(Term::stdout);
        let (titles, cells) = (HashMap::new(), HashMap::new());
        Self { term, titles, events: Vec::new(), targets: Vec::new(), cells, drawn: 0 }
    }

    fn show(&mut self, event: Event) {
        let Event { id, target, at, happened } = event;
        let title = self.titles.get(&id).cloned().unwrap_or_default();
        let tell = |term: &Option<Term>, what: &str| {
            if term.is_none() {
                say(&format!("{target:8} {title}: {what}\n"));
            }
        };
        let mut cell = self.cells.remove(&(id.clone(), target.clone())).unwrap_or_default();
        cell.state = match happened {
            Happened::Queued => "queued".to_owned(),
            Happened::Started { attempt } => {
                cell.attempts = attempt;
                "sending".to_owned()
            }
            Happened::Retrying { detail, due, .. } => {
                let wait = due.saturating_sub(at);
                let again = format!("again in {}.{} s", wait / 1_000, wait % 1_000 / 100);
                tell(&self.term, &format!("{detail}; {again}"));
                again
            }
            Happened::Delivered { attempts } => {
                cell.is_delivered = true;
                let tries = if attempts > 1 { format!(", try {attempts}") } else { String::new() };
                tell(&self.term, &format!("delivered{tries}"));
                format!("delivered{tries}")
            }
            Happened::Dead { detail, .. } => {
                tell(&self.term, &format!("dead: {detail}"));
                "dead".to_owned()
            }
            Happened::Dropped => "dropped".to_owned(),
        };
        for (known, name) in [(&mut self.events, &id), (&mut self.targets, &target)] {
            if !known.contains(name) {
                known.push(name.clone());
            }
        }
        self.cells.insert((id, target), cell);
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
            say(&format!("\n{}\n", self.picture()));
        }
    }

    fn picture(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["event"].into_iter().chain(self.targets.iter().map(String::as_str)));
        for id in &self.events {
            let title = self.titles.get(id).cloned().unwrap_or_default();
            let state = |target: &String| {
                self.cells.get(&(id.clone(), target.clone())).cloned().unwrap_or_default().state
            };
            table.add_row([title].into_iter().chain(self.targets.iter().map(state)));
        }
        table.to_string()
    }

    fn count_delivered(&self) -> usize {
        self.cells.values().filter(|cell| cell.is_delivered).count()
    }

    fn count_retried(&self) -> usize {
        self.cells.values().filter(|cell| cell.is_delivered && cell.attempts > 1).count()
    }
}

/// Prints on the way. The demo goes on without a reader; the end says whether it could be printed.
fn say(text: &str) {
    let _ = super::print(text);
}
