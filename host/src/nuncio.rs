//! The library's face: a running dispatcher.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::alert;
use crate::brain::{Brain, BrainError, Fault};
use crate::builder::{Builder, StartError};
use crate::clock::{Clock, UnixMs};
use crate::config::Config;
use crate::contract::{Diagnostic, Notification};
use crate::dispatch::{Handed, Question, Reads, Setup, Steer, Steered};
use crate::egress::Egress;
use crate::entropy::Entropy;
use crate::event::Event;
use crate::notification::LARGEST_NOTIFICATION;
use crate::store::{DeliveryKey, Entry, Health, Limits, Page, Query, Record, StoreError, Usage};

/// No id and no idempotency key is longer, in bytes.
const LONGEST_ID: usize = 255;

/// A running dispatcher. Clones share it; dropping the last one stops it at once, without waiting for
/// anything: use [`Nuncio::shutdown`].
#[derive(Clone)]
pub struct Nuncio {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handed: mpsc::Sender<Handed>,
    pub(crate) asked: mpsc::Sender<Question>,
    pub(crate) events: broadcast::Sender<Event>,
}

/// What every clone has.
pub(crate) struct Shared {
    pub(crate) brain: Brain,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) egress: Arc<dyn Egress>,
    pub(crate) reads: Reads,
    /// What the store keeps to where the configuration says nothing.
    pub(crate) default_limits: Limits,
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
    /// The caller's id or idempotency key is longer than 255 bytes or has other characters than visible
    /// ASCII (receivers get it in a header), or begins as those of our own notices do.
    #[error("an id or idempotency key is not 1 to 255 visible ASCII characters, or begins with `{prefix}`", prefix = alert::PREFIX)]
    InvalidId,
    /// The queue takes nothing now, or has another notification under this id or key.
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
    /// The names of the targets that get it; `nuncio explain` says why these and no others.
    pub targets: Vec<Arc<str>>,
    /// The names in `to` that no target has.
    pub unknown: Vec<UnknownTarget>,
    /// Whether it had been handed in before: then the id is that of the first time, and nothing more happens.
    pub is_repeat: bool,
}

/// A name in `to` that no target has. A dead letter under this name says so, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTarget {
    /// The name.
    pub name: String,
    /// That, and which name may be meant, for people.
    pub because: String,
}

/// What a dispatcher did so far, and what it has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Notifications accepted.
    pub accepted: u64,
    /// Of these, how many no target wanted.
    pub unmatched: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that somebody took out.
    pub dropped: u64,
    /// Deliveries that wait for an attempt.
    pub waiting: u64,
    /// Deliveries of which an attempt is under way, or has ended and is being written down.
    pub in_flight: u64,
    /// Whether what was in the queue at the start is still being read; it is not all counted yet.
    pub is_recovering: bool,
    /// Whether the queue can be written; while it cannot, nothing is taken in and nothing sent.
    pub is_storing: bool,
}

/// How a target is.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetHealth {
    /// Its name, what is remembered of its endpoint, and what went wrong last.
    pub health: Health,
    /// How many deliveries to it wait for an attempt.
    pub waiting: u64,
    /// When the next attempt could begin, by the wall clock; `None` where nothing waits, or all it may have
    /// are under way.
    pub next_try: Option<UnixMs>,
}

/// What was left when a dispatcher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Deliveries that waited for an attempt.
    pub waiting: usize,
    /// Deliveries whose attempt was broken off; their receivers may have them.
    pub in_flight: usize,
    /// Deliveries whose attempt had ended, which could not be written down; they are sent again.
    pub unwritten: usize,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            accepted: 0,
            unmatched: 0,
            delivered: 0,
            dead: 0,
            dropped: 0,
            waiting: 0,
            in_flight: 0,
            is_recovering: true,
            is_storing: true,
        }
    }
}

// === impl Nuncio ===

impl Nuncio {
    /// Begins with a configuration in YAML; `source` is what problems in it are reported under, usually
    /// the file's name.
    #[must_use]
    pub fn builder(source: impl Into<String>, config: impl Into<String>) -> Builder {
        Builder::of_text(source.into(), config.into())
    }

    /// Begins with a configuration that was read already, and the brain that it was read for. The
    /// builder's component, its limits and the environment then do nothing.
    #[must_use]
    pub fn with_config(brain: Brain, config: Config) -> Builder {
        Builder::of_config(brain, config)
    }

    /// Hands in a notification. Never waits: a full buffer is an error at once.
    ///
    /// The notification gets an id if it has none, and the present time. One whose id was handed in before is
    /// the same notification, as long as that one is kept. The result can be dropped; await
    /// [`Ticket::accepted`] to know that the notification is in the queue.
    ///
    /// # Errors
    ///
    /// Where it was not taken.
    pub fn notify(&self, notification: Notification) -> Result<Ticket, NotifyError> {
        self.hand_in(None, notification)
    }

    /// As [`Nuncio::notify`]; what was handed in with the same key before is the same notification, as long as
    /// that one is kept.
    ///
    /// # Errors
    ///
    /// Where it was not taken.
    pub fn notify_once(
        &self,
        idempotency_key: impl Into<String>,
        notification: Notification,
    ) -> Result<Ticket, NotifyError> {
        self.hand_in(Some(idempotency_key.into()), notification)
    }

