//! A store in memory: what it holds is gone with the process.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::{Delivery, DeliveryKey, Health, Progress, Record, Settlement, State};
use super::{
    Count, Done, Entry, Limits, Operation, Page, Query, Reader, Store, StoreError, Usage, say_the_same,
};
use crate::clock::UnixMs;
use crate::contract::Notification;

/// How many deliveries are forgotten in one step, and how many at most to make room for one record.
const STEP: usize = 256;
const MOST: usize = 4_096;

/// Keeps records in memory, for tests and for programs that do without durability.
///
/// A clone is the same store, and what it holds outlives the dispatcher that uses it.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    records: BTreeMap<u64, Stored>,
    by_id: HashMap<ById, u64>,
    idempotency_keys: HashMap<String, u64>,
    /// Deliveries that arrived or were dropped, by when their time to be kept began.
    ended: BTreeSet<(UnixMs, DeliveryKey)>,
    /// Dead letters, by when they died.
    dead: BTreeSet<(UnixMs, DeliveryKey)>,
    /// Records without deliveries, by when they were accepted.
    unmatched: BTreeSet<(UnixMs, u64)>,
    healths: BTreeMap<String, Health>,
    open: u64,
    bytes: u64,
    last: u64,
    limits: Limits,
}

/// A notification that is known by its id.
#[derive(Debug)]
struct ById(Arc<Notification>);

#[derive(Debug)]
struct Stored {
    notification: Arc<Notification>,
    idempotency_key: Option<String>,
    /// In their places; those that were forgotten are `None`.
    deliveries: Vec<Option<Delivery>>,
    size: u64,
}

impl Default for MemoryStore {
    /// With the limits of [`Limits::default`], but 64 MiB.
    fn default() -> Self {
        let kept = Kept {
            records: BTreeMap::new(),
            by_id: HashMap::new(),
            idempotency_keys: HashMap::new(),
            ended: BTreeSet::new(),
            dead: BTreeSet::new(),
            unmatched: BTreeSet::new(),
            healths: BTreeMap::new(),
            open: 0,
            bytes: 0,
            last: 0,
            limits: Limits { max_bytes: 64 << 20, ..Limits::default() },
        };
        Self { kept: Arc::new(Mutex::new(kept)) }
    }
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError> {
        let mut kept = self.lock();
        let operation = |operation: &Operation| match operation {
            Operation::Accept(record) => kept.accept(record),
            Operation::Settle(settlement) => kept.settle(settlement),
            Operation::Remember(health) => {
                kept.healths.insert(health.target.clone(), health.clone());
                Done::Remembered
            }
            Operation::Forget(target) => {
                kept.healths.remove(target);
                Done::Remembered
            }
            Operation::Prune(now) => kept.prune(*now),
            Operation::Limit(limits) => {
                kept.limits = *limits;
                Done::Limited
            }
            Operation::Probe => Done::Probed,
        };
        Ok(operations.iter().map(operation).collect())
    }

    fn limits(&self) -> Limits {
        self.lock().limits
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(self.clone())
    }

    fn waits(&self) -> bool {
        false
    }
}

impl Reader for MemoryStore {
    fn notification(&mut self, record: u64) -> Result<Option<Arc<Notification>>, StoreError> {
        Ok(self.lock().records.get(&record).map(|stored| Arc::clone(&stored.notification)))
    }

    fn find(&mut self, id: &str) -> Result<Option<Record>, StoreError> {
        let kept = self.lock();
        let stored = kept.by_id.get(id).and_then(|record| kept.records.get(record));
        Ok(stored.map(|stored| Record {
            notification: Arc::clone(&stored.notification),
            idempotency_key: stored.idempotency_key.clone(),
            deliveries: stored.deliveries.iter().flatten().cloned().collect(),
        }))
    }

    fn entries(&mut self, keys: &[DeliveryKey]) -> Result<Vec<Entry>, StoreError> {
        let kept = self.lock();
        let entry = |key: &DeliveryKey| {
            let stored = kept.records.get(&key.record)?;
            Some(stored.entry(*key, stored.deliveries.get(usize::from(key.n))?.as_ref()?))
        };
        Ok(keys.iter().filter_map(entry).collect())
    }

    fn list(&mut self, query: &Query) -> Result<Page, StoreError> {
        let kept = self.lock();
        let mut entries: Vec<Entry> = kept.matching(query).take(query.page() + 1).collect();
        let has_more = entries.len() > query.page();
        entries.truncate(query.page());
        let next = entries.last().map(|entry| entry.key).filter(|_| has_more);
        Ok(Page { entries, next, unreadable: Vec::new() })
    }

