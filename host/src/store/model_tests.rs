//! Random operations on every store and on a model that is too simple to be wrong; the file's store is cut off
//! and opened again between any two groups.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::contract::Class;

/// A record as the model keeps it.
#[derive(Clone, Debug)]
struct Kept {
    number: u64,
    record: Record,
    /// In their places; those that were forgotten are `None`.
    deliveries: Vec<Option<Delivery>>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    records: Vec<Kept>,
    last: u64,
    limits: Limits,
}

impl Model {
    fn open(&self) -> u64 {
        let all = self.records.iter().flat_map(|kept| kept.deliveries.iter().flatten());
        all.filter(|delivery| !delivery.progress.state.has_ended()).count() as u64
    }

    fn bytes(&self) -> u64 {
        let details = |kept: &Kept| kept.deliveries.iter().flatten().map(|d| d.progress.size()).sum::<u64>();
        self.records.iter().map(|kept| kept.record.size() + details(kept)).sum()
    }

    /// The operation with what is to be known of where the delivery stands.
    fn informed(&self, operation: Operation) -> Operation {
        let Operation::Settle(mut settlement) = operation else { return operation };
        let kept = self.records.iter().find(|kept| kept.number == settlement.key.record);
        let delivery = kept.and_then(|kept| kept.deliveries.get(usize::from(settlement.key.n))?.as_ref());
        settlement.replaces = delivery.map_or(0, |delivery| delivery.progress.size());
        let queued_at = &mut settlement.progress.queued_at;
        if let Some(delivery) = delivery.filter(|d| queued_at.abs_diff(d.progress.queued_at) <= SOON) {
            // A store may go by either.
            *queued_at = delivery.progress.queued_at;
        }
        Operation::Settle(settlement)
    }

    fn apply(&mut self, operation: &Operation) -> Done {
        match operation {
            Operation::Accept(record) => self.accept(record),
            Operation::Settle(Settlement { key, had_ended, level, progress, .. }) => {
                let reopens = *had_ended && !progress.state.has_ended();
                if reopens && !self.limits.has_room(self.open() + 1, *level) {
                    return Done::Full;
                }
                let kept = self.records.iter_mut().find(|kept| kept.number == key.record);
                let delivery = kept.and_then(|kept| kept.deliveries.get_mut(usize::from(key.n))?.as_mut());
                match delivery.filter(|delivery| delivery.progress.state.has_ended() == *had_ended) {
                    Some(delivery) => {
                        delivery.progress = progress.clone();
                        Done::Settled
                    }
                    None => Done::Unchanged,
                }
            }
            Operation::Prune(now) => {
                let Limits { keep, keep_dead, .. } = self.limits;
                while self.limits.max_bytes < self.bytes() && self.forget_oldest() {}
                let end = |at: u64, is_dead: bool| at + if is_dead { keep_dead } else { keep };
                self.forget(|at, is_dead| end(at, is_dead) <= *now);
                let ends = self.ends().map(|(at, is_dead)| end(at, is_dead));
                Done::Pruned { next: ends.min() }
            }
            Operation::Limit(limits) => {
                self.limits = *limits;
                Done::Limited
            }
            Operation::Probe => Done::Probed,
            // The contract's tests say it all of these.
            Operation::Remember(_) | Operation::Forget(_) => Done::Remembered,
        }
    }

    fn accept(&mut self, record: &Record) -> Done {
        let same_id = |kept: &&Kept| kept.record.notification.id == record.notification.id;
        let same_key = |kept: &&Kept| {
            record.idempotency_key.is_some() && kept.record.idempotency_key == record.idempotency_key
        };
        let known = self.records.iter().find(same_id).or_else(|| self.records.iter().find(same_key));
        let level = record.notification.level;
        let open = record.deliveries.iter().filter(|d| !d.progress.state.has_ended()).count() as u64;
        if let Some(known) = known {
            let is_same = say_the_same(&known.record.notification, &record.notification);
            return Done::Known { id: known.record.notification.id.clone(), is_same };
        }
        if open > 0 && !self.limits.has_room(self.open() + open, level) {
            return Done::Full;
        }
        let before = self.clone();
        let bytes = record.size() + record.deliveries.iter().map(|d| d.progress.size()).sum::<u64>();
        while self.limits.share_of_bytes(level) < self.bytes() + bytes {
            if !self.forget_oldest() {
                *self = before;
                return Done::Full;
            }
        }
        self.last += 1;
        let deliveries = record.deliveries.iter().cloned().map(Some).collect();
        self.records.push(Kept { number: self.last, record: record.clone(), deliveries });
        Done::Accepted(self.last)
    }

