//! A disk that fails and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nuncio::NotifyError;
use nuncio::store::{Done, Limits, MemoryStore, Operation, Reader, State, Store, StoreError};

use crate::queue::{one_target, titled};
use crate::scripted::{Received, Receiver, answering, reply};
use crate::stage::Stage;

/// A store that cannot write while it is told so.
struct Faulty {
    store: MemoryStore,
    is_broken: Arc<AtomicBool>,
}

impl Store for Faulty {
    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(StoreError::Broken("no space left".into()));
        }
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

#[tokio::test]
async fn while_the_disk_fails_nothing_is_taken_and_nothing_begins_and_then_all_goes_on() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&is_broken);
    // Whatever is sent, nothing can be written afterwards.
    let receiver = Receiver::start(answering(move |request: &Received| {
        breaks.fetch_or(request.index == 0, Ordering::SeqCst);
        reply(200)
    }));
    let store = Faulty { store: MemoryStore::default(), is_broken: Arc::clone(&is_broken) };
    let stage = Stage::start_with(&one_target(&receiver, ", concurrency: 1"), |b| b.store(store));
    let hand_in =
        async |title: &str| stage.nuncio.notify(titled(title)).expect("there is room").accepted().await;
    let first = hand_in("first").await.unwrap().id;
    receiver.next().await;
    // Its end cannot be written, so nothing else begins.
    while stage.nuncio.stats().await.unwrap().is_storing {}
    assert!(matches!(hand_in("refused").await, Err(NotifyError::Store(StoreError::Broken(_)))));
    for _ in 0..30 {
        stage.step().await;
    }
    assert!(!stage.nuncio.stats().await.unwrap().is_storing);
    assert_eq!(stage.end(&first).await, (State::Queued, 0));
    is_broken.store(false, Ordering::SeqCst);
    stage.drive().await;
    // What arrived is known to have arrived, and is not sent again.
    assert_eq!(stage.end(&first).await, (State::Delivered, 1));
    let second = hand_in("second").await.unwrap().id;
    stage.drive().await;
    assert_eq!(stage.end(&second).await, (State::Delivered, 1));
    assert_eq!(receiver.seen().requests.len(), 2);
}