    fn count(&mut self, query: &Query) -> Result<u64, StoreError> {
        Ok(self.lock().matching(&Query { after: None, ..query.clone() }).count() as u64)
    }

    fn usage(&mut self) -> Result<Usage, StoreError> {
        let kept = self.lock();
        let mut counts: BTreeMap<(&str, usize), Count> = BTreeMap::new();
        for Delivery { target, progress } in kept.records.values().flat_map(|s| s.deliveries.iter().flatten())
        {
            let state = progress.state;
            let place = State::ALL.iter().position(|other| *other == state).unwrap_or_default();
            let count = counts.entry((target, place)).or_insert_with(|| Count {
                target: target.to_string(),
                state,
                deliveries: 0,
                oldest: progress.queued_at,
            });
            count.deliveries += 1;
            count.oldest = count.oldest.min(progress.queued_at);
        }
        let targets = counts.into_values().collect();
        Ok(Usage { open: kept.open, bytes: kept.bytes, file_bytes: 0, targets })
    }

    fn healths(&mut self) -> Result<Vec<Health>, StoreError> {
        Ok(self.lock().healths.values().cloned().collect())
    }
}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Stored {
    fn entry(&self, key: DeliveryKey, delivery: &Delivery) -> Entry {
        let Notification { id, level, title, at, .. } = &*self.notification;
        Entry {
            key,
            id: id.clone(),
            level: *level,
            title: title.clone(),
            at: *at,
            delivery: delivery.clone(),
        }
    }
}

impl Kept {
    fn accept(&mut self, record: &Record) -> Done {
        let notification = &record.notification;
        let by_key = record.idempotency_key.as_ref().and_then(|key| self.idempotency_keys.get(key));
        let by_id = self.by_id.get(notification.id.as_str());
        if let Some(known) = by_id.or(by_key).and_then(|n| self.records.get(n)) {
            let is_same = say_the_same(&known.notification, notification);
            return Done::Known { id: known.notification.id.clone(), is_same };
        }
        let open = record.deliveries.iter().filter(|d| !d.progress.state.has_ended()).count() as u64;
        if open > 0 && !self.limits.has_room(self.open + open, notification.level) {
            return Done::Full;
        }
        let size = record.size();
        let bytes = size + record.details();
        if !self.make_room(self.limits.share_of_bytes(notification.level).checked_sub(bytes)) {
            return Done::Full;
        }
        self.last += 1;
        let number = self.last;
        self.open += open;
        self.bytes += bytes;
        self.by_id.insert(ById(Arc::clone(notification)), number);
        if let Some(key) = &record.idempotency_key {
            self.idempotency_keys.insert(key.clone(), number);
        }
        for (delivery, n) in record.deliveries.iter().zip(0..) {
            self.note_end(DeliveryKey { record: number, n }, &delivery.progress);
        }
        if record.deliveries.is_empty() {
            self.unmatched.insert((notification.at, number));
        }
        let stored = Stored {
            notification: Arc::clone(notification),
            idempotency_key: record.idempotency_key.clone(),
            deliveries: record.deliveries.iter().cloned().map(Some).collect(),
            size,
        };
        self.records.insert(number, stored);
        Done::Accepted(number)
    }

    fn settle(&mut self, settlement: &Settlement) -> Done {
        let Settlement { key, had_ended, level, progress, .. } = settlement;
        let reopens = *had_ended && !progress.state.has_ended();
        if reopens && !self.limits.has_room(self.open + 1, *level) {
            return Done::Full;
        }
        let stored = self.records.get_mut(&key.record);
        let Some(Some(delivery)) = stored.and_then(|s| s.deliveries.get_mut(usize::from(key.n))) else {
            return Done::Unchanged;
        };
        let before = delivery.progress.state;
        if before.has_ended() != *had_ended {
            return Done::Unchanged;
        }
        if let Some(at) = delivery.progress.kept_from() {
            self.ended.remove(&(at, *key));
            self.dead.remove(&(at, *key));
        }
        self.bytes = (self.bytes + progress.size()).saturating_sub(delivery.progress.size());
        delivery.progress = progress.clone();
        let ends = !before.has_ended() && progress.state.has_ended();
        self.open = (self.open + u64::from(reopens)).saturating_sub(u64::from(ends));
        self.note_end(*key, progress);
        Done::Settled
    }

    fn note_end(&mut self, key: DeliveryKey, progress: &Progress) {
        let Some(at) = progress.kept_from() else { return };
        let list = if progress.state == State::Dead { &mut self.dead } else { &mut self.ended };
        list.insert((at, key));
    }

