//! Time, as the host sees it.
//!
//! The one module that reads a clock: everything else is handed a [`Clock`], so that a test or a
//! simulation runs hours in milliseconds and sees the same thing each time.
//!
//! Instants are wall-clock milliseconds, because they must mean something after a restart; a wait, once
//! begun, is monotonic. A timeline lies between: it begins at the wall clock's instant and goes on
//! monotonically, so that somebody who sets the clock neither hastens nor delays what waits.
#![expect(clippy::disallowed_methods, reason = "this is the clock")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;

/// A wait in progress; dropping it ends the wait.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present instant, by the wall clock. Somebody may set it, in either direction.
    fn now(&self) -> UnixMs;

    /// How long this clock has run. Never goes backwards, whoever sets the wall clock.
    fn elapsed(&self) -> Duration;

    /// Waits for a length of time, at least; a wait of nothing is over at once.
    fn sleep(&self, wait: Duration) -> Sleep;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        milliseconds(elapsed)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
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
    /// In milliseconds.
    elapsed: u64,
    /// Who waits until how much has elapsed. The second part of the key keeps waits for one instant apart.
    sleepers: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    next: u64,
    /// Waits that were dropped are forgotten when there are so many in all.
    forget_at: usize,
}

/// So few waits are never looked through for those that were dropped.
const FEW_SLEEPERS: usize = 64;

impl ManualClock {
    /// A clock that stands at an instant.
    #[must_use]
    pub fn at(now: UnixMs) -> Self {
        Self { state: Arc::new(Mutex::new(Manual { now, ..Manual::default() })) }
    }

    /// Moves time forward to an instant and ends the waits that are over then. An instant in the past
    /// changes nothing.
    pub fn advance_to(&self, instant: UnixMs) {
        let by = instant.saturating_sub(self.now());
        self.advance(Duration::from_millis(by));
    }

    /// Moves time forward by a length of time.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.now = state.now.saturating_add(milliseconds(by));
        state.elapsed = state.elapsed.saturating_add(milliseconds(by));
        let after = (state.elapsed.saturating_add(1), 0);
        let later = state.sleepers.split_off(&after);
        for (_, sleeper) in std::mem::replace(&mut state.sleepers, later) {
            // A wait that was dropped has nobody left to tell.
            let _ = sleeper.send(());
        }
    }

    /// Moves time forward to where the next wait ends, and ends it and all that end with it. Returns whether
    /// there was one; waits that were dropped are none.
    ///
    /// A runtime that calls this whenever it has nothing to do runs through hours without waiting; where it
    /// returns false then, nothing will ever happen again.
    pub fn advance_to_next(&self) -> bool {
        let mut state = self.lock();
        while let Some(first) = state.sleepers.first_entry()
            && first.get().is_closed()
        {
            first.remove();
        }
        let next = state.sleepers.first_key_value().map(|(key, _)| key.0);
        let by = next.map(|until| until.saturating_sub(state.elapsed));
        drop(state);
        by.inspect(|by| self.advance(Duration::from_millis(*by))).is_some()
    }

    /// Sets the wall clock to an instant, past or future, as an administrator or a time server does. No
    /// time passes: waits go on as they were.
    pub fn set(&self, instant: UnixMs) {
        self.lock().now = instant;
    }

    fn lock(&self) -> MutexGuard<'_, Manual> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMs {
        self.lock().now
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.lock().elapsed)
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        let mut state = self.lock();
        let until = state.elapsed.saturating_add(milliseconds(wait));
        if until <= state.elapsed {
            return Box::pin(std::future::ready(()));
        }
        let (sender, receiver) = oneshot::channel();
        let key = (until, state.next);
        state.next = state.next.wrapping_add(1);
        if state.forget_at <= state.sleepers.len() {
            state.sleepers.retain(|_, sleeper| !sleeper.is_closed());
            state.forget_at = FEW_SLEEPERS.max(2 * state.sleepers.len());
        }
        state.sleepers.insert(key, sender);
        Box::pin(async move {
            // The clock outlives its sleepers in every program; if it does not, the wait is over.
            let _ = receiver.await;
        })
    }
}

/// Time that nobody can set: it began at a wall clock's instant and is monotonic from there.
///
/// What waits is due on a timeline; what people or files see is by the wall clock, and
/// [`Timeline::by_wall`] leads from one to the other.
#[derive(Clone)]
pub(crate) struct Timeline {
    clock: Arc<dyn Clock>,
    began_at: UnixMs,
    began_after: Duration,
}

/// What both clocks of a timeline showed at once.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// The present instant by the wall clock.
    pub(crate) wall: UnixMs,
    now: UnixMs,
}

impl Look {
    /// As [`Timeline::by_wall`].
    pub(crate) fn by_wall(self, instant: UnixMs) -> UnixMs {
        instant.saturating_add(self.wall).saturating_sub(self.now)
    }
}

impl Timeline {
    /// Begins now.
    pub(crate) fn begin(clock: Arc<dyn Clock>) -> Self {
        let (began_at, began_after) = (clock.now(), clock.elapsed());
        Self { clock, began_at, began_after }
    }

