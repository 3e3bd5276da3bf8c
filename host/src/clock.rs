//! Time, as the host sees it.
//!
//! The one module that reads a clock: everything else is handed a [`Clock`], so that a test or a
//! simulation runs hours in milliseconds and sees the same thing each time.
//!
//! Instants are wall-clock milliseconds, because they must mean something after a restart; a wait, once
//! begun, is monotonic.
#![expect(clippy::disallowed_methods, reason = "this is the clock")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;

/// A wait in progress; dropping it ends the wait.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> UnixMs;

    /// Waits for a length of time, at least; a wait of nothing is over at once.
    fn sleep(&self, wait: Duration) -> Sleep;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(wait))
    }
}

/// A clock that moves only when told to, for tests and simulations.
///
/// Clones share one time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    state: Arc<Mutex<Manual>>,
}

#[derive(Debug, Default)]
struct Manual {
    now: UnixMs,
    /// Who waits until when. The second part of the key keeps waits for one instant apart.
    sleepers: BTreeMap<(UnixMs, u64), oneshot::Sender<()>>,
    next: u64,
}

impl ManualClock {
    /// A clock that stands at an instant.
    #[must_use]
    pub fn at(now: UnixMs) -> Self {
        Self { state: Arc::new(Mutex::new(Manual { now, ..Manual::default() })) }
    }

    /// Moves time forward and ends the waits that are over then. Time never moves backwards: an instant
    /// in the past changes nothing.
    pub fn advance_to(&self, instant: UnixMs) {
        let mut state = self.lock();
        state.now = state.now.max(instant);
        let later = state.sleepers.split_off(&(instant.saturating_add(1), 0));
        for (_, sleeper) in std::mem::replace(&mut state.sleepers, later) {
            // A wait that was dropped has nobody left to tell.
            let _ = sleeper.send(());
        }
    }

    /// Moves time forward by a length of time.
    pub fn advance(&self, by: Duration) {
        let to = self.now().saturating_add(milliseconds(by));
        self.advance_to(to);
    }

    fn lock(&self) -> MutexGuard<'_, Manual> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMs {
        self.lock().now
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        let mut state = self.lock();
        let until = state.now.saturating_add(milliseconds(wait));
        if until <= state.now {
            return Box::pin(std::future::ready(()));
        }
        let (sender, receiver) = oneshot::channel();
        let key = (until, state.next);
        state.next = state.next.wrapping_add(1);
        state.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        state.sleepers.insert(key, sender);
        Box::pin(async move {
            // The clock outlives its sleepers in every program; if it does not, the wait is over.
            let _ = receiver.await;
        })
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::at(1_000);
        let mut wait = clock.sleep(Duration::from_millis(10));
        clock.advance(Duration::from_millis(9));
        assert!(tokio::time::timeout(Duration::ZERO, &mut wait).await.is_err());
        clock.advance(Duration::from_millis(1));
        wait.await;
        assert_eq!(clock.now(), 1_010);
    }

    #[tokio::test]
    async fn a_wait_of_nothing_is_over_at_once() {
        ManualClock::at(5).sleep(Duration::ZERO).await;
    }

    #[test]
    fn time_never_moves_backwards() {
        let clock = ManualClock::at(1_000);
        clock.advance_to(10);
        assert_eq!(clock.now(), 1_000);
    }
}