    fn prune(&mut self, now: UnixMs) -> Done {
        let Limits { keep, keep_dead, max_bytes, .. } = self.limits;
        let mut left = STEP;
        while left > 0 && max_bytes < self.bytes && self.forget_oldest() {
            left -= 1;
        }
        while left > 0 && self.ended.first().is_some_and(|(at, _)| at.saturating_add(keep) <= now) {
            let first = self.ended.pop_first();
            first.inspect(|(_, key)| self.forget(*key));
            left -= 1;
        }
        while left > 0 && self.dead.first().is_some_and(|(at, _)| at.saturating_add(keep_dead) <= now) {
            let first = self.dead.pop_first();
            first.inspect(|(_, key)| self.forget(*key));
            left -= 1;
        }
        while left > 0 && self.unmatched.first().is_some_and(|(at, _)| at.saturating_add(keep) <= now) {
            let first = self.unmatched.pop_first();
            first.inspect(|(_, record)| self.forget_record(*record));
            left -= 1;
        }
        if left == 0 {
            return Done::Pruned { next: Some(now) };
        }
        let ended = self.ended.first().map(|(at, _)| at.saturating_add(keep));
        let dead = self.dead.first().map(|(at, _)| at.saturating_add(keep_dead));
        let unmatched = self.unmatched.first().map(|(at, _)| at.saturating_add(keep));
        Done::Pruned { next: [ended, dead, unmatched].into_iter().flatten().min() }
    }

    /// Forgets what is kept for look-ups only until all takes no more than this; nothing where that is not
    /// enough.
    fn make_room(&mut self, most: Option<u64>) -> bool {
        let Some(most) = most else { return false };
        if self.bytes <= most {
            return true;
        }
        let mut left = self.bytes;
        let (mut gone, mut count) = (HashMap::new(), 0);
        for (_, key) in self.ended.iter().take(MOST) {
            let Some(stored) = self.records.get(&key.record) else { continue };
            let delivery = stored.deliveries.get(usize::from(key.n)).and_then(Option::as_ref);
            left = left.saturating_sub(delivery.map_or(0, |delivery| delivery.progress.size()));
            let gone: &mut usize = gone.entry(key.record).or_default();
            *gone += 1;
            if stored.deliveries.iter().flatten().count() == *gone {
                left = left.saturating_sub(stored.size);
            }
            count += 1;
            if left <= most {
                break;
            }
        }
        for (_, record) in self.unmatched.iter().take(MOST - count) {
            if left <= most {
                break;
            }
            left = left.saturating_sub(self.records.get(record).map_or(0, |stored| stored.size));
            count += 1;
        }
        if most < left {
            return false;
        }
        for _ in 0..count {
            self.forget_oldest();
        }
        true
    }

    /// Forgets what is kept for look-ups only, the oldest first.
    fn forget_oldest(&mut self) -> bool {
        if let Some((_, key)) = self.ended.pop_first() {
            self.forget(key);
            return true;
        }
        let Some((_, record)) = self.unmatched.pop_first() else { return false };
        self.forget_record(record);
        true
    }

    fn forget(&mut self, key: DeliveryKey) {
        let Some(stored) = self.records.get_mut(&key.record) else { return };
        if let Some(delivery) = stored.deliveries.get_mut(usize::from(key.n)).and_then(Option::take) {
            self.bytes = self.bytes.saturating_sub(delivery.progress.size());
        }
        if stored.deliveries.iter().all(Option::is_none) {
            self.forget_record(key.record);
        }
    }

    fn forget_record(&mut self, record: u64) {
        let Some(stored) = self.records.remove(&record) else { return };
        self.bytes = self.bytes.saturating_sub(stored.size);
        self.by_id.remove(stored.notification.id.as_str());
        if let Some(key) = &stored.idempotency_key {
            self.idempotency_keys.remove(key);
        }
    }

    fn matching<'k>(&'k self, query: &'k Query) -> impl Iterator<Item = Entry> + 'k {
        let first = query.after.map_or(0, |key| key.record);
        let deliveries = self.records.range(first..).flat_map(|(&record, stored)| {
            let places = stored.deliveries.iter().zip(0..);
            places.filter_map(move |(delivery, n)| {
                Some(stored.entry(DeliveryKey { record, n }, delivery.as_ref()?))
            })
        });
        deliveries
            .filter(|entry| query.after.is_none_or(|after| after < entry.key))
            .filter(|entry| query.matches(entry))
    }
}
