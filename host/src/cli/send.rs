//! `nuncio send`: one notification, and its end.

use std::process::ExitCode;
use std::time::Duration;

use nuncio::Nuncio;
use nuncio::event::{Event, Happened};
use nuncio::store::{Delivery, State};
use serde_json::json;
use tokio::sync::broadcast;

use super::message::Message;
use super::urls::Urls;
use super::{Component, ConfigFile, Failure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    urls: Urls,
    #[command(flatten)]
    message: Message,
    /// Give up waiting after this long; what has not arrived by then counts as not delivered [default: wait
    /// for the end]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print `{"id", "deliveries": [{"target", "state", "attempts", "detail"}]}`; a state is delivered or
    /// dead, or after --timeout queued or retrying
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let (brain, config) = match arguments.urls.configuration() {
        Some(text) => super::read_config("the URLs", &text, component)?,
        None => arguments.file.load(component)?,
    };
    // Somebody waits for the end: an endpoint that is down is one.
    let nuncio = Nuncio::with_config(brain, config.without_parking()).start()?;
    let notification = arguments.message.read(|json| nuncio.read(json))?;
    // Whoever reads JSON reads the end.
    let watching = (!arguments.json).then(|| tokio::spawn(watch(nuncio.events())));
    let (id, deliveries) = deliver(&nuncio, notification, arguments.timeout)
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    if let Some(watching) = watching {
        watching.abort();
    }
    if arguments.json {
        super::print_json(&json!({ "id": id, "deliveries": deliveries }))?;
    } else {
        super::print(&table(&deliveries))?;
    }
    let has_arrived =
        !deliveries.is_empty() && deliveries.iter().all(|d| d.progress.state == State::Delivered);
    Ok(if has_arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) async fn deliver(
    nuncio: &Nuncio,
    notification: nuncio::contract::Notification,
    timeout: Option<Duration>,
) -> Result<(String, Vec<Delivery>), nuncio::NotifyError> {
    let receipt = nuncio.notify(notification)?.accepted().await?;
    match timeout {
        // What has not ended by then shows as it stands.
        Some(timeout) => drop(tokio::time::timeout(timeout, nuncio.flush()).await),
        None => nuncio.flush().await,
    }
    let record = nuncio.find(&receipt.id).await?;
    Ok((receipt.id, record.map(|record| record.deliveries).unwrap_or_default()))
}

/// Says what is being waited for.
async fn watch(mut events: broadcast::Receiver<Event>) {
    while let Ok(event) = events.recv().await {
        if let Happened::Retrying { detail, due, .. } = event.happened {
            let wait = due.saturating_sub(event.at);
            let seconds = format!("{}.{} s", wait / 1_000, wait % 1_000 / 100);
            eprintln!("{}: {detail}; trying again in {seconds}", event.target);
        }
    }
}

pub(super) fn table(deliveries: &[Delivery]) -> String {
    if deliveries.is_empty() {
        return "no target matched; `nuncio explain` with the same flags says why\n".to_owned();
    }
    let width = deliveries.iter().map(|delivery| delivery.target.chars().count()).max().unwrap_or(0);
    let line = |delivery: &Delivery| {
        let Delivery { target, progress } = delivery;
        let why = format!(": {}", progress.detail);
        let (state, why) = match progress.state {
            State::Delivered => ("delivered", String::new()),
            State::Dead => ("dead", why),
            State::Dropped => ("dropped", why),
            State::Queued | State::Retrying => ("waiting", why),
        };
        let attempts = super::count(progress.attempts, "attempt");
        format!("{target:width$}  {state:9}  {attempts}{why}\n")
    };
    deliveries.iter().map(line).collect()
}
