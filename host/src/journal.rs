//! The one writer of a store: operations go in, what became of them comes out, in the same order.
//!
//! A store that waits for its disk gets a thread of its own, which commits in groups: while one group is on
//! its way to disk, the next one gathers, and goes as soon as the disk is done. There is no other delay, so a
//! lone operation is as fast as the disk, and many share its price. A store that waits for nothing is called
//! in place, so that what happens when is the same in every run.
//!
//! It guarantees that an operation is said to be done only after the commit that holds it, and that what
//! failed comes back as it was.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc as tokio_mpsc;

use crate::crash;
use crate::store::{Done, Operation, Store, StoreError};

/// How many operations share a commit at most.
const LARGEST_GROUP: usize = 256;

/// The way to a store; a ticket says what an operation was for, and comes back with it.
pub(crate) struct Journal<T> {
    way: Way<T>,
    under_way: usize,
}

enum Way<T> {
    InPlace {
        store: Box<dyn Store>,
        done: VecDeque<Written<T>>,
    },
    Thread {
        operations: mpsc::Sender<(T, Operation)>,
        done: tokio_mpsc::UnboundedReceiver<Vec<Written<T>>>,
        thread: JoinHandle<()>,
    },
}

/// What became of an operation.
pub(crate) struct Written<T> {
    pub(crate) ticket: T,
    pub(crate) operation: Operation,
    pub(crate) result: Result<Done, StoreError>,
}

impl<T: Send + 'static> Journal<T> {
    /// Opens the way to a store.
    ///
    /// # Errors
    ///
    /// Where its thread cannot be started: the machine is out of threads or memory.
    pub(crate) fn open(store: Box<dyn Store>) -> io::Result<Self> {
        let way = if store.waits() {
            let (operations, take) = mpsc::channel();
            let (tell, done) = tokio_mpsc::unbounded_channel();
            let thread = thread::Builder::new().name("nuncio-queue".to_owned());
            let thread = thread.spawn(move || write(store, &take, &tell))?;
            Way::Thread { operations, done, thread }
        } else {
            Way::InPlace { store, done: VecDeque::new() }
        };
        Ok(Self { way, under_way: 0 })
    }

    /// Begins an operation.
    pub(crate) fn submit(&mut self, ticket: T, operation: Operation) {
        self.under_way += 1;
        match &mut self.way {
            Way::InPlace { store, done } => done.extend(commit(store.as_mut(), vec![(ticket, operation)])),
            Way::Thread { operations, .. } => {
                // The thread ends after this sender does.
                let _ = operations.send((ticket, operation));
            }
        }
    }

    /// How many operations are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Waits for operations to be done. Can be dropped without a loss.
    pub(crate) async fn done(&mut self) -> Vec<Written<T>> {
        let written = match &mut self.way {
            Way::InPlace { done, .. } if done.is_empty() => std::future::pending().await,
            Way::InPlace { done, .. } => done.drain(..).collect(),
            Way::Thread { done, .. } => match done.recv().await {
                Some(written) => written,
                None => std::future::pending().await,
            },
        };
        self.under_way = self.under_way.saturating_sub(written.len());
        written
    }

    /// Closes the store, once everything that is under way is done; returns that.
    pub(crate) async fn close(self) -> Vec<Written<T>> {
        match self.way {
            Way::InPlace { done, .. } => done.into(),
            Way::Thread { operations, mut done, thread } => {
                drop(operations);
                let mut all = Vec::new();
                while let Some(written) = done.recv().await {
                    all.extend(written);
                }
                // It has told all it had to tell; what is left is closing the file.
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
                all
            }
        }
    }
}

/// The thread: one group after the other, each of what has come by then.
fn write<T>(
    mut store: Box<dyn Store>,
    operations: &mpsc::Receiver<(T, Operation)>,
    done: &tokio_mpsc::UnboundedSender<Vec<Written<T>>>,
) {
    while let Ok(first) = operations.recv() {
        let mut group = vec![first];
        group.extend(operations.try_iter().take(LARGEST_GROUP - 1));
        // Whoever handed these in may be gone; they are written all the same.
        let _ = done.send(commit(store.as_mut(), group));
    }
}

