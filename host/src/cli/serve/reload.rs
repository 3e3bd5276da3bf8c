//! A new configuration for a running daemon: on SIGHUP, and when its file or one that it names has changed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use nuncio::brain::Brain;
use nuncio::config::queue::QueuePlace;
use nuncio::config::{Config, Files};
use nuncio::environment::ProcessEnvironment;
use nuncio::{Nuncio, StartError};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use crate::cli::{ConfigFile, Failure};
use crate::server::Server;

/// How long a file is left alone after a change: whoever writes it may not be done.
const SETTLING: Duration = Duration::from_millis(250);

/// How often the files that a configuration names are looked at, whether anybody said that they changed or not:
/// links and folders can be swapped in ways that nobody is told of.
const LOOKING: Duration = Duration::from_secs(30);

/// What a running daemon was configured by.
pub(super) struct Reload {
    file: ConfigFile,
    /// Its text, as it was seen last.
    text: Option<String>,
    /// The files that it names, as they were read.
    files: Files,
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
    /// For a daemon that began with this text and what lay in these files.
    pub(super) fn new(file: ConfigFile, text: String, files: Files, fixed: Fixed, brain: Brain) -> Self {
        Self { file, text: Some(text), files, fixed, brain }
    }

    /// Reloads whenever it is to; never ends.
    pub(super) async fn run(&mut self, nuncio: &Nuncio, server: &Server, hang_up: &mut Signal) {
        let (tell, mut changed) = mpsc::channel(1);
        let mut _watcher = self.watch(&tell);
        // It may have changed between the start and now, unseen.
        let _ = tell.try_send(());
        loop {
            let has_files = self.files.paths().next().is_some();
            let is_asked = tokio::select! {
                _ = hang_up.recv() => true,
                () = tokio::time::sleep(LOOKING), if has_files => false,
                _ = changed.recv() => {
                    tokio::time::sleep(SETTLING).await;
                    while changed.try_recv().is_ok() {}
                    false
                }
            };
            match self.file.read() {
                Ok((name, text)) => {
                    let is_new =
                        self.text.as_ref() != Some(&text) || self.files.have_changed(&ProcessEnvironment);
                    if !is_asked && !is_new {
                        continue;
                    }
                    let files = self.take(&name, &text, nuncio, server).await;
                    (self.text, self.files) = (Some(text), files);
                    // Other files, or other folders of the same names.
                    _watcher = self.watch(&tell);
                    // One may have changed before it was watched.
                    let _ = tell.try_send(());
                }
                // Said once, until there is a file again.
                Err(failure) if is_asked || self.text.is_some() => {
                    self.text = None;
                    refuse(failure);
                }
                Err(_) => {}
            }
        }
    }

