//! `nuncio check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nuncio::brain::Brain;
use nuncio::config::Config;
use nuncio::contract::{Level, Notification};
use nuncio::environment::ProcessEnvironment;
use nuncio::notification::LARGEST_NOTIFICATION;
use nuncio::store::State;
use nuncio::{Nuncio, StartError};
use serde_json::json;

use super::{Component, ConfigFile, Failure, send};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Also say what the services have no room for in the notification of this file, JSON as `serve` takes it
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// Send a notification that says it is a test to each target, and show what became of it
    #[arg(long)]
    live: bool,
    /// With --live: how long to wait for the end
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration, requires = "live")]
    timeout: Duration,
    /// Print `{"ok", "targets", "problems": [{"line", "column", "problem", "hint"}], "warnings"}`, with --live also
    /// `"deliveries"` as `send` prints them
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let (name, text) = arguments.file.read()?;
    let brain = component.load()?;
    let config = match Config::load(&name, &text, &ProcessEnvironment, &brain) {
        Ok(config) => config,
        Err(StartError::Config(report)) if arguments.json => {
            let problems = report.lines();
            super::print_json(&json!({ "ok": false, "targets": [], "problems": problems, "warnings": [] }))?;
            return Ok(ExitCode::from(2));
        }
        Err(error) => return Err(error.into()),
    };
    let sample = arguments.sample.as_ref().map(|path| read_sample(path, &brain)).transpose()?;
    let mut warnings: Vec<String> = config.warnings().collect();
    warnings.extend(config.lint(&brain, sample.as_ref())?);
    let targets = brain.dispatcher(config.guest_config())?.targets()?;
    let targets: Vec<String> = targets.into_iter().map(|target| target.name).collect();
    if !arguments.json {
        warnings.iter().for_each(|warning| eprintln!("warning: {}", super::harmless(warning)));
        let number = super::count(targets.len() as u64, "target");
        super::print(&format!("{name}: {number}: {}\n", targets.join(", ")))?;
    }
    let mut printed = json!({ "ok": true, "targets": targets, "problems": [], "warnings": warnings });
    let mut arrived = true;
    if arguments.live {
        let deliveries = try_out(brain, config, &targets, arguments.timeout).await?;
        arrived = deliveries.iter().all(|delivery| delivery.progress.state == State::Delivered);
        if arguments.json {
            if let Some(printed) = printed.as_object_mut() {
                printed.insert("deliveries".to_owned(), json!(deliveries));
            }
        } else {
            super::print(&send::table(&deliveries))?;
        }
    }
    if arguments.json {
        super::print_json(&printed)?;
    }
    Ok(if arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_sample(path: &Path, brain: &Brain) -> Result<Notification, Failure> {
    let bytes = super::read_file(path, LARGEST_NOTIFICATION as u64 * 2)?;
    let name = path.display();
    let text = String::from_utf8(bytes).map_err(|_| Failure::Usage(format!("{name} is not UTF-8")))?;
    brain.read(&text, "sample", super::now())?.map_err(|problems| {
        let line = |problem: &nuncio::contract::Diagnostic| {
            let help =
                if problem.hint.is_empty() { String::new() } else { format!("\n  help: {}", problem.hint) };
            format!("{name}: {}: {}{help}", problem.path, problem.problem)
        };
        Failure::Usage(problems.iter().map(line).collect::<Vec<_>>().join("\nerror: "))
    })
}

/// Sends a test to every target, whatever their filters say.
async fn try_out(
    brain: Brain,
    config: Config,
    targets: &[String],
    timeout: Duration,
) -> Result<Vec<nuncio::store::Delivery>, Failure> {
    let nuncio = Nuncio::with_config(brain, config.without_parking()).start()?;
    let mut test = Notification::new(Level::Info, "Nuncio: a test")
        .text("This is a test. It was sent by `nuncio check --live`, and nothing happened.");
    test.to = targets.to_vec();
    let (_, deliveries) = send::deliver(&nuncio, test, Some(timeout))
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    Ok(deliveries)
}
