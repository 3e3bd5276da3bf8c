//! The commands: what they take, and where each is.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use nuncio::StartError;
use nuncio::brain::{Brain, BrainError, Fault};
use nuncio::clock::{Clock, SystemClock};
use nuncio::config::Config;
use nuncio::config::report::Report;
use nuncio::environment::{Environment, ProcessEnvironment};
use nuncio::store::StoreError;

use self::brain::{BrainArguments, Component};
use crate::selection::Misunderstood;

mod brain;
mod check;
mod completions;
mod component;
mod dead;
mod demo;
mod explain;
mod import;
mod message;
mod providers;
mod queue;
mod schema;
mod send;
mod serve;
mod simulate;
mod targets;
mod urls;

/// Where a configuration is looked for where none is named.
const DEFAULT_CONFIGS: [&str; 3] = ["nuncio.yml", "nuncio.yaml", "/etc/nuncio/nuncio.yml"];

/// A configuration file is no larger: 1 MiB.
const LARGEST_CONFIG: u64 = 1 << 20;

/// Delivers notifications to many services, retries what fails, and says what became of each.
///
/// Begin with `nuncio demo`, then write a configuration and try it with `nuncio check`, `nuncio explain`
/// and `nuncio send`.
#[derive(Parser)]
#[command(name = "nuncio", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    /// Say more about what happens; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(flatten)]
    brain: BrainArguments,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send one notification and wait for its end
    ///
    /// Exits with 0 where every delivery arrived, with 1 where one did not or no target matched, with 2
    /// where the command line or the configuration is wrong.
    Send(send::Arguments),
    /// Take notifications over HTTP and deliver them, until told to stop
    ///
    /// POST /v1/notifications takes a notification in JSON and answers 202 with its id once it is on disk;
    /// GET /v1/notifications lists, GET /v1/notifications/{id} shows what became of it; GET /healthz is for
    /// whoever watches.
    ///
    /// SIGTERM and SIGINT end it: it takes nothing more, goes on for the grace period, and leaves the rest
    /// in the queue. SIGHUP, or a change of the file, has it go on by the new configuration, if that is right.
    Serve(serve::Arguments),
    /// Show and steer what waits in the queue, also beside a running daemon
    Queue(queue::Arguments),
    /// Show, replay or drop what was given up, also beside a running daemon
    Dead(dead::Arguments),
    /// Show how each target is, or have one begin anew, also beside a running daemon
    Targets(targets::Arguments),
    /// Read a configuration and say everything that is wrong with it, and what will disappoint
    Check(check::Arguments),
    /// Show where a notification would go, why, and the exact requests
    Explain(explain::Arguments),
    /// Turn configurations of Apprise and GoDoxy, and notification URLs, into a configuration
    ///
    /// Prints YAML, and says on standard error what it could not carry over. Where anything is wrong, nothing is printed.
    Import(import::Arguments),
    /// List the providers, or show one's settings and an example
    Providers(providers::Arguments),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Write the brain's WebAssembly component to a file, for other hosts
    Component(component::Arguments),
    /// See it work: three receivers on this machine, six notifications, one outage
    ///
    /// The receivers listen on the loopback interface and behave as three services do; one fails twice. The
    /// notifications are those that a reverse proxy sends.
    Demo(demo::Arguments),
    /// Play an outage, a burst or a limit in virtual time, and see what the policy does
    ///
    /// Runs the brain and the dispatcher as they are against endpoints that follow a script, hours in seconds,
    /// and prints what became of every notification and at what price. The same scenario and seed give the
    /// same report.
    Simulate(simulate::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
}

/// Where the configuration is.
#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration; GoDoxy's file can be used as it is [default: nuncio.yml here, then
    /// /etc/nuncio/nuncio.yml]
    #[arg(short, long, value_name = "FILE", env = "NUNCIO_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

/// What ends a command early.
enum Failure {
    /// Wrong use or a wrong configuration: exit 2.
    Usage(String),
    /// The configuration is wrong: exit 2.
    Config(Box<Report>),
    /// Anything else: exit 1.
    Other(String),
}

/// Runs a command.
pub async fn run(arguments: Arguments) -> ExitCode {
    let component = match arguments.brain.read() {
        Ok(component) => component,
        Err(failure) => return failure.report(),
    };
    let done = match arguments.command {
        Command::Send(arguments) => send::run(arguments, &component).await,
        Command::Serve(arguments) => serve::run(arguments, &component).await,
        Command::Queue(arguments) => queue::run(arguments).await,
        Command::Dead(arguments) => dead::run(arguments).await,
        Command::Targets(arguments) => targets::run(arguments).await,
        Command::Check(arguments) => check::run(arguments, &component).await,
        Command::Explain(arguments) => explain::run(arguments, &component),
        Command::Import(arguments) => import::run(&arguments, &component),
        Command::Providers(arguments) => providers::run(&arguments, &component),
        Command::Schema => schema::run(&component),
        Command::Component(arguments) => component::run(&arguments, &component),
        Command::Demo(arguments) => demo::run(&arguments, &component).await,
        Command::Simulate(arguments) => simulate::run(arguments, component).await,
        Command::Completions(arguments) => completions::run(&arguments),
    };
    done.unwrap_or_else(Failure::report)
}