    /// The present instant on this timeline. It is a part of a millisecond behind the wall clock, never before it.
    pub(crate) fn now(&self) -> UnixMs {
        let passed = self.clock.elapsed().saturating_sub(self.began_after);
        self.began_at.saturating_add(milliseconds(passed))
    }

    /// The present instant by the wall clock.
    pub(crate) fn wall(&self) -> UnixMs {
        self.clock.now()
    }

    /// What both clocks show, for whoever has more than one instant to say.
    pub(crate) fn look(&self) -> Look {
        Look { wall: self.clock.now(), now: self.now() }
    }

    /// An instant of this timeline as the wall clock will show it, if nobody sets it until then.
    pub(crate) fn by_wall(&self, instant: UnixMs) -> UnixMs {
        self.look().by_wall(instant)
    }

    /// An instant of the wall clock on this timeline, as if nobody had set it since.
    pub(crate) fn of_wall(&self, instant: UnixMs) -> UnixMs {
        let (wall, now) = (self.clock.now(), self.now());
        // One millisecond ahead is the rest of one, not somebody who set it: what is due must not be early for that.
        let now = if wall.checked_sub(now) == Some(1) { wall } else { now };
        instant.saturating_add(now).saturating_sub(wall)
    }

    /// Waits until an instant of this timeline.
    pub(crate) fn sleep_until(&self, instant: UnixMs) -> Sleep {
        self.clock.sleep(Duration::from_millis(instant.saturating_sub(self.now())))
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

    /// A clock that knows parts of milliseconds, and whose two kinds of time begin theirs apart.
    struct Fine {
        us: Mutex<u64>,
        apart_us: u64,
    }

    impl Clock for Fine {
        fn now(&self) -> UnixMs {
            *self.us.lock().unwrap() / 1_000
        }

        fn elapsed(&self) -> Duration {
            Duration::from_micros(*self.us.lock().unwrap() + self.apart_us)
        }

        fn sleep(&self, _: Duration) -> Sleep {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn what_is_due_by_the_wall_clock_is_never_early_on_the_timeline() {
        let fractions = || (0..1_000).step_by(93);
        for (begun, apart_us, read) in fractions().flat_map(|begun| {
            fractions().flat_map(move |apart| fractions().map(move |read| (begun, apart, read)))
        }) {
            let clock = Arc::new(Fine { us: Mutex::new(5_000 + begun), apart_us });
            let timeline = Timeline::begin(Arc::clone(&clock) as Arc<dyn Clock>);
            *clock.us.lock().unwrap() = 7_000 + read;
            let due = timeline.of_wall(20);
            let first = (7_000..30_000).find(|us| {
                *clock.us.lock().unwrap() = *us;
                timeline.now() >= due
            });
            assert!(
                first.is_some_and(|us| (20_000..=21_000).contains(&us)),
                "{begun} {apart_us} {read}: {first:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_wait_of_nothing_is_over_at_once() {
        ManualClock::at(5).sleep(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn the_next_wait_is_the_next_that_somebody_still_waits_for() {
        let clock = ManualClock::at(1_000);
        assert!(!clock.advance_to_next());
        let wait = |by| clock.sleep(Duration::from_millis(by));
        let (dropped, first, second, last) = (wait(5), wait(10), wait(10), wait(20));
        drop(dropped);
        assert!(clock.advance_to_next());
        first.await;
        second.await;
        assert_eq!(clock.now(), 1_010);
        assert!(clock.advance_to_next() && !clock.advance_to_next());
        last.await;
        assert_eq!(clock.now(), 1_020);
    }

    #[test]
    fn waits_that_were_dropped_are_forgotten() {
        let clock = ManualClock::at(0);
        for _ in 0..10_000 {
            drop(clock.sleep(Duration::from_secs(1)));
        }
        assert!(clock.lock().sleepers.len() <= FEW_SLEEPERS);
    }

    #[test]
    fn to_advance_to_the_past_changes_nothing() {
        let clock = ManualClock::at(1_000);
        clock.advance_to(10);
        assert_eq!(clock.now(), 1_000);
    }

    #[tokio::test]
    async fn setting_the_wall_clock_changes_no_wait_and_no_timeline() {
        let clock = ManualClock::at(1_000_000);
        let timeline = Timeline::begin(Arc::new(clock.clone()));
        let mut wait = timeline.sleep_until(1_000_100);
        for wall in [4_600_000, 0] {
            clock.set(wall);
            assert!(tokio::time::timeout(Duration::ZERO, &mut wait).await.is_err());
            assert_eq!((timeline.now(), timeline.wall()), (1_000_000, wall));
            assert_eq!(timeline.by_wall(1_000_100), wall + 100);
            assert_eq!(timeline.of_wall(wall + 100), 1_000_100);
        }
        clock.advance(Duration::from_millis(100));
        wait.await;
        assert_eq!((timeline.now(), timeline.wall()), (1_000_100, 100));
    }

    #[test]
    fn the_systems_clock_runs() {
        let clock = SystemClock::default();
        let before = clock.elapsed();
        assert!(clock.now() > 1_700_000_000_000 && clock.elapsed() >= before);
    }
}