    /// What nobody wanted goes after what arrived.
    fn forget_oldest(&mut self) -> bool {
        let all = || self.ends_with_keys().filter(|(_, is_dead, _)| !is_dead);
        let oldest = all().filter(|(_, _, key)| key.1.is_some()).min().or_else(|| all().min());
        let Some((_, _, key)) = oldest else { return false };
        self.forget_one(key);
        true
    }

    /// What has ended: from when on it is kept for its time, whether it is dead, and where it is.
    fn ends_with_keys(&self) -> impl Iterator<Item = (u64, bool, (u64, Option<usize>))> {
        self.records.iter().flat_map(|kept| {
            let ended = kept.deliveries.iter().enumerate().filter_map(|(n, delivery)| {
                let progress = &delivery.as_ref()?.progress;
                let (ended_at, is_dead) = (progress.ended_at?, progress.state == State::Dead);
                let soon = progress.queued_at..=progress.queued_at + SOON;
                let kept_from = if !is_dead && soon.contains(&ended_at) { *soon.end() } else { ended_at };
                Some((kept_from, is_dead, (kept.number, Some(n))))
            });
            let unmatched = kept.record.deliveries.is_empty();
            ended.chain(unmatched.then_some((kept.record.notification.at, false, (kept.number, None))))
        })
    }

    fn ends(&self) -> impl Iterator<Item = (u64, bool)> {
        self.ends_with_keys().map(|(at, is_dead, _)| (at, is_dead))
    }

    fn forget(&mut self, which: impl Fn(u64, bool) -> bool) {
        let keys: Vec<_> =
            self.ends_with_keys().filter(|(at, dead, _)| which(*at, *dead)).map(|(_, _, key)| key).collect();
        keys.into_iter().for_each(|key| self.forget_one(key));
    }

    fn forget_one(&mut self, (number, n): (u64, Option<usize>)) {
        let Some(place) = self.records.iter().position(|kept| kept.number == number) else { return };
        if let Some(n) = n {
            self.records[place].deliveries[n] = None;
        }
        if self.records[place].deliveries.iter().all(Option::is_none) {
            self.records.remove(place);
        }
    }
}

const NOW: UnixMs = 1_000_000;

/// What ends within this after it was queued is kept as if it had taken as long.
const SOON: u64 = 10_000;

/// How far apart instants are, so that some deliveries end soon after they were queued, and some do not.
const TICK: u64 = 700;

fn accepts() -> impl Strategy<Value = Operation> {
    let level = prop::sample::select(Level::ALL.as_slice());
    let parts = (0..8_u8, prop::option::of(0..4_u8), 0..2_u8, level, 0..3_usize, 0..50_u64);
    parts.prop_map(|(id, key, title, level, targets, at)| {
        let notification = Notification {
            id: format!("id-{id}"),
            at: NOW + at * TICK,
            ..Notification::new(level, format!("title {title}"))
        };
        let deliveries = (0..targets).map(|n| Delivery::queued(format!("t{n}"), NOW + at * TICK)).collect();
        let idempotency_key = key.map(|key| format!("key-{key}"));
        Operation::Accept(Record { notification: Arc::new(notification), idempotency_key, deliveries })
    })
}

fn settlements() -> impl Strategy<Value = Operation> {
    let state = prop::sample::select(State::ALL.as_slice());
    let level = prop::sample::select(Level::ALL.as_slice());
    let parts = (0..10_u64, 0..3_u16, any::<bool>(), level, state, 0..50_u64, 0..300_usize);
    parts.prop_map(|(record, n, had_ended, level, state, at, size)| {
        let ended_at = state.has_ended().then_some(NOW + at * TICK);
        let reply = (size % 2 == 0).then(|| LastReply::of(500, "ä".repeat(size / 2).as_bytes()));
        let detail = "x".repeat(size);
        // As a store finds nearly all of them.
        let (due_at, class) =
            (ended_at.is_none().then_some(NOW), ended_at.is_some().then_some(Class::Delivered));
        let progress =
            Progress { state, ended_at, due_at, class, detail, reply, ..Progress::queued(NOW + at * TICK) };
        let (key, target) = (DeliveryKey { record, n }, format!("t{n}").into());
        Operation::Settle(Settlement { key, target, had_ended, level, replaces: 0, progress })
    })
}

