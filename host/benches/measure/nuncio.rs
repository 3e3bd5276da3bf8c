//! Nuncio as the benchmarks run it, and a store that counts its commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nuncio::Nuncio;
use nuncio::contract::{Level, Notification};
use nuncio::store::{Done, Limits, Operation, Reader, Store, StoreError};

use super::receiver::Receiver;

/// A store that counts its commits, each of them an fsync where it is a file.
pub struct Counting<S> {
    pub store: S,
    pub commits: Arc<AtomicU64>,
}

impl<S: Store> Store for Counting<S> {
    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit(operations)
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn reader(&self) -> Box<dyn Reader> {
        self.store.reader()
    }

    fn waits(&self) -> bool {
        self.store.waits()
    }
}

/// What the webhook makes of [`numbered`], for the bare client to send the same.
pub fn body(number: u64) -> String {
    format!(r##"{{"title":"#{number}#","message":"{TEXT}"}}"##)
}

/// What a notification says.
pub const TEXT: &str = "The disk /var on host web-1 is 98 % full; it was 91 % an hour ago.";

/// A notification with a number, by which the receiver knows it again.
pub fn numbered(number: u64) -> Notification {
    Notification::new(Level::Info, format!("#{number}#")).text(TEXT)
}

/// A target for a receiver.
pub fn target(receiver: &Receiver, name: &str, more: &str) -> String {
    let tls = receiver.certificate.as_ref();
    let tls = tls.map(|path| format!(", tls: {{ca_file: {}}}", path.display())).unwrap_or_default();
    format!(
        "- {{name: {name}, provider: webhook, url: \"{}\", {more}\
         payload: '{{\"title\":$title,\"message\":$message}}'{tls}}}\n",
        receiver.url()
    )
}

/// Hands in so many, in as many tasks as there are to be under way, each of which waits until its one is accepted
/// before it hands in the next; and waits until all have ended.
pub async fn send_all(nuncio: &Nuncio, count: u64, in_flight: usize) {
    send(nuncio, count, in_flight, numbered).await;
}

/// The same, of other notifications.
pub async fn send(
    nuncio: &Nuncio,
    count: u64,
    in_flight: usize,
    notification: impl Fn(u64) -> Notification + Clone + Send + 'static,
) {
    let next = Arc::new(AtomicU64::new(0));
    let tasks = (0..in_flight).map(|_| {
        let (nuncio, next, notification) = (nuncio.clone(), Arc::clone(&next), notification.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    break;
                }
                nuncio.notify(notification(number)).unwrap().accepted().await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    // Others may wait that are due much later.
    nuncio.idle().await;
}