fn commit<T>(store: &mut dyn Store, group: Vec<(T, Operation)>) -> Vec<Written<T>> {
    let (tickets, operations): (Vec<T>, Vec<Operation>) = group.into_iter().unzip();
    if operations.iter().any(|operation| matches!(operation, Operation::Settle(_))) {
        crash::at("before-settle");
    }
    let results = match store.commit(&operations) {
        Ok(done) => done.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error); operations.len()],
    };
    let all = tickets.into_iter().zip(operations).zip(results);
    all.map(|((ticket, operation), result)| Written { ticket, operation, result }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::store::{Limits, MemoryStore, Reader};

    /// A store that says how large each group was, and waits for a word before each commit.
    struct Slow {
        store: MemoryStore,
        groups: Arc<Mutex<Vec<usize>>>,
        go: mpsc::Receiver<Result<(), StoreError>>,
    }

    impl Store for Slow {
        fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError> {
            self.groups.lock().unwrap().push(operations.len());
            self.go.recv().unwrap()?;
            self.store.commit(operations)
        }

        fn limits(&self) -> Limits {
            self.store.limits()
        }

        fn reader(&self) -> Box<dyn Reader> {
            self.store.reader()
        }

        fn waits(&self) -> bool {
            true
        }
    }

    fn prune(n: u64) -> Operation {
        Operation::Prune(n)
    }

    #[tokio::test]
    async fn what_comes_during_a_commit_shares_the_next_one_and_order_is_kept() {
        let (go, wait) = mpsc::channel();
        let groups = Arc::new(Mutex::new(Vec::new()));
        let slow = Slow { store: MemoryStore::default(), groups: Arc::clone(&groups), go: wait };
        let mut journal = Journal::open(Box::new(slow)).unwrap();
        journal.submit(0, prune(0));
        while groups.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        (1..=600).for_each(|n| journal.submit(n, prune(n)));
        (0..4).for_each(|_| go.send(Ok(())).unwrap());
        let mut tickets = Vec::new();
        while tickets.len() < 601 {
            tickets.extend(journal.done().await.into_iter().map(|written| written.ticket));
        }
        assert_eq!(tickets, (0..=600).collect::<Vec<_>>());
        assert_eq!((*groups.lock().unwrap()).clone(), [1, 256, 256, 88]);
        assert_eq!(journal.under_way(), 0);
    }

    #[tokio::test]
    async fn what_failed_comes_back_as_it_was_and_can_be_tried_again() {
        let (go, wait) = mpsc::channel();
        let slow = Slow { store: MemoryStore::default(), groups: Arc::default(), go: wait };
        let mut journal = Journal::open(Box::new(slow)).unwrap();
        go.send(Err(StoreError::Broken("no space".into()))).unwrap();
        journal.submit("first", prune(7));
        let written = journal.done().await.remove(0);
        assert_eq!((written.ticket, written.operation.clone()), ("first", prune(7)));
        assert_eq!(written.result, Err(StoreError::Broken("no space".into())));
        go.send(Ok(())).unwrap();
        journal.submit(written.ticket, written.operation);
        assert_eq!(journal.done().await.remove(0).result, Ok(Done::Pruned { next: None }));
    }

    #[tokio::test]
    async fn closing_does_what_is_under_way_first() {
        let (go, wait) = mpsc::channel();
        let slow = Slow { store: MemoryStore::default(), groups: Arc::default(), go: wait };
        let mut journal = Journal::open(Box::new(slow)).unwrap();
        (0..3).for_each(|n| journal.submit(n, prune(n)));
        (0..3).for_each(|_| go.send(Ok(())).unwrap());
        assert_eq!(journal.close().await.len(), 3);
    }

    #[tokio::test]
    async fn a_store_that_waits_for_nothing_is_called_in_place() {
        let mut journal = Journal::open(Box::new(MemoryStore::default())).unwrap();
        journal.submit((), prune(1));
        journal.submit((), prune(2));
        assert_eq!((journal.under_way(), journal.done().await.len()), (2, 2));
    }
}
