//! `nuncio serve`: the daemon.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nuncio::config::Config;
use nuncio::environment::ProcessEnvironment;
use nuncio::notification::LARGEST_NOTIFICATION;
use nuncio::store::StoreError;
use nuncio::{NotifyError, Nuncio, Remains};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, Failure};
use crate::server::{self, Server};

/// A line of standard input is no longer: a notification, and as much again for its JSON.
const LONGEST_LINE: u64 = 2 * LARGEST_NOTIFICATION as u64;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Where to take notifications; an address beyond this machine needs `server.tokens` [default:
    /// `server.listen`, or 127.0.0.1:7711]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Take notifications from standard input too, one JSON object a line; its end is as SIGTERM
    #[arg(long)]
    stdin: bool,
    /// How long to go on delivering after SIGTERM
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    grace: Duration,
}

/// How long a line waits before it is handed in again, while there is no room for it.
const WHILE_FULL: Duration = Duration::from_millis(100);

pub(super) async fn run(arguments: Arguments, component: Option<Vec<u8>>) -> Result<ExitCode, Failure> {
    let (name, text) = arguments.file.read()?;
    let brain = super::load_brain(component)?;
    let config = Config::load(&name, &text, &ProcessEnvironment, &brain)?;
    let settings = config.server().clone();
    let address = arguments.listen.unwrap_or(settings.listen);
    if !address.ip().is_loopback() && settings.tokens.is_empty() {
        return Err(Failure::Usage(format!(
            "{address} can be reached from other machines, and no token is set\n  help: set `server.tokens`, or listen on 127.0.0.1"
        )));
    }
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::Other(format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().unwrap_or(address);
    let nuncio = Nuncio::with_config(brain, config).start()?;
    let server = Server::new(nuncio.clone(), settings.tokens);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(server::serve(listener, Arc::new(server), stopped));
    eprintln!("nuncio listens on http://{address}");

    let lines = async {
        if arguments.stdin {
            take_lines(&nuncio, BufReader::new(tokio::io::stdin())).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = lines => {}
    }
    eprintln!(
        "nuncio is stopping; it delivers what it can within {}",
        humantime::format_duration(arguments.grace)
    );
    // The server first, so that nothing is answered 202 that is not taken.
    let _ = stop.send(true);
    let _ = serving.await;
    let remains = tokio::select! {
        remains = nuncio.shutdown(arguments.grace) => remains,
        // A second signal is impatient.
        _ = terminate.recv() => nuncio.shutdown(Duration::ZERO).await,
        _ = interrupt.recv() => nuncio.shutdown(Duration::ZERO).await,
    };
    let Some(remains) = remains else {
        return Err(Failure::Other("the dispatcher had ended before".to_owned()));
    };
    eprintln!("{}", describe(remains));
    Ok(ExitCode::SUCCESS)
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::Other(format!("cannot listen for signals: {error}")))
}

fn describe(remains: Remains) -> String {
    let Remains { waiting, in_flight } = remains;
    if waiting + in_flight == 0 {
        return "nuncio has stopped; nothing was left".to_owned();
    }
    format!(
        "nuncio has stopped; deliveries left, and lost, as the queue is in memory: {waiting} waiting, \
         {in_flight} broken off under way"
    )
}

/// Hands in line after line until the end. What is wrong with a line is said, and the next one is read.
async fn take_lines(nuncio: &Nuncio, mut input: impl AsyncBufRead + Unpin) {
    let mut number = 0_u64;
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let read = (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line).await;
        match read {
            Ok(0) => return,
            Err(error) => {
                eprintln!("error: cannot read standard input: {error}");
                return;
            }
            Ok(_) => {}
        }
        if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            eprintln!(
                "error: line {number} has more than {LONGEST_LINE} bytes, which is the most; it is left out"
            );
            if !skip_line(&mut input).await {
                return;
            }
        } else if !line.trim_ascii().is_empty()
            && let Err(problem) = take_line(nuncio, &line).await
        {
            eprintln!("error: line {number}: {problem}");
        }
    }
}

/// Reads past the next line break; `false` at the end of the input.
async fn skip_line(mut input: impl AsyncBufRead + Unpin) -> bool {
    loop {
        let (length, found) = match input.fill_buf().await {
            Ok([]) | Err(_) => return false,
            Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (bytes.len(), false),
            },
        };
        input.consume(length);
        if found {
            return true;
        }
    }
}

async fn take_line(nuncio: &Nuncio, line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let read = nuncio.read(text.trim()).map_err(|fault| fault.to_string())?;
    let notification = read.map_err(|problems| {
        let (message, hint) = server::describe(&problems);
        if hint.is_empty() { message } else { format!("{message} ({hint})") }
    })?;
    let receipt = loop {
        let accepted = match nuncio.notify(notification.clone()) {
            Ok(ticket) => ticket.accepted().await,
            Err(error) => Err(error),
        };
        match accepted {
            Ok(receipt) => break receipt,
            // Standard input can wait.
            Err(NotifyError::Full | NotifyError::Store(StoreError::Full)) => {
                tokio::time::sleep(WHILE_FULL).await
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    for unknown in server::unknown(&receipt) {
        eprintln!("warning: {}: {}", unknown.target, unknown.because);
    }
    Ok(())
}
