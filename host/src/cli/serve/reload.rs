//! A new configuration for a running daemon: on SIGHUP, and when the file has changed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use nuncio::Nuncio;
use nuncio::brain::Brain;
use nuncio::config::Config;
use nuncio::config::queue::QueuePlace;
use nuncio::environment::ProcessEnvironment;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use crate::cli::{ConfigFile, Failure};
use crate::server::Server;

/// How long a file is left alone after a change: whoever writes it may not be done.
const SETTLING: Duration = Duration::from_millis(250);

/// What a running daemon was configured by.
pub(super) struct Reload {
    file: ConfigFile,
    /// Its text, as it was seen last.
    text: Option<String>,
    fixed: Fixed,
    brain: Brain,
}

/// What takes a restart to change.
pub(super) struct Fixed {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Where the configuration said to.
    pub(super) listen: SocketAddr,
    /// Where the configuration said to keep the queue.
    pub(super) place: Option<QueuePlace>,
}

impl Reload {
    pub(super) fn new(file: ConfigFile, text: String, fixed: Fixed, brain: Brain) -> Self {
        Self { file, text: Some(text), fixed, brain }
    }

    /// Reloads whenever it is to; never ends.
    pub(super) async fn run(&mut self, nuncio: &Nuncio, server: &Server, hang_up: &mut Signal) {
        let (tell, mut changed) = mpsc::channel(1);
        let watcher = self.file.path().map(|path| watch(path, tell.clone()));
        // It may have changed between the start and now, unseen.
        let _ = tell.try_send(());
        // The sender lives as long as this does, whether anybody watches or not.
        let _kept = tell;
        if let Some(Err(error)) = &watcher {
            tracing::warn!(%error, "changes of the configuration are not seen; send SIGHUP");
        }
        loop {
            let is_asked = tokio::select! {
                _ = hang_up.recv() => true,
                _ = changed.recv() => {
                    tokio::time::sleep(SETTLING).await;
                    while changed.try_recv().is_ok() {}
                    false
                }
            };
            match self.file.read() {
                Ok((name, text)) if is_asked || self.text.as_ref() != Some(&text) => {
                    self.text = Some(text.clone());
                    self.take(&name, &text, nuncio, server).await;
                }
                Ok(_) => {}
                // Said once, until there is a file again.
                Err(failure) if is_asked || self.text.is_some() => {
                    self.text = None;
                    refuse(failure);
                }
                Err(_) => {}
            }
        }
    }

    async fn take(&self, name: &str, text: &str, nuncio: &Nuncio, server: &Server) {
        let config = match Config::load(name, text, &ProcessEnvironment, &self.brain) {
            Ok(config) => config,
            Err(error) => return refuse(error.into()),
        };
        let settings = config.server().clone();
        if let Err(failure) = super::require_tokens(self.fixed.address, &settings.tokens) {
            return refuse(failure);
        }
        if settings.listen != self.fixed.listen {
            eprintln!("warning: `server.listen` has changed; that takes a restart");
        }
        if config.queue().place != self.fixed.place {
            eprintln!("warning: `queue.path` has changed; that takes a restart");
        }
        match nuncio.reload(config).await {
            Ok(()) => {
                server.set_tokens(&settings.tokens);
                eprintln!("nuncio goes on by the new {name}");
            }
            Err(error) => refuse(error.into()),
        }
    }
}

fn refuse(failure: Failure) {
    failure.report();
    eprintln!("nuncio goes on by the configuration that it has");
}

/// Watches the folder of a file, because editors put a new file in the place of the old one. What else happens
/// there is nobody's business, unless the file is a link, whose target can change in other ways.
fn watch(path: PathBuf, tell: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned);
    let is_link = path.is_symlink();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = event.is_ok_and(|event| {
            let is_it = event.paths.iter().any(|other| other.file_name() == path.file_name());
            (is_it || is_link) && !event.kind.is_access()
        });
        // One word is enough, however much has changed.
        let _ = is_change.then(|| tell.try_send(()));
    })?;
    watcher.watch(&folder.unwrap_or_else(|| PathBuf::from(".")), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
