//! The library's face: a running dispatcher, and how to start one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::brain::{self, Brain, BrainError, Fault};
use crate::clock::{Clock, SystemClock, UnixMs};
use crate::config::Config;
use crate::config::report::Report;
use crate::contract::{Decision, Diagnostic, Notification};
use crate::dispatch::{Dispatch, Handed, Question, Sender};
use crate::egress::Egress;
use crate::entropy::Entropy;
use crate::environment::{Environment, ProcessEnvironment};
use crate::event::Event;
use crate::notification::LARGEST_NOTIFICATION;
use crate::schedule::Concurrency;
use crate::store::{MemoryStore, Record, Store, StoreError};

/// How many events a watcher may be behind before it misses some.
const EVENTS_KEPT: usize = 1024;

/// A running dispatcher. Clones share it; dropping the last one stops it at once, without waiting for
/// anything: use [`Nuncio::shutdown`].
#[derive(Clone)]
pub struct Nuncio {
    brain: Brain,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
    handed: mpsc::Sender<Handed>,
    asked: mpsc::Sender<Question>,
    events: broadcast::Sender<Event>,
}

/// How a dispatcher is started; see [`Nuncio::builder`].
pub struct Builder {
    config: Given,
    component: Option<Vec<u8>>,
    environment: Box<dyn Environment>,
    clock: Arc<dyn Clock>,
    store: Box<dyn Store>,
    seed: Option<u64>,
    buffer: usize,
    concurrency: Concurrency,
}

enum Given {
    Text { source: String, text: String },
    Read(Box<(Brain, Config)>),
}

/// A dispatcher cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong, in every place that the report lists.
    #[error(transparent)]
    Config(#[from] Report),
    /// The component cannot be used.
    #[error(transparent)]
    Brain(#[from] BrainError),
}

/// A notification was not taken. Nothing of it is kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotifyError {
    /// The buffer is full: more is handed in than is taken out. Try again in a second.
    #[error("the buffer is full; try again in a second")]
    Full,
    /// The dispatcher is shutting down, or has ended.
    #[error("the dispatcher takes nothing more; it is shutting down")]
    Closed,
    /// The notification is larger than [`LARGEST_NOTIFICATION`].
    #[error("the notification has {0} bytes; at most {LARGEST_NOTIFICATION} are taken")]
    TooLarge(usize),
    /// The caller's id is longer than 255 bytes or has other characters than visible ASCII: receivers get it
    /// in a header.
    #[error("the id is not 1 to 255 visible ASCII characters")]
    InvalidId,
    /// The queue takes nothing now, or has a notification of this id.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The guest broke off when it was asked where the notification goes.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A notification that was handed in.
#[derive(Debug)]
pub struct Ticket {
    /// Its id.
    pub id: String,
    receipt: oneshot::Receiver<Result<Receipt, NotifyError>>,
}

/// A notification that was accepted: from here on it ends as delivered or dead.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Its id.
    pub id: String,
    /// Where it goes and why, for every target; and names in `to` that no target has.
    pub decisions: Vec<Decision>,
}

/// What a dispatcher did so far, and what it has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Notifications accepted.
    pub accepted: u64,
    /// Of these, how many no target wanted.
    pub unmatched: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that wait for an attempt.
    pub waiting: u64,
    /// Deliveries of which an attempt is under way.
    pub in_flight: u64,
}

/// What was left when a dispatcher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Deliveries that waited for an attempt.
    pub waiting: usize,
    /// Deliveries whose attempt was broken off; their receivers may have them.
    pub in_flight: usize,
}

// === impl Builder ===

impl Builder {
    fn new(config: Given) -> Self {
        Self {
            config,
            component: None,
            environment: Box::new(ProcessEnvironment),
            clock: Arc::new(SystemClock),
            store: Box::new(MemoryStore::default()),
            seed: None,
            buffer: 100,
            concurrency: Concurrency::default(),
        }
    }

    /// Runs another build of the brain than the embedded one.
    #[must_use]
    pub fn component(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.component = Some(bytes.into());
        self
    }

    /// Where `${NAME}` in the configuration is looked up; the process's environment by default.
    #[must_use]
    pub fn environment(mut self, environment: impl Environment + 'static) -> Self {
        self.environment = Box::new(environment);
        self
    }