    fn hand_in(
        &self,
        idempotency_key: Option<String>,
        mut notification: Notification,
    ) -> Result<Ticket, NotifyError> {
        notification.at = self.shared.clock.now();
        if notification.id.is_empty() {
            notification.id = self.shared.entropy.id(notification.at);
        }
        if notification.id.starts_with(alert::PREFIX) {
            return Err(NotifyError::InvalidId);
        }
        let is_id = |text: &String| {
            (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_id(&notification.id) || !idempotency_key.as_ref().is_none_or(is_id) {
            return Err(NotifyError::InvalidId);
        }
        let size = notification.size();
        if size > LARGEST_NOTIFICATION {
            return Err(NotifyError::TooLarge(size));
        }
        let (reply, receipt) = oneshot::channel();
        let id = notification.id.clone();
        match self.handed.try_send(Handed { notification, idempotency_key, reply }) {
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
        self.shared.brain.read(json, "", self.shared.clock.now())
    }

    /// What became of a notification; `None` where it was never accepted, or ended so long ago that the
    /// queue no longer knows it.
    ///
    /// # Errors
    ///
    /// Where the queue cannot be read.
    pub async fn find(&self, id: &str) -> Result<Option<Record>, StoreError> {
        let id = id.to_owned();
        self.shared.reads.run(move |reader| reader.find(&id)).await
    }

    /// A page of a list of deliveries.
    ///
    /// # Errors
    ///
    /// Where the queue cannot be read.
    pub async fn list(&self, query: Query) -> Result<Page, StoreError> {
        self.shared.reads.run(move |reader| reader.list(&query)).await
    }

    /// How much the queue holds.
    ///
    /// # Errors
    ///
    /// Where the queue cannot be read.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        self.shared.reads.run(|reader| reader.usage()).await
    }

    /// Changes where deliveries stand, and says of how many. Those that are not there are left alone.
    ///
    /// # Errors
    ///
    /// Where the queue cannot be read, or the dispatcher has ended.
    pub async fn steer(&self, steer: Steer, keys: Vec<DeliveryKey>) -> Result<Steered, NotifyError> {
        let asked = keys.len() as u64;
        let entries: Vec<Entry> = self.shared.reads.run(move |reader| reader.entries(&keys)).await?;
        let missing = asked.saturating_sub(entries.len() as u64);
        let steered = self.ask(|reply| Question::Steer(steer, entries, reply)).await;
        let mut steered = steered.ok_or(NotifyError::Closed)?;
        steered.unchanged += missing;
        Ok(steered)
    }

    /// Goes on by another configuration. Nothing is lost or repeated: what waits for a target waits for the
    /// target of that name, what is under way ends as it began, and what waits for a target that is gone waits
    /// until there is one of that name again, or it is too old.
    ///
    /// # Errors
    ///
    /// Where the component cannot be used with this configuration; then nothing changes.
    pub async fn reload(&self, config: Config) -> Result<(), StartError> {
        config.warnings().for_each(|warning| tracing::warn!("{warning}"));
        let Shared { brain, egress, default_limits, .. } = &*self.shared;
        let (limits, in_all) = (config.queue().limits(*default_limits), config.queue().concurrency);
        let setup = Setup::of(brain, config, Arc::clone(egress)).map_err(BrainError::from)?;
        let reload = |reply| Question::Reload(Arc::new(setup), limits, in_all, reply);
        self.ask(reload).await.ok_or(StartError::Ended)
    }

    /// The present instant, by the wall clock that the dispatcher goes by.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.shared.clock.now()
    }

    /// What was done so far, and what is to do; `None` where the dispatcher has ended.
    pub async fn stats(&self) -> Option<Stats> {
        self.ask(Question::Stats).await
    }

    /// How every target is, in the order of the configuration; `None` where the dispatcher has ended.
    pub async fn targets(&self) -> Option<Vec<TargetHealth>> {
        self.ask(Question::Health).await
    }

    /// Has a target begin anew, as if its endpoint had never been tried: after it said that it was gone, or did
    /// not accept credentials that are right now. Whether there is a target of that name; `None` where the
    /// dispatcher has ended.
    pub async fn enable(&self, target: &str) -> Option<bool> {
        self.ask(|reply| Question::Enable(target.to_owned(), reply)).await
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Waits until nothing is in flight and nothing is due, and returns when something is due next, by the
    /// wall clock; `None` where nothing is, or the dispatcher has ended.
    pub async fn idle(&self) -> Option<UnixMs> {
        self.ask(Question::Idle).await.flatten()
    }

    /// Waits until nothing is left: everything that was handed in has ended as delivered or dead, retries and
    /// all, or the dispatcher has ended. While others keep handing in, that moment may never come.
    pub async fn flush(&self) {
        while let Some(due) = self.idle().await {
            let wait = due.saturating_sub(self.shared.clock.now());
            self.shared.clock.sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Takes nothing more, goes on for at most `grace`, and says what was left. Ends sooner where nothing
    /// is left that could be done within `grace`. What is left stays in the queue, where that outlives the
    /// dispatcher.
    ///
    /// Of two shutdowns the more impatient one counts. `None` where the dispatcher had ended before.
    pub async fn shutdown(&self, grace: Duration) -> Option<Remains> {
        self.ask(|reply| Question::Shutdown(grace, reply)).await
    }

    /// Waits until the dispatcher has ended, for whatever reason.
    pub async fn ended(&self) {
        self.asked.closed().await;
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