    /// Goes on by a text, if it is right; either way returns the files that it names.
    async fn take(&self, name: &str, text: &str, nuncio: &Nuncio, server: &Server) -> Files {
        let config = match Config::load(name, text, &ProcessEnvironment, &self.brain) {
            Ok(config) => config,
            Err(error) => {
                let files = match &error {
                    StartError::Config(report) => report.files().clone(),
                    _ => self.files.clone(),
                };
                refuse(error.into());
                return files;
            }
        };
        let files = config.files().clone();
        let settings = config.server().clone();
        if let Err(failure) = super::require_tokens(self.fixed.address, &settings.tokens) {
            refuse(failure);
            return files;
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
        files
    }

    /// Has changes told of; for as long as the result lives.
    fn watch(&self, tell: &mpsc::Sender<()>) -> Option<RecommendedWatcher> {
        let config = self.file.path()?;
        watch(&config, &self.files, tell.clone())
            .inspect_err(|error| {
                tracing::warn!(%error, "changes of the configuration are not seen; send SIGHUP");
            })
            .ok()
    }
}

fn refuse(failure: Failure) {
    failure.report();
    eprintln!("nuncio goes on by the configuration that it has");
}

/// Watches the folders of the configuration and of the files that it names, because editors and orchestrators put a
/// new file in the place of the old one. What else happens there is nobody's business, unless one of the files is a
/// link, whose target can change in other ways: Kubernetes swaps the folder that its secrets are links into.
fn watch(config: &Path, files: &Files, tell: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let all: Vec<PathBuf> = std::iter::once(config).chain(files.paths()).map(Path::to_owned).collect();
    let has_links = all.iter().any(|path| path.is_symlink());
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let folders: BTreeSet<PathBuf> = files.paths().map(folder).collect();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_one = |path: &PathBuf| all.iter().any(|one| one.file_name() == path.file_name());
        let is_change =
            event.is_ok_and(|event| (has_links || event.paths.iter().any(is_one)) && !event.kind.is_access());
        // One word is enough, however much has changed.
        let _ = is_change.then(|| tell.try_send(()));
    })?;
    watcher.watch(&folder(config), RecursiveMode::NonRecursive)?;
    // A folder that is not there holds nothing that could change.
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::signal::unix::{SignalKind, signal};

    use super::*;

    /// A folder, and in it a configuration with a secret in the folder `current`, which leads to `first`.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            place.lead("first");
            let target =
                "{name: a, provider: webhook, url: 'http://a/', payload: '{}', token: '${secret:token}'}";
            std::fs::write(place.config(), format!("secrets_dir: current\ntargets: [{target}]\n")).unwrap();
            place
        }

        fn config(&self) -> PathBuf {
            self.0.path().join("nuncio.yml")
        }

        /// Has `current` lead to another folder, which has another secret in it.
        fn lead(&self, to: &str) {
            std::fs::create_dir(self.0.path().join(to)).unwrap();
            std::fs::write(self.0.path().join(to).join("token"), to).unwrap();
            let _ = std::fs::remove_file(self.0.path().join("current"));
            symlink(to, self.0.path().join("current")).unwrap();
        }

        fn load(&self, brain: &Brain) -> Config {
            let (path, text) = (self.config(), std::fs::read_to_string(self.config()).unwrap());
            Config::load(&path.display().to_string(), &text, &ProcessEnvironment, brain).unwrap()
        }
    }

    fn brain() -> Brain {
        Brain::new(nuncio::brain::EMBEDDED).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_nobody_is_told_of_is_seen_after_a_while() {
        let (place, brain) = (Place::new(), brain());
        let config = place.load(&brain);
        let (files, listen) = (config.files().clone(), config.server().listen);
        let nuncio = Nuncio::with_config(brain.clone(), config).start().unwrap();
        let server = Server::new(nuncio.clone(), &[], None);
        let (file, fixed) =
            (ConfigFile { config: Some(place.config()) }, Fixed { address: listen, listen, place: None });
        let text = std::fs::read_to_string(place.config()).unwrap();
        let mut reload = Reload::new(file, text, files, fixed, brain);
        let mut hang_up = signal(SignalKind::user_defined2()).unwrap();
        // Not the file's own folder is swapped, but one above it.
        let swap = async {
            tokio::time::sleep(2 * SETTLING).await;
            place.lead("second");
            tokio::time::sleep(LOOKING + SETTLING).await;
        };
        tokio::select! {
            () = reload.run(&nuncio, &server, &mut hang_up) => {}
            () = swap => {}
        }
        assert!(!reload.files.have_changed(&ProcessEnvironment), "it was read again");
    }

    /// Waits until it is told of a change.
    async fn told(changed: &mut mpsc::Receiver<()>) {
        let told = tokio::time::timeout(Duration::from_secs(30), changed.recv()).await;
        told.expect("it is told of within 30 s").expect("the watcher lives");
    }

    #[tokio::test]
    async fn changes_of_a_file_and_of_what_a_link_leads_to_are_told_of() {
        let place = Place::new();
        let config = place.load(&brain());
        let (tell, mut changed) = mpsc::channel(1);
        let watcher = watch(&place.config(), config.files(), tell.clone()).unwrap();
        std::fs::write(place.0.path().join("first/token"), "rotated").unwrap();
        told(&mut changed).await;
        drop(watcher);

        let link = place.0.path().join("link.yml");
        symlink(place.0.path().join("current/nuncio.yml"), &link).unwrap();
        let watcher = watch(&link, &Files::default(), tell).unwrap();
        let _ = changed.try_recv();
        place.lead("third");
        told(&mut changed).await;
        drop(watcher);
    }
}