    /// Where time comes from; the system's clock by default.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where the queue is kept; in memory by default.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Box::new(store);
        self
    }

    /// Makes every random choice repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many notifications may be handed in before the dispatcher has looked at the first; 100 by
    /// default, at least 1.
    #[must_use]
    pub fn buffer(mut self, notifications: usize) -> Self {
        self.buffer = notifications.max(1);
        self
    }

    /// How many deliveries may be under way at once; 4 to one target and 256 in all by default.
    #[must_use]
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        let Concurrency { per_lane, in_all } = concurrency;
        self.concurrency = Concurrency { per_lane: per_lane.max(1), in_all: in_all.max(1) };
        self
    }

    /// Reads the configuration and starts the dispatcher on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Where the configuration is wrong, with everything that is; or the component cannot be used.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(self) -> Result<Nuncio, StartError> {
        let (brain, config) = match self.config {
            Given::Read(read) => *read,
            Given::Text { source, text } => {
                let brain = Brain::new(self.component.as_deref().unwrap_or(brain::EMBEDDED))?;
                let config = Config::load(&source, &text, &*self.environment, &brain)?;
                (brain, config)
            }
        };
        let (guest_config, secrets, _) = config.into_parts();
        let dispatcher = Arc::new(brain.dispatcher(&guest_config).map_err(BrainError::from)?);
        let targets = dispatcher.targets().map_err(BrainError::from)?;
        let entropy = Arc::new(self.seed.map_or_else(Entropy::from_system, Entropy::from_seed));
        let (handed, take) = mpsc::channel(self.buffer);
        let (asked, answer) = mpsc::channel(64);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let sender = Sender { egress: Egress::new(Arc::clone(&self.clock)), secrets };
        let dispatch = Dispatch::new(
            dispatcher,
            Arc::clone(&self.clock),
            Arc::clone(&entropy),
            self.store,
            sender,
            events.clone(),
            targets,
            self.concurrency,
        );
        tokio::spawn(dispatch.run(take, answer));
        Ok(Nuncio { brain, clock: self.clock, entropy, handed, asked, events })
    }
}

// === impl Nuncio ===

impl Nuncio {
    /// Begins with a configuration in YAML; `source` is what problems in it are reported under, usually
    /// the file's name.
    #[must_use]
    pub fn builder(source: impl Into<String>, config: impl Into<String>) -> Builder {
        Builder::new(Given::Text { source: source.into(), text: config.into() })
    }

    /// Begins with a configuration that was read already, and the brain that it was read for. The
    /// builder's component and environment then do nothing.
    #[must_use]
    pub fn with_config(brain: Brain, config: Config) -> Builder {
        Builder::new(Given::Read(Box::new((brain, config))))
    }

    /// Hands in a notification. Never waits: a full buffer is an error at once.
    ///
    /// The notification gets an id if it has none, and the present time. An id must be new. The result can be dropped; await
    /// [`Ticket::accepted`] to know that the notification is in the queue.
    ///
    /// # Errors
    ///
    /// Where it was not taken.
    pub fn notify(&self, mut notification: Notification) -> Result<Ticket, NotifyError> {
        notification.at = self.clock.now();
        if notification.id.is_empty() {
            notification.id = self.entropy.id(notification.at);
        }
        if notification.id.len() > 255 || !notification.id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotifyError::InvalidId);
        }
        let size = notification.size();
        if size > LARGEST_NOTIFICATION {
            return Err(NotifyError::TooLarge(size));
        }
        let (reply, receipt) = oneshot::channel();
        let id = notification.id.clone();
        match self.handed.try_send(Handed { notification, reply }) {
            Ok(()) => Ok(Ticket { id, receipt }),
            Err(mpsc::error::TrySendError::Full(_)) => Err(NotifyError::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotifyError::Closed),
        }
    }

    /// Reads a notification in JSON, for [`Nuncio::notify`].
    ///
    /// # Errors
    ///
    /// The outer error where the guest breaks off; the inner is everything that is wrong with the text.
    pub fn read(&self, json: &str) -> Result<Result<Notification, Vec<Diagnostic>>, Fault> {
        self.brain.read(json, "", self.clock.now())
    }

    /// What became of a notification; `None` where it was never accepted, or ended so long ago that the
    /// queue no longer knows it.
    ///
    /// # Errors
    ///
    /// Where the queue cannot be read, or the dispatcher has ended.
    pub async fn find(&self, id: &str) -> Result<Option<Record>, NotifyError> {
        Ok(self.ask(|reply| Question::Find(id.to_owned(), reply)).await.ok_or(NotifyError::Closed)??)
    }

    /// What was done so far, and what is to do; `None` where the dispatcher has ended.
    pub async fn stats(&self) -> Option<Stats> {
        self.ask(Question::Stats).await
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Waits until nothing is in flight and nothing is due, and returns when something is due next; `None`
    /// where nothing is, or the dispatcher has ended.
    pub async fn idle(&self) -> Option<UnixMs> {
        self.ask(Question::Idle).await.flatten()
    }

    /// Waits until nothing is left: everything that was handed in has ended as delivered or dead, retries and
    /// all, or the dispatcher has ended. While others keep handing in, that moment may never come.
    pub async fn flush(&self) {
        while let Some(due) = self.idle().await {
            let wait = due.saturating_sub(self.clock.now());
            self.clock.sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Takes nothing more, goes on for at most `grace`, and says what was left. Ends sooner where nothing
    /// is left that could be done within `grace`.
    ///
    /// Of two shutdowns the more impatient one counts. `None` where the dispatcher had ended before.
    pub async fn shutdown(&self, grace: Duration) -> Option<Remains> {
        self.ask(|reply| Question::Shutdown(grace, reply)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asked.send(question(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Ticket {
    /// Waits until the notification is in the queue.
    ///
    /// # Errors
    ///
    /// Where it was not taken after all.
    pub async fn accepted(self) -> Result<Receipt, NotifyError> {
        self.receipt.await.unwrap_or(Err(NotifyError::Closed))
    }
}
