//! How a dispatcher is started.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use crate::brain::{self, Brain, BrainError};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::config::report::Report;
use crate::dispatch::{Beginning, Dispatch, Reads, Setup};
use crate::egress::{Egress, HttpEgress};
use crate::entropy::Entropy;
use crate::environment::{Environment, ProcessEnvironment};
use crate::nuncio::{Nuncio, Shared};
use crate::store::{MemoryStore, Store};

/// How many events a watcher may be behind before it misses some.
const EVENTS_KEPT: usize = 1024;

/// How a dispatcher is started; see [`Nuncio::builder`].
pub struct Builder {
    config: Given,
    component: Option<Vec<u8>>,
    component_limits: brain::Limits,
    environment: Box<dyn Environment>,
    clock: Arc<dyn Clock>,
    store: Box<dyn Store>,
    egress: Option<Arc<dyn Egress>>,
    seed: Option<u64>,
    buffer: usize,
}

enum Given {
    Text { source: String, text: String },
    Read(Box<(Brain, Config)>),
}

/// A dispatcher cannot be started, or cannot go on by another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong, in every place that the report lists.
    #[error(transparent)]
    Config(#[from] Report),
    /// The component cannot be used.
    #[error(transparent)]
    Brain(#[from] BrainError),
    /// The thread that writes the queue cannot be started: the machine is out of threads or memory.
    #[error("cannot start the thread that writes the queue: {0}")]
    Thread(std::io::Error),
    /// It has ended.
    #[error("the dispatcher has ended")]
    Ended,
}

impl Builder {
    pub(crate) fn of_text(source: String, text: String) -> Self {
        Self::new(Given::Text { source, text })
    }

    pub(crate) fn of_config(brain: Brain, config: Config) -> Self {
        Self::new(Given::Read(Box::new((brain, config))))
    }

    fn new(config: Given) -> Self {
        Self {
            config,
            component: None,
            component_limits: brain::Limits::default(),
            environment: Box::new(ProcessEnvironment),
            clock: Arc::new(SystemClock::default()),
            store: Box::new(MemoryStore::default()),
            egress: None,
            seed: None,
            buffer: 100,
        }
    }

    /// Runs another build of the brain than the embedded one.
    #[must_use]
    pub fn component(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.component = Some(bytes.into());
        self
    }

    /// What the component may take of the host; [`brain::Limits::default`] by default.
    #[must_use]
    pub fn component_limits(mut self, limits: brain::Limits) -> Self {
        self.component_limits = limits;
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

    /// Where the queue is kept; in memory by default, in 64 MiB of it. What is there already is delivered.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Box::new(store);
        self
    }

    /// What sends requests; an HTTP client by default.
    #[must_use]
    pub fn egress(mut self, egress: impl Egress) -> Self {
        self.egress = Some(Arc::new(egress));
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
                let component = self.component.as_deref().unwrap_or(brain::EMBEDDED);
                let brain = Brain::with_limits(component, self.component_limits)?;
                let config = Config::load(&source, &text, &*self.environment, &brain)?;
                (brain, config)
            }
        };
        config.warnings().for_each(|warning| tracing::warn!("{warning}"));
        let entropy = Arc::new(self.seed.map_or_else(Entropy::from_system, Entropy::from_seed));
        let (handed, take) = mpsc::channel(self.buffer);
        let (asked, answer) = mpsc::channel(64);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let egress = self.egress.unwrap_or_else(|| Arc::new(HttpEgress::new(Arc::clone(&self.clock))));
        // Whoever looks things up holds nobody up who delivers.
        let (reads, lookups) = (Reads::of(self.store.as_ref()), Reads::of(self.store.as_ref()));
        let healths = self.store.reader().healths().unwrap_or_else(|error| {
            tracing::warn!(%error, "what was remembered of the endpoints cannot be read");
            Vec::new()
        });
        let default_limits = self.store.limits();
        let (limits, in_all) = (config.queue().limits(default_limits), config.queue().concurrency);
        let setup = Setup::of(&brain, config, Arc::clone(&egress)).map_err(BrainError::from)?;
        let untried = setup.dispatcher.untried().map_err(BrainError::from)?;
        let dispatch = Dispatch::new(Beginning {
            setup: Arc::new(setup),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&entropy),
            store: self.store,
            reads,
            limits,
            events: events.clone(),
            in_all,
            untried,
            healths,
        });
        tokio::spawn(dispatch.map_err(StartError::Thread)?.run(take, answer));
        let shared = Shared { brain, clock: self.clock, entropy, egress, reads: lookups, default_limits };
        Ok(Nuncio { shared: Arc::new(shared), handed, asked, events })
    }
}
