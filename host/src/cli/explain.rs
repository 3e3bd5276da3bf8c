//! `nuncio explain`: what `send` with the same flags would do, without doing it.

use std::process::ExitCode;

use nuncio::contract::{Attempt, Choice, Decision};
use nuncio::egress::assemble::{MaskedRequest, masked};
use serde::Serialize;

use super::message::Message;
use super::{ConfigFile, Failure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    message: Message,
    /// Print a list of `{"target", "choice", "because", "requests"}`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Explained {
    target: String,
    choice: &'static str,
    because: String,
    requests: Vec<MaskedRequest>,
}

pub(super) fn run(arguments: Arguments, component: Option<Vec<u8>>) -> Result<ExitCode, Failure> {
    let (brain, config) = arguments.file.load(component)?;
    // Nothing is sent, so neither the id nor the time is anybody's.
    let id = "00000000-0000-7000-8000-000000000000";
    let notification = arguments.message.read(|json| brain.read(json, id, 0))?;
    let dispatcher = brain.dispatcher(config.guest_config())?;
    let attempt = Attempt { number: 0, first_tried: 0, level: notification.level };
    let explain = |decision: Decision| {
        let requests = if decision.choice == Choice::Send {
            let requests = dispatcher.format(&decision.target, &notification, attempt, 0)?;
            let requests = requests.map_err(|why| Failure::Other(format!("{}: {why}", decision.target)))?;
            let mask = |request| masked(request, &decision.target, config.secrets());
            let masked: Result<Vec<_>, _> = requests.iter().map(mask).collect();
            masked.map_err(|refusal| Failure::Other(format!("{}: {refusal}", decision.target)))?
        } else {
            Vec::new()
        };
        let choice = match decision.choice {
            Choice::Send => "send",
            Choice::Skip => "skip",
            Choice::Unknown => "unknown",
        };
        Ok(Explained { target: decision.target, choice, because: decision.because, requests })
    };
    let explained: Vec<Explained> =
        dispatcher.route(&notification)?.into_iter().map(explain).collect::<Result<_, Failure>>()?;
    if arguments.json {
        super::print_json(&explained)?;
    } else {
        super::print(&explained.iter().map(Explained::show).collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Explained {
    fn show(&self) -> String {
        let mut text = format!("{}: {}, because {}\n", self.target, self.choice, self.because);
        for request in &self.requests {
            text += &format!("\n    {} {}\n", request.method, request.url);
            for (name, value) in &request.headers {
                text += &format!("    {name}: {value}\n");
            }
            if !request.body.is_empty() {
                text += "\n";
                for line in request.body.lines() {
                    text += &format!("    {line}\n");
                }
            }
            text += "\n";
        }
        text
    }
}