fn operations() -> impl Strategy<Value = Operation> {
    let limits = (1..8_u64, 1..12_u64, 0..40_u64, 0..80_u64);
    let limits = limits.prop_map(|(messages, records, keep, keep_dead)| {
        Operation::Limit(Limits {
            max_messages: messages,
            max_bytes: records * 700,
            reserve_for: Level::Error,
            keep: keep * TICK,
            keep_dead: keep_dead * TICK,
        })
    });
    prop_oneof![
        6 => accepts(),
        6 => settlements(),
        1 => (0..150_u64).prop_map(|passed| Operation::Prune(NOW + passed * TICK)),
        1 => limits,
    ]
}

/// A group of operations, and whether the store is cut off after it.
fn groups() -> impl Strategy<Value = Vec<(Vec<Operation>, bool)>> {
    prop::collection::vec((prop::collection::vec(operations(), 1..6), prop::bool::weighted(0.2)), 1..20)
}

/// What the model makes of operations, and these as a store is told them.
fn applied(operations: Vec<Operation>, model: &mut Model) -> (Vec<Operation>, Vec<Done>) {
    let apply = |operation| {
        let operation = model.informed(operation);
        let done = model.apply(&operation);
        (operation, done)
    };
    operations.into_iter().map(apply).unzip()
}

fn compare(store: &dyn Store, model: &Model) -> Result<(), TestCaseError> {
    let mut reader = store.reader();
    for kept in &model.records {
        let expected =
            Record { deliveries: kept.deliveries.iter().flatten().cloned().collect(), ..kept.record.clone() };
        prop_assert_eq!(reader.find(&kept.record.notification.id).unwrap(), Some(expected));
    }
    let usage = reader.usage().unwrap();
    prop_assert_eq!((usage.open, usage.bytes), (model.open(), model.bytes()));
    let listed = reader.list(&Query { limit: 1_000, ..Query::default() }).unwrap().entries;
    let kept = model.records.iter().flat_map(|kept| {
        let places = (0..).zip(&kept.deliveries);
        places.filter(|(_, d)| d.is_some()).map(|(n, _)| DeliveryKey { record: kept.number, n })
    });
    prop_assert_eq!(listed.iter().map(|e| e.key).collect::<Vec<_>>(), kept.collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #[test]
    fn a_store_in_memory_does_as_the_model(groups in groups()) {
        let (mut store, mut model) = (MemoryStore::default(), Model::default());
        model.limits = store.limits();
        for (operations, _) in groups {
            let (operations, done) = applied(operations, &mut model);
            prop_assert_eq!(store.commit(&operations).unwrap(), done);
            compare(&store, &model)?;
        }
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_store_in_a_file_does_as_the_model_whenever_it_is_cut_off(groups in groups(), garbage: Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let mut path = folder.path().join("first.db");
        let (mut store, mut model) = (SqliteStore::open(&path).unwrap(), Model::default());
        for (n, (operations, is_cut_off)) in groups.into_iter().enumerate() {
            let (operations, done) = applied(operations, &mut model);
            prop_assert_eq!(store.commit(&operations).unwrap(), done);
            if is_cut_off {
                path = image(&path, &folder.path().join(format!("{n}.db")), &garbage);
                store = SqliteStore::open(&path).unwrap();
                store.commit(&[Operation::Limit(model.limits)]).unwrap();
            }
            compare(&store, &model)?;
        }
    }
}

/// What is on disk at this instant, while the store is open, and behind it what was being written: nobody was
/// told that this is there.
fn image(path: &Path, to: &Path, garbage: &[u8]) -> PathBuf {
    std::fs::copy(path, to).unwrap();
    let log = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    let mut written = std::fs::read(log(path)).unwrap_or_default();
    written.extend_from_slice(garbage);
    std::fs::write(log(to), written).unwrap();
    to.to_owned()
}
