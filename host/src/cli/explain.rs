//! `nuncio explain`: what `send` with the same flags would do, without doing it.

use std::process::ExitCode;

use nuncio::contract::{Choice, Decision};
use nuncio::egress::assemble::{MaskedRequest, masked};
use serde::Serialize;

use super::message::Message;
use super::{Component, ConfigFile, Failure};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn run(arguments: Arguments, component: &Component) -> Result<ExitCode, Failure> {
    let (brain, config) = arguments.file.load(component)?;
    // Nothing is sent, so neither the id nor the time is anybody's.
    let id = "00000000-0000-7000-8000-000000000000";
    let notification = arguments.message.read(|json| brain.read(json, id, 0))?;
    let dispatcher = brain.dispatcher(config.guest_config())?;
    // The decisions on targets come first, in their order.
    let explain = |(number, decision): (u32, Decision)| {
        let requests = || {
            let requests = dispatcher.format(number, &notification, false, 0);
            let requests = requests.map_err(|fault| fault.to_string())??;
            let route = config.route(&decision.target).ok_or("the configuration has no such target")?;
            let mask = |request| masked(request, &decision.target, config.secrets(), route);
            requests.iter().map(mask).collect::<Result<Vec<_>, _>>().map_err(|refusal| refusal.to_string())
        };
        let requests = if decision.choice == Choice::Send { requests() } else { Ok(Vec::new()) };
        let choice = match decision.choice {
            Choice::Send => "send",
            Choice::Skip => "skip",
            Choice::Unknown => "unknown",
        };
        let (requests, error) = match requests {
            Ok(requests) => (requests, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Explained { target: decision.target, choice, because: decision.because, requests, error }
    };
    let explained: Vec<Explained> = (0..).zip(dispatcher.explain(&notification)?).map(explain).collect();
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
        if let Some(error) = &self.error {
            text += &format!("    it cannot be sent: {error}\n");
        }
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
