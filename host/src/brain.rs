//! The brain: the component, compiled and fenced in.
//!
//! The one module that owns the engine, the component and its instances. It refuses to know what the
//! answers mean. A component has no imports and so no way out; what it can still do is take time and
//! memory, its own and, by what it answers, the host's. All are bounded by [`Limits`]: a call that goes beyond
//! them ends in a [`Fault`], and the instance is thrown away.
//!
//! A component is compiled here, from WebAssembly that is validated; there is no way to hand in code that was
//! compiled elsewhere, because it would be run as it is. What was compiled is kept on disk where the caller
//! says so, in a folder that nobody else can write to; see [`cache`].

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wasmtime::component::{Component, Linker, ResourceAny};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder};

use crate::contract::{
    Admission, Attempt, Decision, Diagnostic, Endpoint, Envelope, Guest, Judged, Notification, Notifier,
    NotifierPre, Place, Provider, Request, Routed, Target, TargetNumber, Tried, UrlDialect, UrlProblem,
    UrlTarget,
};

pub mod cache;
mod deadline;
mod limits;

use limits::{DEEPEST, LONGEST_TEXT, MOST_HANDLES, MOST_INSTANCES, MOST_TABLE_ELEMENTS, MOST_TABLES};
pub use limits::{LARGEST_COMPONENT, Limits, MOST_IDLE, MOST_PROBLEMS};

/// The component that is built with this library.
pub const EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nuncio.wasm"));

/// A component that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrainError {
    /// The bytes are no component, or one for another contract. Bring one that exports the world
    /// `nuncio:dispatch/notifier`.
    #[error("this is no component that exports nuncio:dispatch/notifier@0.1.0: {0}")]
    NotABrain(String),
    /// The component imports something. A brain imports nothing; build it for `wasm32-unknown-unknown`.
    #[error("the component imports {0}, and a brain imports nothing; build it for wasm32-unknown-unknown")]
    Imports(String),
    /// The thread that watches over the guest cannot be started: the machine is out of threads or memory.
    #[error("cannot start the thread that watches over the guest: {0}")]
    Watch(std::io::Error),
    /// The component failed before it answered.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The guest broke off: it trapped, ran out of time or out of memory. What it was asked has no answer;
/// asked again, a deterministic guest breaks off again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the guest broke off: {0}")]
pub struct Fault(String);

/// A compiled component.
#[derive(Clone)]
pub struct Brain {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    /// What the engine was made of.
    config: Config,
    pre: NotifierPre<Bounds>,
    limits: Limits,
    ticker: deadline::Ticker,
    is_embedded: bool,
}

/// What an instance may take.
struct Bounds {
    limits: StoreLimits,
}

/// A brain with one configuration, for any number of threads.
///
/// It holds instances that are not in use, at most [`MOST_IDLE`]: each call takes one, or makes one, and puts
/// it back. One that broke off is never used again. No state of the retry policy lives in them, so any instance
/// can serve any call.
pub struct Dispatcher {
    #[expect(
        clippy::vec_box,
        reason = "each call takes one out and puts it back, and it is a kilobyte large"
    )]
    idle: Mutex<Vec<Box<Session>>>,
    brain: Brain,
    config: String,
    /// Whether any of its targets has a condition, once they were asked about.
    has_conditions: OnceLock<bool>,
}

struct Session {
    store: Store<Bounds>,
    bindings: Notifier,
    dispatcher: ResourceAny,
}

// === impl Brain ===

impl Brain {
    /// Compiles a component, to run within the default limits.
    ///
    /// # Errors
    ///
    /// Where the bytes are no component of the world `nuncio:dispatch/notifier`, or one with imports.
    pub fn new(component: &[u8]) -> Result<Self, BrainError> {
        Self::with_limits(component, Limits::default())
    }

    /// Compiles a component, to run within limits of the caller's.
    ///
    /// # Errors
    ///
    /// As [`Brain::new`].
    pub fn with_limits(component: &[u8], limits: Limits) -> Result<Self, BrainError> {
        Self::with_engine(component, limits, Config::new())
    }