/// Sends what the library logs to standard error, unless `NUNCIO_LOG` says otherwise. What a command prints
/// says it all; only a daemon has nobody else to tell.
pub fn start_log(arguments: &Arguments) {
    let is_daemon = matches!(arguments.command, Command::Serve(_));
    let level = match arguments.verbose {
        0 if !is_daemon => "off",
        0 => "nuncio=info",
        1 => "nuncio=debug",
        _ => "trace",
    };
    let wanted = ProcessEnvironment.var("NUNCIO_LOG").and_then(|filter| filter.parse().ok());
    let filter = wanted.unwrap_or_else(|| tracing_subscriber::EnvFilter::from(level));
    let is_terminal = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(is_terminal).init();
}

// === impl ConfigFile ===

impl ConfigFile {
    /// The file that was named, or the first of those that are looked for; `None` where there is none.
    fn path(&self) -> Option<PathBuf> {
        let found = || DEFAULT_CONFIGS.iter().map(PathBuf::from).find(|path| path.is_file());
        self.config.clone().or_else(found)
    }

    /// The folder of the file, for paths in it that are relative.
    fn folder(&self) -> PathBuf {
        self.path().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default()
    }

    /// The same, of the file that is there now: what is named is looked for once.
    fn settled(self) -> Self {
        Self { config: self.path() }
    }

    /// The file's name as people know it, and its text.
    fn read(&self) -> Result<(String, String), Failure> {
        self.read_if_any()?.ok_or_else(|| {
            Failure::Usage(
                "there is no configuration\n  help: name one with `-c FILE`, or write nuncio.yml here"
                    .to_owned(),
            )
        })
    }

    /// As [`ConfigFile::read`], but nothing where no file was named and none is there.
    fn read_if_any(&self) -> Result<Option<(String, String)>, Failure> {
        let Some(path) = self.path() else { return Ok(None) };
        let name = path.display().to_string();
        match String::from_utf8(read_file(&path, LARGEST_CONFIG)?) {
            Ok(text) => Ok(Some((name, text))),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                Err(Failure::Usage(format!(
                    "{name} is not UTF-8, from byte {at} on\n  help: save it as UTF-8"
                )))
            }
        }
    }

    /// The brain and the configuration, read for each other.
    fn load(&self, component: &Component) -> Result<(Brain, Config), Failure> {
        let (name, text) = self.read()?;
        read_config(&name, &text, component)
    }
}

/// The brain and a configuration of this name, read for each other.
fn read_config(name: &str, text: &str, component: &Component) -> Result<(Brain, Config), Failure> {
    let brain = component.load()?;
    let config = Config::load(name, text, &ProcessEnvironment, &brain)?;
    // What is not a daemon has no log.
    config.warnings().for_each(|warning| eprintln!("warning: {warning}"));
    Ok((brain, config))
}

/// A file of at most so many bytes, whatever kind of file it is.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let cannot = |error: io::Error| Failure::Usage(format!("cannot read {name}: {error}"));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(Failure::Usage(format!("{name} is larger than {} MiB", most >> 20)));
    }
    Ok(bytes)
}

/// Prints to standard output; a reader that went away is no error worth a word.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a value as indented JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(json) => print(&(harmless_json(&json) + "\n")),
        Err(error) => Err(Failure::Other(format!("no JSON form: {error}"))),
    }
}

/// `1 attempt`, `2 attempts`.
fn count(number: impl Into<u64>, what: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// `1 delivery`, `2 deliveries`.
fn deliveries(number: u64) -> String {
    if number == 1 { "1 delivery".to_owned() } else { format!("{number} deliveries") }
}

/// The present instant.
fn now() -> u64 {
    SystemClock::default().now()
}

/// How long before an instant another one was, to the second.
fn age(now: u64, then: u64) -> String {
    let seconds = now.saturating_sub(then) / 1_000;
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

/// Text that others wrote, without what could steer a terminal or turn a line around.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect()
}

/// A control character, or one that says in which direction to write (Unicode Standard Annex 9, section 2).
fn is_harmful(c: char) -> bool {
    let is_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_direction
}

/// JSON in which such characters, which can only stand in texts, are escaped.
fn harmless_json(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmful(c) && c != '\n' {
            harmless += &format!("\\u{:04x}", u32::from(c));
        } else {
            harmless.push(c);
        }
    }
    harmless
}

/// How wide a table is where there is no terminal to say.
const WIDTH: u16 = 110;

/// A table that fits the terminal.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table
}

fn misunderstood(what: Misunderstood) -> Failure {
    Failure::Usage(format!("--{}: {}\n  help: {}", what.name, what.problem, what.hint))
}

// === impl Failure ===

impl Failure {
    fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                eprintln!("error: {text}");
                ExitCode::from(2)
            }
            Self::Config(report) => {
                let is_terminal = io::stderr().is_terminal();
                let text = if is_terminal { report.colored() } else { report.to_string() };
                eprintln!("{}", text.trim_end());
                ExitCode::from(2)
            }
            Self::Other(text) => {
                eprintln!("error: {text}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::Config(Box::new(report))
    }
}

impl From<BrainError> for Failure {
    fn from(error: BrainError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Other(fault.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(report) => report.into(),
            StartError::Brain(error) => error.into(),
            StartError::Thread(_) | StartError::Ended => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_steers_no_terminal() {
        let text = "a\u{1b}[2J\u{9b}b\u{202e}c\nd";
        assert_eq!(harmless(text), "a [2J b c d");
        let json = serde_json::to_string(text).unwrap();
        let shown = harmless_json(&json);
        assert_eq!(shown, "\"a\\u001b[2J\\u009bb\\u202ec\\nd\"");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }
}
