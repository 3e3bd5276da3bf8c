//! Attempts that are under way, each a task of its own.
//!
//! It knows neither what an attempt does nor what it is of. It guarantees that each comes back once, also one that
//! panics, and that none runs on when all are broken off or this is dropped.

use foldhash::HashMap;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What `F` says is under way, and comes to `T`.
pub(super) struct Flights<F, T> {
    under_way: HashMap<u64, (F, AbortHandle)>,
    next: u64,
    tell: mpsc::UnboundedSender<Landing<T>>,
    /// No more than are under way, so that there is a bound.
    landings: mpsc::UnboundedReceiver<Landing<T>>,
}

/// An attempt that came back, and what it came to; nothing where it broke off.
pub(super) struct Landing<T> {
    number: u64,
    end: Option<T>,
}

/// What tells of an attempt's end, whatever that is.
struct Herald<T> {
    tell: mpsc::UnboundedSender<Landing<T>>,
    landing: Option<Landing<T>>,
}

impl<F, T: Send + 'static> Flights<F, T> {
    pub(super) fn new() -> Self {
        let (tell, landings) = mpsc::unbounded_channel();
        Self { under_way: HashMap::default(), next: 0, tell, landings }
    }

    /// Begins an attempt.
    pub(super) fn begin(&mut self, flight: F, attempt: impl Future<Output = T> + Send + 'static) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let herald = Herald { tell: self.tell.clone(), landing: Some(Landing { number, end: None }) };
        let task = tokio::spawn(async move {
            let end = attempt.await;
            herald.land(end);
        });
        // Nobody joins it: what it comes to comes by the channel.
        self.under_way.insert(number, (flight, task.abort_handle()));
    }

    /// Waits for an attempt to come back. Can be dropped without a loss.
    pub(super) async fn landing(&mut self) -> Landing<T> {
        match self.landings.recv().await {
            Some(landing) => landing,
            // Never while there is a sender here.
            None => std::future::pending().await,
        }
    }

    /// An attempt that has come back by now.
    pub(super) fn try_landing(&mut self) -> Option<Landing<T>> {
        self.landings.try_recv().ok()
    }

    /// What has landed, which is no longer under way.
    pub(super) fn take(&mut self, landing: Landing<T>) -> Option<(F, Option<T>)> {
        let (flight, _) = self.under_way.remove(&landing.number)?;
        Some((flight, landing.end))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &F> {
        self.under_way.values().map(|(flight, _)| flight)
    }

    /// Breaks off all that are under way, which stay in the list, and waits until none of them runs.
    pub(super) async fn break_off(&mut self) {
        let (tell, landings) = mpsc::unbounded_channel();
        // Each task has a sender of its own: when there is none, there is no task.
        drop(std::mem::replace(&mut self.tell, tell));
        let mut landings = std::mem::replace(&mut self.landings, landings);
        self.abort();
        while landings.recv().await.is_some() {}
    }
}

impl<F, T> Flights<F, T> {
    fn abort(&self) {
        self.under_way.values().for_each(|(_, task)| task.abort());
    }
}

impl<F, T> Drop for Flights<F, T> {
    fn drop(&mut self) {
        self.abort();
    }
}

impl<T> Herald<T> {
    fn land(mut self, end: T) {
        if let Some(landing) = &mut self.landing {
            landing.end = Some(end);
        }
    }
}

impl<T> Drop for Herald<T> {
    fn drop(&mut self) {
        if let Some(landing) = self.landing.take() {
            // Whoever listened may be gone.
            let _ = self.tell.send(landing);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn each_comes_back_once_also_one_that_panics() {
        let mut flights = Flights::new();
        for n in 0..3_u32 {
            flights.begin(n, async move {
                assert!(n != 1, "as it should");
                n * 2
            });
        }
        assert_eq!(flights.iter().len(), 3);
        let mut ends = Vec::new();
        while !flights.is_empty() {
            let landing = flights.landing().await;
            ends.extend(flights.take(landing));
        }
        ends.sort_unstable();
        assert_eq!(ends, [(0, Some(0)), (1, None), (2, Some(4))]);
        assert!(flights.try_landing().is_none());
    }

    #[tokio::test]
    async fn what_is_broken_off_runs_no_more_and_stays_in_the_list() {
        let (mut flights, held) = (Flights::new(), Arc::new(()));
        for n in 0..3_u32 {
            let held = Arc::clone(&held);
            flights.begin(n, async move {
                pending::<()>().await;
                drop(held);
            });
        }
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&held), 4);
        flights.break_off().await;
        assert_eq!((Arc::strong_count(&held), flights.iter().len()), (1, 3));
        assert!(flights.try_landing().is_none());
    }
}