    /// Compiles a component for an engine of the caller's: with a [`cache`], a pooling allocator, memories or a
    /// profile of its own. What the fence needs is set over it: epochs on, fuel off, the stack's size.
    ///
    /// # Errors
    ///
    /// As [`Brain::new`], and where there is no such engine on this machine.
    pub fn with_engine(component: &[u8], limits: Limits, mut config: Config) -> Result<Self, BrainError> {
        if component.len() > LARGEST_COMPONENT {
            return Err(BrainError::NotABrain(format!("it is larger than {} MiB", LARGEST_COMPONENT >> 20)));
        }
        let not_a_brain = |error: wasmtime::Error| BrainError::NotABrain(format!("{error:#}"));
        let is_embedded = component == EMBEDDED;
        config.epoch_interruption(true).consume_fuel(false).max_wasm_stack(DEEPEST);
        let engine = Engine::new(&config).map_err(not_a_brain)?;
        let component = Component::from_binary(&engine, component).map_err(not_a_brain)?;
        let mut linker = Linker::new(&engine);
        for (name, item) in component.component_type().imports(&engine) {
            // The interface that holds the types is imported by name only: there is nothing in it to call.
            let wasmtime::component::types::ComponentItem::ComponentInstance(instance) = item.ty else {
                return Err(BrainError::Imports(name.to_owned()));
            };
            let is_type = |item: &wasmtime::component::types::ComponentItem| {
                matches!(item, wasmtime::component::types::ComponentItem::Type(_))
            };
            if !instance.exports(&engine).all(|(_, item)| is_type(&item.ty)) {
                return Err(BrainError::Imports(name.to_owned()));
            }
            linker.instance(name).map_err(not_a_brain)?;
        }
        let pre = linker.instantiate_pre(&component).and_then(NotifierPre::new).map_err(not_a_brain)?;
        let ticker = deadline::Ticker::start(&engine).map_err(BrainError::Watch)?;
        Ok(Self { inner: Arc::new(Inner { engine, config, pre, limits, ticker, is_embedded }) })
    }

    /// What this brain knows how to talk to.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off.
    pub fn providers(&self) -> Result<Vec<Provider>, Fault> {
        let (mut store, bindings) = self.instantiate()?;
        self.bounded(&mut store, self.inner.limits.call, |store| {
            bindings.nuncio_dispatch_catalog().call_providers(store)
        })
    }

    /// The targets that a notification URL of Apprise or shoutrrr stands for, or which part of it is wrong.
    ///
    /// The URL's secrets are in the memory of the instance that reads it, so that this is an instance of its
    /// own, dropped at once. What another component would make of them nobody can tell, so that a configuration's
    /// are read by the embedded one whichever runs.
    ///
    /// # Errors
    ///
    /// Where the call broke off.
    pub fn from_url(
        &self,
        url: &str,
        dialect: Option<UrlDialect>,
    ) -> Result<Result<Vec<UrlTarget>, UrlProblem>, Fault> {
        let (mut store, bindings) = self.instantiate()?;
        self.bounded(&mut store, self.inner.limits.call, |store| {
            bindings.nuncio_dispatch_catalog().call_from_url(store, url, dialect)
        })
    }

    /// The brain that reads notification URLs: the embedded one.
    ///
    /// # Errors
    ///
    /// Where the embedded component cannot be used, which is a defect.
    pub(crate) fn for_urls(&self) -> Result<Self, BrainError> {
        if self.inner.is_embedded { Ok(self.clone()) } else { self.embedded() }
    }

    /// The embedded one, on an engine like this one's.
    fn embedded(&self) -> Result<Self, BrainError> {
        Self::with_engine(EMBEDDED, Limits::default(), self.inner.config.clone())
    }

    /// What the embedded component says about itself; `None` where this brain is that one.
    ///
    /// # Errors
    ///
    /// Where the embedded component cannot be used, which is a defect.
    pub fn embedded_providers(&self) -> Result<Option<Vec<Provider>>, BrainError> {
        if self.inner.is_embedded {
            return Ok(None);
        }
        // The same for as long as the process lives, and to compile it takes a while.
        static PROVIDERS: OnceLock<Vec<Provider>> = OnceLock::new();
        if let Some(providers) = PROVIDERS.get() {
            return Ok(Some(providers.clone()));
        }
        let providers = self.embedded()?.providers()?;
        Ok(Some(PROVIDERS.get_or_init(|| providers).clone()))
    }

