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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc as tokio_mpsc;

use crate::crash;
use crate::store::{Done, Operation, Store, StoreError};

/// How many operations share a commit at most.
const LARGEST_GROUP: usize = 256;

/// The way to a store; a ticket says what an operation was for, and comes back with it.
pub(crate) struct Journal<T> {
    way: Way<T>,
    /// What goes with the next flush.
    batch: Batch<T>,
    under_way: usize,
}

enum Way<T> {
    InPlace {
        store: Box<dyn Store>,
        done: Vec<Written<T>>,
    },
    Thread {
        operations: mpsc::Sender<Batch<T>>,
        is_closing: Arc<AtomicBool>,
        done: tokio_mpsc::UnboundedReceiver<Vec<Written<T>>>,
        thread: JoinHandle<()>,
    },
}

/// Operations that go together, each with what it is for.
struct Batch<T> {
    tickets: Vec<T>,
    operations: Vec<Operation>,
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
            let is_closing = Arc::new(AtomicBool::new(false));
            let is_hurried = Arc::clone(&is_closing);
            let thread = thread.spawn(move || write(store, &take, &tell, &is_hurried))?;
            Way::Thread { operations, is_closing, done, thread }
        } else {
            Way::InPlace { store, done: Vec::new() }
        };
        Ok(Self { way, batch: Batch::with_capacity(0), under_way: 0 })
    }

    /// Adds an operation to those that go with the next flush.
    pub(crate) fn submit(&mut self, ticket: T, operation: Operation) {
        self.under_way += 1;
        self.batch.push(ticket, operation);
    }

    /// Lets go what was submitted, all together.
    pub(crate) fn flush(&mut self) {
        let count = self.batch.operations.len();
        if count == 0 {
            return;
        }
        // The next one will be about as large.
        let batch = std::mem::replace(&mut self.batch, Batch::with_capacity(count));
        match &mut self.way {
            Way::InPlace { store, done } if done.is_empty() => *done = commit(store.as_mut(), batch),
            Way::InPlace { store, done } => done.extend(commit(store.as_mut(), batch)),
            Way::Thread { operations, .. } => {
                // Where the thread is gone, `done` says so.
                let _ = operations.send(batch);
            }
        }
    }

    /// How many operations are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Waits for operations to be done; `None` where nothing will ever be, because the thread broke off. Can
    /// be dropped without a loss.
    pub(crate) async fn done(&mut self) -> Option<Vec<Written<T>>> {
        let written = match &mut self.way {
            Way::InPlace { done, .. } if done.is_empty() => std::future::pending().await,
            Way::InPlace { done, .. } => std::mem::take(done),
            Way::Thread { done, .. } => done.recv().await?,
        };
        Some(self.count(written))
    }

    /// Operations that are done by now.
    pub(crate) fn try_done(&mut self) -> Option<Vec<Written<T>>> {
        let written = match &mut self.way {
            Way::InPlace { done, .. } if done.is_empty() => return None,
            Way::InPlace { done, .. } => std::mem::take(done),
            Way::Thread { done, .. } => done.try_recv().ok()?,
        };
        Some(self.count(written))
    }

    fn count(&mut self, written: Vec<Written<T>>) -> Vec<Written<T>> {
        self.under_way = self.under_way.saturating_sub(written.len());
        written
    }

    /// Closes the store, once everything that is under way is done, or after the first commit that fails;
    /// returns all that.
    pub(crate) async fn close(mut self) -> Vec<Written<T>> {
        self.flush();
        match self.way {
            Way::InPlace { done, .. } => done,
            Way::Thread { operations, is_closing, mut done, thread } => {
                is_closing.store(true, Ordering::SeqCst);
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

impl<T> Batch<T> {
    fn with_capacity(count: usize) -> Self {
        Self { tickets: Vec::with_capacity(count), operations: Vec::with_capacity(count) }
    }

    fn push(&mut self, ticket: T, operation: Operation) {
        self.tickets.push(ticket);
        self.operations.push(operation);
    }

    fn is_full(&self) -> bool {
        self.operations.len() >= LARGEST_GROUP
    }
}

/// Adds a batch to the groups that wait.
fn gather<T>(groups: &mut VecDeque<Batch<T>>, batch: Batch<T>) {
    if groups.is_empty() && !batch.is_full() {
        return groups.push_back(batch);
    }
    for (ticket, operation) in batch.tickets.into_iter().zip(batch.operations) {
        match groups.back_mut().filter(|last| !last.is_full()) {
            Some(last) => last.push(ticket, operation),
            None => groups.push_back(Batch { tickets: vec![ticket], operations: vec![operation] }),
        }
    }
}

/// The thread: one group after the other, each of what has come by then.
fn write<T>(
    mut store: Box<dyn Store>,
    operations: &mpsc::Receiver<Batch<T>>,
    done: &tokio_mpsc::UnboundedSender<Vec<Written<T>>>,
    is_closing: &AtomicBool,
) {
    let mut waiting = VecDeque::new();
    let mut given_up = None;
    loop {
        if waiting.is_empty() {
            let Ok(batch) = operations.recv() else { return };
            gather(&mut waiting, batch);
        }
        operations.try_iter().for_each(|batch| gather(&mut waiting, batch));
        let Some(group) = waiting.pop_front() else { continue };
        let written = match &given_up {
            // Nobody waits longer than for one failure on the way out.
            Some(error) => fail(group, error),
            None => commit(store.as_mut(), group),
        };
        if is_closing.load(Ordering::SeqCst) {
            given_up = given_up.or_else(|| written.iter().find_map(|written| written.result.clone().err()));
        }
        // Whoever handed these in may be gone; they are written all the same.
        let _ = done.send(written);
    }
}

fn commit<T>(store: &mut dyn Store, group: Batch<T>) -> Vec<Written<T>> {
    let Batch { tickets, operations } = group;
    if operations.iter().any(|operation| matches!(operation, Operation::Settle(_))) {
        crash::at("before-settle");
    }
    match store.commit(&operations) {
        Ok(done) => {
            let all = tickets.into_iter().zip(operations).zip(done);
            all.map(|((ticket, operation), done)| Written { ticket, operation, result: Ok(done) }).collect()
        }
        Err(error) => fail(Batch { tickets, operations }, &error),
    }
}

fn fail<T>(group: Batch<T>, error: &StoreError) -> Vec<Written<T>> {
    let fail = |(ticket, operation)| Written { ticket, operation, result: Err(error.clone()) };
    group.tickets.into_iter().zip(group.operations).map(fail).collect()
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
        journal.flush();
        while groups.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        for n in 1..=600 {
            journal.submit(n, prune(n));
            if n % 100 == 0 {
                journal.flush();
            }
        }
        (0..4).for_each(|_| go.send(Ok(())).unwrap());
        let mut tickets = Vec::new();
        while tickets.len() < 601 {
            tickets.extend(journal.done().await.unwrap().into_iter().map(|written| written.ticket));
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
        journal.flush();
        let written = journal.done().await.unwrap().remove(0);
        assert_eq!((written.ticket, written.operation.clone()), ("first", prune(7)));
        assert_eq!(written.result, Err(StoreError::Broken("no space".into())));
        go.send(Ok(())).unwrap();
        journal.submit(written.ticket, written.operation);
        journal.flush();
        assert_eq!(journal.done().await.unwrap().remove(0).result, Ok(Done::Pruned { next: None }));
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
        assert!(journal.try_done().is_none());
        journal.flush();
        assert_eq!((journal.under_way(), journal.done().await.unwrap().len()), (2, 2));
        assert_eq!(journal.under_way(), 0);
    }

    #[tokio::test]
    async fn on_the_way_out_one_failure_is_enough() {
        let (go, wait) = mpsc::channel();
        let slow = Slow { store: MemoryStore::default(), groups: Arc::default(), go: wait };
        let groups = Arc::clone(&slow.groups);
        let mut journal = Journal::open(Box::new(slow)).unwrap();
        (0..600).for_each(|n| journal.submit(n, prune(n)));
        let fail = async { go.send(Err(StoreError::Broken("no space".into()))).unwrap() };
        let (written, ()) = tokio::join!(journal.close(), fail);
        assert_eq!((written.len(), groups.lock().unwrap().len()), (600, 1));
        assert!(written.iter().all(|written| written.result.is_err()));
    }

    #[tokio::test]
    async fn a_thread_that_breaks_off_is_noticed() {
        let (go, wait) = mpsc::channel();
        let slow = Slow { store: MemoryStore::default(), groups: Arc::default(), go: wait };
        let mut journal = Journal::open(Box::new(slow)).unwrap();
        journal.submit((), prune(1));
        journal.flush();
        // The store panics: nobody will ever say a word.
        drop(go);
        assert!(journal.done().await.is_none());
    }
}
