//! Reading from the store without holding anybody up.

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::{Reader, Store, StoreError};

/// A way to read that any task can use. What waits for a disk runs on a thread that may.
#[derive(Clone)]
pub(crate) struct Reads {
    reader: Arc<Mutex<Box<dyn Reader>>>,
    waits: bool,
}

impl Reads {
    /// The way to read from a store.
    pub(crate) fn of(store: &dyn Store) -> Self {
        Self { reader: Arc::new(Mutex::new(store.reader())), waits: store.waits() }
    }

    /// Reads something.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = Arc::clone(&self.reader);
        let locked = move || read(reader.lock().unwrap_or_else(PoisonError::into_inner).as_mut());
        if !self.waits {
            return locked();
        }
        let read = tokio::task::spawn_blocking(locked).await;
        read.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string())))
    }
}