    /// Reads the JSON form of a notification.
    ///
    /// # Errors
    ///
    /// The outer error where the guest breaks off; the inner is everything that is wrong with the text.
    pub fn read(
        &self,
        json: &str,
        id: &str,
        at: u64,
    ) -> Result<Result<Notification, Vec<Diagnostic>>, Fault> {
        let (mut store, bindings) = self.instantiate()?;
        let read = self.bounded(&mut store, self.inner.limits.call, |store| {
            bindings.nuncio_dispatch_ingest().call_read(store, json, id, at)
        })?;
        Ok(read.map_err(bounded_problems))
    }

    /// Says everything that is wrong with a configuration.
    ///
    /// # Errors
    ///
    /// As [`Brain::read`].
    pub fn check(&self, config: &str) -> Result<Result<(), Vec<Diagnostic>>, Fault> {
        Ok(self.open(config)?.map(|_| ()))
    }

    /// A dispatcher for a configuration that [`Brain::check`] finds nothing wrong with.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off or refuses the configuration.
    pub fn dispatcher(&self, config: &str) -> Result<Dispatcher, Fault> {
        let first = self.open(config)?.map_err(refused)?;
        Ok(Dispatcher {
            brain: self.clone(),
            config: config.to_owned(),
            has_conditions: OnceLock::new(),
            idle: Mutex::new(vec![first]),
        })
    }

    fn open(&self, config: &str) -> Result<Result<Box<Session>, Vec<Diagnostic>>, Fault> {
        let (mut store, bindings) = self.instantiate()?;
        let guest = bindings.nuncio_dispatch_dispatcher();
        let opened = self.bounded(&mut store, self.inner.limits.open, |store| {
            guest.dispatcher().call_open(store, config)
        })?;
        match opened {
            Ok(dispatcher) => Ok(Ok(Box::new(Session { store, bindings, dispatcher }))),
            Err(problems) => Ok(Err(bounded_problems(problems))),
        }
    }

    fn instantiate(&self) -> Result<(Store<Bounds>, Notifier), Fault> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.inner.limits.memory)
            .memories(1)
            .tables(MOST_TABLES)
            .table_elements(MOST_TABLE_ELEMENTS)
            .instances(MOST_INSTANCES)
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(&self.inner.engine, Bounds { limits });
        store.limiter(|bounds| &mut bounds.limits);
        store.set_hostcall_fuel(self.inner.limits.answer);
        store.set_max_component_handles(MOST_HANDLES);
        let bindings =
            self.bounded(&mut store, self.inner.limits.call, |store| self.inner.pre.instantiate(store))?;
        Ok((store, bindings))
    }

    /// Calls the guest within a deadline.
    fn bounded<T>(
        &self,
        store: &mut Store<Bounds>,
        deadline: Duration,
        call: impl FnOnce(&mut Store<Bounds>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        store.set_epoch_deadline(deadline::ticks(deadline));
        let _ticking = self.inner.ticker.tick();
        call(store).map_err(|error| {
            let out_of_time = error.downcast_ref::<wasmtime::Trap>() == Some(&wasmtime::Trap::Interrupt);
            Fault(if out_of_time {
                format!("it took more than {} ms", deadline.as_millis())
            } else {
                format!("{}", error.root_cause())
            })
        })
    }
}

/// A configuration that was accepted once and is refused now: only a guest that is not deterministic does it.
fn refused(problems: Vec<Diagnostic>) -> Fault {
    let first = problems.into_iter().next().map(|diagnostic| diagnostic.problem).unwrap_or_default();
    Fault(format!("it refuses its configuration: {first}"))
}

/// As many problems as people can read, none too long, and how many there are beside them.
fn bounded_problems(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let beside = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    for Diagnostic { path, problem, hint, .. } in &mut problems {
        for text in [path, problem, hint] {
            text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        }
    }
    if beside > 0 {
        let problem = format!("and {beside} more problems");
        problems.push(Diagnostic { path: String::new(), place: Place::Value, problem, hint: String::new() });
    }
    problems
}

