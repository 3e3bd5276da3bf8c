//! A store in memory: what it holds is gone with the process.

use std::collections::{HashMap, VecDeque};

use super::{Delivery, Record, Store, StoreError};

/// How many records that have ended are kept for whoever asks: 10 000, the oldest making room.
const ENDED_KEPT: usize = 10_000;

/// What a record takes beside its texts, roughly, in bytes.
const OVERHEAD: usize = 512;

/// Keeps records in memory, for tests and for programs that do without durability.
///
/// A record stays until its deliveries have ended, and then until 10 000 others have, or until its memory is
/// needed.
#[derive(Debug)]
pub struct MemoryStore {
    records: HashMap<String, Record>,
    ended: VecDeque<String>,
    /// What all records take, in bytes.
    used: usize,
    limit: usize,
}

/// A store of 64 MiB.
impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_limit(64 << 20)
    }
}

impl MemoryStore {
    /// A store whose records take at most so many bytes, roughly. When all of them are waiting for an end,
    /// nothing more is accepted.
    #[must_use]
    pub fn with_limit(bytes: usize) -> Self {
        Self { records: HashMap::new(), ended: VecDeque::new(), used: 0, limit: bytes }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.ended.pop_front() else { return false };
        if let Some(record) = self.records.remove(&oldest) {
            self.used = self.used.saturating_sub(size(&record));
        }
        true
    }

    fn keep_ended(&mut self, id: &str) {
        self.ended.push_back(id.to_owned());
        if self.ended.len() > ENDED_KEPT {
            self.forget_oldest();
        }
    }
}

/// What a record takes, roughly, in bytes: the same from its first day to its last.
fn size(record: &Record) -> usize {
    record.notification.size() + OVERHEAD * (1 + record.deliveries.len())
}

impl Store for MemoryStore {
    fn accept(&mut self, record: Record) -> Result<(), StoreError> {
        if self.records.contains_key(&record.notification.id) {
            return Err(StoreError::Duplicate);
        }
        let size = size(&record);
        while self.used.saturating_add(size) > self.limit {
            if !self.forget_oldest() {
                return Err(StoreError::Full);
            }
        }
        let (id, has_ended) = (record.notification.id.clone(), record.has_ended());
        self.used += size;
        self.records.insert(id.clone(), record);
        if has_ended {
            self.keep_ended(&id);
        }
        Ok(())
    }

    fn settle(&mut self, id: &str, n: usize, delivery: Delivery) -> Result<(), StoreError> {
        let Some(record) = self.records.get_mut(id) else { return Ok(()) };
        let had_ended = record.has_ended();
        if let Some(kept) = record.deliveries.get_mut(n) {
            *kept = delivery;
        }
        if !had_ended && record.has_ended() {
            self.keep_ended(id);
        }
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.records.get(id).cloned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::{Level, Notification};
    use crate::store::State;

    fn record(id: &str, targets: &[&str]) -> Record {
        let notification = Notification { id: id.to_owned(), ..Notification::new(Level::Info, "t") };
        let deliveries = targets.iter().map(|target| Delivery::queued((*target).to_owned())).collect();
        Record { notification: Arc::new(notification), deliveries }
    }

    fn delivered(target: &str) -> Delivery {
        Delivery { state: State::Delivered, attempts: 1, ..Delivery::queued(target.to_owned()) }
    }

    #[test]
    fn a_record_is_found_as_it_stands() {
        let mut store = MemoryStore::default();
        store.accept(record("a", &["x", "y"])).unwrap();
        store.settle("a", 1, delivered("y")).unwrap();
        let found = store.find("a").unwrap().unwrap();
        assert_eq!((found.deliveries[0].state, found.deliveries[1].state), (State::Queued, State::Delivered));
        assert_eq!(store.find("b").unwrap(), None);
    }

    #[test]
    fn what_has_not_ended_is_never_forgotten_and_what_has_makes_room() {
        let mut store = MemoryStore::default();
        store.accept(record("open", &["x"])).unwrap();
        for n in 0..=ENDED_KEPT {
            store.accept(record(&n.to_string(), &["x"])).unwrap();
            store.settle(&n.to_string(), 0, delivered("x")).unwrap();
        }
        assert!(store.find("open").unwrap().is_some());
        assert!(store.find("0").unwrap().is_none() && store.find("1").unwrap().is_some());
        assert_eq!(store.records.len(), ENDED_KEPT + 1);
    }

    #[test]
    fn an_id_that_is_known_is_refused() {
        let mut store = MemoryStore::default();
        store.accept(record("a", &["x"])).unwrap();
        assert!(matches!(store.accept(record("a", &["y"])), Err(StoreError::Duplicate)));
        assert_eq!(store.find("a").unwrap().unwrap().deliveries[0].target, "x");
    }

    #[test]
    fn what_waits_is_bounded_and_what_has_ended_makes_room() {
        let mut store = MemoryStore::with_limit(3_000);
        store.accept(record("ended", &["x"])).unwrap();
        store.settle("ended", 0, delivered("x")).unwrap();
        store.accept(record("a", &["x"])).unwrap();
        store.accept(record("b", &["x"])).unwrap();
        assert!(store.find("ended").unwrap().is_none());
        assert!(matches!(store.accept(record("c", &["x"])), Err(StoreError::Full)));
        store.settle("a", 0, delivered("x")).unwrap();
        store.accept(record("c", &["x"])).unwrap();
        assert!(store.find("b").unwrap().is_some() && store.used <= 3_000);
    }

    #[test]
    fn a_record_without_deliveries_has_ended() {
        let mut store = MemoryStore::default();
        store.accept(record("nobody", &[])).unwrap();
        assert_eq!(store.ended.len(), 1);
    }
}
