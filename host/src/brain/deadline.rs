//! The clock of the sandbox: a plain thread that advances the engine's epoch while a call runs.
//!
//! A thread of the operating system, because a guest that loops for ever can hold the runtime's own timers.
//! Where no call has run for a while the thread sleeps, so that an idle daemon does not wake up. Not as soon as none
//! runs: a call takes microseconds, and to wake a thread for each would take as long.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// How often the epoch advances while a call runs.
const TICK: Duration = Duration::from_millis(10);

/// After so many ticks without a call the thread sleeps until there is one.
const IDLE_TICKS: usize = 10;

/// How many ticks a call with a deadline may see. The first can come at once, so one more than fit.
pub(super) fn ticks(deadline: Duration) -> u64 {
    u64::try_from(deadline.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Advances an engine's epoch while calls run.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

/// While it lives, the epoch advances.
pub(super) struct Ticking<'a>(&'a Ticker);

#[derive(Default)]
struct Shared {
    /// How many calls run.
    running: AtomicUsize,
    /// How many have begun; wraps around.
    begun: AtomicUsize,
    is_asleep: AtomicBool,
    is_over: AtomicBool,
}

impl Ticker {
    /// Starts the thread. It ends with this ticker, or with the engine.
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let run = {
            let (shared, engine) = (Arc::clone(&shared), engine.weak());
            move || run(&shared, &engine)
        };
        let handle = thread::Builder::new().name("nuncio-epoch".to_owned()).spawn(run)?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Keeps the epoch advancing while the result lives.
    pub(super) fn tick(&self) -> Ticking<'_> {
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        let is_asleep = &self.shared.is_asleep;
        if is_asleep.load(Ordering::SeqCst) && is_asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Ticking(self)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn run(shared: &Shared, engine: &EngineWeak) {
    let (mut seen, mut idle_ticks) = (0, 0);
    while !shared.is_over.load(Ordering::SeqCst) {
        let begun = shared.begun.load(Ordering::Relaxed);
        let is_idle = begun == seen && shared.running.load(Ordering::SeqCst) == 0;
        (seen, idle_ticks) = (begun, if is_idle { idle_ticks + 1 } else { 0 });
        if idle_ticks > IDLE_TICKS {
            // Whoever begins a call looks at this after it has counted, and this thread at the count after that.
            shared.is_asleep.store(true, Ordering::SeqCst);
            if shared.running.load(Ordering::SeqCst) == 0 && !shared.is_over.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.is_asleep.store(false, Ordering::SeqCst);
        } else {
            thread::park_timeout(TICK);
        }
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