// === impl Dispatcher ===

impl Dispatcher {
    /// The targets, in the order of the configuration.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off; likewise for all others here.
    pub fn targets(&self) -> Result<Vec<Target>, Fault> {
        let targets = self.call(|guest, store, this| guest.dispatcher().call_targets(store, this))?;
        // The same each time, by the contract.
        self.has_conditions.get_or_init(|| targets.iter().any(|target| target.has_condition));
        Ok(targets)
    }

    /// Whether any target has a condition.
    fn has_conditions(&self) -> Result<bool, Fault> {
        if self.has_conditions.get().is_none() {
            self.targets()?;
        }
        Ok(self.has_conditions.get() == Some(&true))
    }

    /// Decides of some notifications which targets get them, each by itself.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off, or gives another number of answers.
    pub fn route(&self, notifications: &[Notification]) -> Result<Vec<Routed>, Fault> {
        let routed = if self.has_conditions()? {
            self.call(|guest, store, this| guest.dispatcher().call_route(store, this, notifications))?
        } else {
            // Each text and list that is handed over costs a call of the guest's allocator.
            let envelopes: Vec<Envelope> = notifications.iter().map(Notification::envelope).collect();
            self.call(|guest, store, this| guest.dispatcher().call_route_envelopes(store, this, &envelopes))?
        };
        let (given, asked) = (routed.len(), notifications.len());
        if given == asked {
            Ok(routed)
        } else {
            Err(Fault(format!("it said of {given} notifications where they go, and was asked of {asked}")))
        }
    }

    /// Says of every target whether it gets a notification and why, in their order, then of each name that is unknown.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off.
    pub fn explain(&self, notification: &Notification) -> Result<Vec<Decision>, Fault> {
        self.call(|guest, store, this| guest.dispatcher().call_explain(store, this, notification))
    }

    /// Turns a notification into the requests that deliver it to a target; `plain` is what the last judgement of the
    /// delivery said of it.
    ///
    /// # Errors
    ///
    /// The outer error where the guest breaks off; the inner is why it cannot be done.
    pub fn format(
        &self,
        target: TargetNumber,
        notification: &Notification,
        plain: bool,
        now: u64,
    ) -> Result<Result<Vec<Request>, String>, Fault> {
        self.call(|guest, store, this| {
            guest.dispatcher().call_format(store, this, target, notification, plain, now)
        })
    }

    /// What is remembered of an endpoint that was never tried.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off.
    pub fn untried(&self) -> Result<Endpoint, Fault> {
        self.call(|guest, store, _| guest.call_untried(store))
    }

    /// Decides which of some attempts may begin now.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off.
    pub fn admit(
        &self,
        target: TargetNumber,
        attempts: &[Attempt],
        endpoint: Endpoint,
        now: u64,
    ) -> Result<Admission, Fault> {
        self.call(|guest, store, this| {
            guest.dispatcher().call_admit(store, this, target, attempts, endpoint, now)
        })
    }

    /// Decides what some outcomes mean.
    ///
    /// # Errors
    ///
    /// Where the guest breaks off.
    pub fn judge(
        &self,
        target: TargetNumber,
        tried: &[Tried],
        endpoint: Endpoint,
        now: u64,
    ) -> Result<Judged, Fault> {
        self.call(|guest, store, this| {
            guest.dispatcher().call_judge(store, this, target, tried, endpoint, now)
        })
    }

    /// The one way in: takes an idle instance or makes one, calls it, and keeps it if it did not break off.
    fn call<T>(
        &self,
        call: impl FnOnce(&Guest, &mut Store<Bounds>, ResourceAny) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.brain.open(&self.config)?.map_err(refused)?,
        };
        let Session { store, bindings, dispatcher } = &mut *session;
        let guest = bindings.nuncio_dispatch_dispatcher();
        let answer = self
            .brain
            .bounded(store, self.brain.inner.limits.call, |store| call(guest, store, *dispatcher))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(session);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
