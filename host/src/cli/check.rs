//! `nuncio check`.

use std::process::ExitCode;

use nuncio::StartError;
use nuncio::config::Config;
use nuncio::environment::ProcessEnvironment;

use super::{Component, ConfigFile, Failure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Print `{"ok", "targets", "problems": [{"line", "column", "problem", "hint"}]}`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let (name, text) = arguments.file.read()?;
    let brain = component.load()?;
    match Config::load(&name, &text, &ProcessEnvironment, &brain) {
        Ok(config) => {
            config.warnings().for_each(|warning| eprintln!("warning: {warning}"));
            let targets = brain.dispatcher(config.guest_config())?.targets()?;
            let targets: Vec<String> = targets.into_iter().map(|target| target.name).collect();
            if arguments.json {
                super::print_json(&serde_json::json!({ "ok": true, "targets": targets, "problems": [] }))?;
            } else {
                let number = super::count(targets.len() as u64, "target");
                super::print(&format!("{name}: {number}: {}\n", targets.join(", ")))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(StartError::Config(report)) if arguments.json => {
            let problems = report.lines();
            super::print_json(&serde_json::json!({ "ok": false, "targets": [], "problems": problems }))?;
            Ok(ExitCode::from(2))
        }
        Err(error) => Err(error.into()),
    }
}
