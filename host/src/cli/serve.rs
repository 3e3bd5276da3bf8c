//! `nuncio serve`: the daemon.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nuncio::config::Config;
use nuncio::config::queue::QueuePlace;
use nuncio::entropy::Entropy;
use nuncio::environment::ProcessEnvironment;
use nuncio::store::{MemoryStore, OpenError, Owner, SqliteStore};
use nuncio::{Builder, Nuncio, Remains};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{Component, ConfigFile, Failure, queue};
use crate::server::{self, Server};

mod lines;
mod reload;

use reload::{Fixed, Reload};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Where to take notifications; an address beyond this machine needs `server.tokens` [default:
    /// `server.listen`, or 127.0.0.1:7711]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where to keep the queue: a file, or `memory` to lose it with the process [default: `queue.path`, or
    /// nuncio/queue.db in the folder for the state of programs]
    #[arg(long, value_name = "FILE", env = "NUNCIO_QUEUE", hide_env_values = true)]
    queue: Option<String>,
    /// Take notifications from standard input too, one JSON object a line; its end is as SIGTERM
    #[arg(long)]
    stdin: bool,
    /// How long to go on delivering after SIGTERM
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    grace: Duration,
}

pub(super) async fn run(mut arguments: Arguments, component: &Component) -> Result<ExitCode, Failure> {
    arguments.file = arguments.file.settled();
    let (name, text) = arguments.file.read()?;
    // What it takes to get started is several times what a daemon needs.
    let kept_for = crate::keep_memory_for(0);
    let brain = component.load()?;
    let config = Config::load(&name, &text, &ProcessEnvironment, &brain)?;
    let settings = config.server().clone();
    let address = arguments.listen.unwrap_or(settings.listen);
    require_tokens(address, &settings.tokens)?;
    let place = place(&arguments, &config)?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut hang_up = listen_for(SignalKind::hangup())?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::Other(format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().unwrap_or(address);
    let control = control_token();
    let (before, queue) = (config.queue().place.clone(), describe_place(&place));
    let files = config.files().clone();
    let nuncio =
        with_queue(Nuncio::with_config(brain.clone(), config), &place, address, &control).await?.start()?;
    let server = Arc::new(Server::new(nuncio.clone(), &settings.tokens, Some(&control)));
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(server::serve(listener, Arc::clone(&server), stopped));
    // In one piece: whoever waits for this line must not see half of it.
    let line = format!("nuncio listens on http://{address}, and keeps its queue in {queue}\n");
    // Nobody has to read it.
    let _ = std::io::stderr().write_all(line.as_bytes());

    let lines = async {
        if arguments.stdin {
            lines::take_lines(&nuncio, BufReader::new(tokio::io::stdin())).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let fixed = Fixed { address, listen: settings.listen, place: before };
    let mut reload = Reload::new(arguments.file, text, files, fixed, brain);
    crate::keep_memory_for(kept_for);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = lines => {}
        () = reload.run(&nuncio, &server, &mut hang_up) => {}
        () = nuncio.ended() => {
            return Err(Failure::Other("the dispatcher has broken off; the log says why".to_owned()));
        }
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
    eprintln!("{}", describe(remains, &place));
    Ok(ExitCode::SUCCESS)
}

/// Refuses an address that others can reach where none of them is asked for a token.
fn require_tokens(address: SocketAddr, tokens: &[SecretString]) -> Result<(), Failure> {
    if address.ip().is_loopback() || !tokens.is_empty() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{address} can be reached from other machines, and no token is set\n  help: set `server.tokens`, or listen on 127.0.0.1"
    )))
}

/// Where the queue is to be.
fn place(arguments: &Arguments, config: &Config) -> Result<QueuePlace, Failure> {
    let named = arguments.queue.as_deref().map(QueuePlace::parse);
    let configured = || config.queue().place.clone().map(|place| place.below(&arguments.file.folder()));
    if let Some(place) = named.or_else(configured) {
        return Ok(place);
    }
    queue::place::default(&ProcessEnvironment).map(QueuePlace::File).ok_or_else(queue::nowhere)
}

/// Opens the queue, and leaves word beside it how to reach this process.
async fn with_queue(
    builder: Builder,
    place: &QueuePlace,
    address: SocketAddr,
    control: &SecretString,
) -> Result<Builder, Failure> {
    let QueuePlace::File(path) = place else { return Ok(builder.store(MemoryStore::default())) };
    let mut store = open(path).await.map_err(|error| match error {
        OpenError::InUse(_) => Failure::Other(error.to_string()),
        error => Failure::Usage(error.to_string()),
    })?;
    if store.is_readable_by_others() {
        eprintln!("warning: others can read {}; `chmod 600` it, and what lies beside it", path.display());
    }
    let owner = Owner {
        process: std::process::id(),
        address: Some(address.to_string()),
        token: Some(control.expose_secret().to_owned()),
    };
    let cannot = |error| Failure::Other(format!("cannot write beside {}: {error}", path.display()));
    store.announce(&owner).map_err(cannot)?;
    Ok(builder.store(store))
}

/// Opens a queue's file. A command that has it for a moment is waited for, another daemon is not.
async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = Duration::from_secs(5);
    loop {
        match SqliteStore::open(path) {
            Err(OpenError::InUse(in_use))
                if !left.is_zero() && in_use.owner.as_ref().is_none_or(|owner| owner.address.is_none()) =>
            {
                tokio::time::sleep(STEP).await;
                left = left.saturating_sub(STEP);
            }
            opened => return opened,
        }
    }
}

/// 256 bits that nobody can foretell.
fn control_token() -> SecretString {
    let entropy = Entropy::from_system();
    let words: String = (0..4).map(|_| format!("{:016x}", entropy.number())).collect();
    words.into()
}

fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Other(format!("cannot listen for signals: {error}")))
}

fn describe_place(place: &QueuePlace) -> String {
    match place {
        QueuePlace::Memory => "memory, where it is lost with the process".to_owned(),
        QueuePlace::File(path) => {
            std::path::absolute(path).unwrap_or_else(|_| Path::to_owned(path)).display().to_string()
        }
    }
}

fn describe(remains: Remains, place: &QueuePlace) -> String {
    let Remains { waiting, in_flight, unwritten } = remains;
    if waiting + in_flight + unwritten == 0 {
        return "nuncio has stopped; nothing was left".to_owned();
    }
    let what = match place {
        QueuePlace::Memory => "deliveries left, and lost, as the queue was in memory",
        QueuePlace::File(_) => "deliveries stay in the queue for the next start",
    };
    let mut text = format!("nuncio has stopped; {what}: {waiting} waiting, {in_flight} broken off under way");
    if unwritten > 0 {
        text += &format!(", {unwritten} that ended and are sent again, as the queue could not be written");
    }
    text
}
