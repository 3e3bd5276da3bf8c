//! What waits in a lane, and which of it is first: to leave, and to be too old.
//!
//! The orders are heaps. What has left without being first of one stays in it until it would be, or until half of it has
//! left; so what comes and goes in order, as most does, costs a step in each, and what does not, a share in going through
//! it all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{ByKind, Kind, Waiting};
use crate::clock::UnixMs;
use crate::store::DeliveryKey;

/// So many that have left are never looked for in an order, and room for so many is never given back.
const NOT_WORTH_IT: usize = 64;

/// The items of a lane that wait.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: BTreeMap<DeliveryKey, Waiting<T>>,
    by_due: ByKind<Order>,
    by_age: Order,
}

/// Keys, the one with the earliest instant first.
#[derive(Debug, Default)]
struct Order {
    /// Of what has not left, each once or more often; the first of it has not.
    heap: BinaryHeap<Reverse<(UnixMs, DeliveryKey)>>,
    /// How many in it have not left.
    there: usize,
}

// === impl Queue ===

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { waiting: BTreeMap::new(), by_due: ByKind::default(), by_age: Order::default() }
    }

    /// Puts in an item, in place of the one with its key where there is one; whether there is none.
    pub(super) fn insert(&mut self, item: Waiting<T>) -> bool {
        let Waiting { key, ages_from, due, kind, .. } = item;
        of_mut(&mut self.by_due, kind).insert(due, key);
        self.by_age.insert(ages_from, key);
        let before = self.waiting.insert(key, item);
        before.inspect(|before| self.has_left(before)).is_none()
    }

    pub(super) fn remove(&mut self, key: DeliveryKey) -> Option<Waiting<T>> {
        let item = self.waiting.remove(&key)?;
        self.has_left(&item);
        Some(item)
    }

    fn has_left(&mut self, item: &Waiting<T>) {
        let (Self { waiting, by_due, by_age }, key) = (self, item.key);
        let of_kind = |other: &&Waiting<T>| other.kind == item.kind;
        let due = |key| waiting.get(&key).filter(of_kind).map(|other| other.due);
        of_mut(by_due, item.kind).remove(item.due, key, due);
        by_age.remove(item.ages_from, key, |key| waiting.get(&key).map(|other| other.ages_from));
    }

    /// The item of a kind that is due first, and when that is.
    pub(super) fn first_due(&self, kind: Kind) -> Option<(UnixMs, DeliveryKey)> {
        let [first, retry] = &self.by_due;
        match kind {
            Kind::First => first.first(),
            Kind::Retry => retry.first(),
        }
    }

    /// The item whose age is counted from the earliest instant, and that instant.
    pub(super) fn oldest(&self) -> Option<(UnixMs, DeliveryKey)> {
        self.by_age.first()
    }

    pub(super) fn get(&self, key: DeliveryKey) -> Option<&T> {
        self.waiting.get(&key).map(|waiting| &waiting.item)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().map(|waiting| &waiting.item)
    }
}

fn of_mut(orders: &mut ByKind<Order>, kind: Kind) -> &mut Order {
    let [first, retry] = orders;
    match kind {
        Kind::First => first,
        Kind::Retry => retry,
    }
}

// === impl Order ===

impl Order {
    fn insert(&mut self, at: UnixMs, key: DeliveryKey) {
        self.heap.push(Reverse((at, key)));
        self.there += 1;
    }

    /// Takes out what has left; `at_of` says where another stands in this order that has not.
    fn remove(&mut self, at: UnixMs, key: DeliveryKey, at_of: impl Fn(DeliveryKey) -> Option<UnixMs>) {
        self.there = self.there.saturating_sub(1);
        if self.first() == Some((at, key)) {
            self.heap.pop();
        }
        let is_there = |(at, key): (UnixMs, DeliveryKey)| at_of(key) == Some(at);
        while self.there < self.heap.len() && self.first().is_some_and(|first| !is_there(first)) {
            self.heap.pop();
        }
        if self.there.saturating_mul(2).saturating_add(NOT_WORTH_IT) < self.heap.len() {
            let mut left = std::mem::take(&mut self.heap).into_vec();
            left.retain(|Reverse(other)| is_there(*other));
            // What left and came back as it was is there twice.
            left.sort_unstable();
            left.dedup();
            self.heap = left.into();
        }
        if self.heap.len().saturating_mul(8).saturating_add(NOT_WORTH_IT) < self.heap.capacity() {
            self.heap.shrink_to(self.heap.len().saturating_mul(2));
        }
    }

    fn first(&self) -> Option<(UnixMs, DeliveryKey)> {
        self.heap.peek().map(|Reverse(first)| *first)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by looking through all that is there.
    #[derive(Default)]
    struct Model(Vec<Waiting<u64>>);

    impl Model {
        fn first_due(&self, kind: Kind) -> Option<(UnixMs, DeliveryKey)> {
            let of_kind = self.0.iter().filter(|item| item.kind == kind);
            of_kind.map(|item| (item.due, item.key)).min()
        }

        fn oldest(&self) -> Option<(UnixMs, DeliveryKey)> {
            self.0.iter().map(|item| (item.ages_from, item.key)).min()
        }
    }

    proptest! {
        #[test]
        fn it_says_of_each_order_what_is_first(
            steps in prop::collection::vec((any::<bool>(), 0..200_u64, 0..9_u64, 0..9_u64, any::<bool>()), 0..800),
        ) {
            let (mut queue, mut model) = (Queue::new(), Model::default());
            for (comes, n, due, ages_from, is_first) in steps {
                let key = DeliveryKey { record: n, n: 0 };
                let kind = if is_first { Kind::First } else { Kind::Retry };
                let there = model.0.iter().position(|item| item.key == key);
                match there {
                    // One in three that is there is put in once more.
                    _ if comes && (there.is_none() || n % 3 == 0) => {
                        let item = Waiting { key, ages_from, due, kind, item: n };
                        there.map(|place| model.0.swap_remove(place));
                        prop_assert_eq!(queue.insert(item), there.is_none());
                        model.0.push(item);
                    }
                    _ => prop_assert_eq!(queue.remove(key), there.map(|place| model.0.swap_remove(place))),
                }
                let is_there = model.0.iter().any(|item| item.key == key);
                prop_assert_eq!((queue.len(), queue.get(key).is_some()), (model.0.len(), is_there));
                for kind in [Kind::First, Kind::Retry] {
                    prop_assert_eq!(queue.first_due(kind), model.first_due(kind));
                }
                prop_assert_eq!(queue.oldest(), model.oldest());
                for order in queue.by_due.iter().chain([&queue.by_age]) {
                    prop_assert!(order.heap.len() <= 2 * order.there + NOT_WORTH_IT);
                }
            }
        }
    }

    #[test]
    fn what_waits_for_long_keeps_nothing_of_what_has_left() {
        let mut queue = Queue::new();
        let item = |n, due| {
            let key = DeliveryKey { record: n, n: 0 };
            Waiting { key, ages_from: due, due, kind: Kind::First, item: () }
        };
        queue.insert(item(0, 0));
        for n in 1..10_000 {
            queue.insert(item(n, n));
            queue.remove(DeliveryKey { record: n, n: 0 });
        }
        assert!(queue.by_age.heap.len() <= NOT_WORTH_IT + 2, "{}", queue.by_age.heap.len());
        assert_eq!(queue.oldest(), Some((0, DeliveryKey { record: 0, n: 0 })));
    }

    #[test]
    fn what_comes_back_as_it_was_is_gone_through_seldom() {
        const COUNT: u64 = 1_000;
        let (mut queue, mut order) = (Queue::new(), Order::default());
        let key = |n| DeliveryKey { record: n, n: 0 };
        for n in 0..COUNT {
            queue.insert(Waiting { key: key(n), ages_from: n, due: 0, kind: Kind::First, item: () });
            order.insert(n, key(n));
        }
        let looks = std::cell::Cell::new(0_u64);
        for pass in 1..=9 {
            // Any but the oldest: it comes back, due later, and as old as it was.
            for n in 1..COUNT {
                let waited = queue.remove(key(n)).unwrap();
                queue.insert(Waiting { due: pass, kind: Kind::Retry, ..waited });
                order.remove(n, key(n), |other| {
                    looks.set(looks.get() + 1);
                    (other != key(n)).then_some(other.record)
                });
                order.insert(n, key(n));
            }
            assert_eq!((queue.len(), queue.oldest()), (1_000, Some((0, key(0)))));
        }
        assert!(looks.get() < 4 * 9 * COUNT, "{}", looks.get());
        assert!(order.heap.len() <= 2 * 1_000 + NOT_WORTH_IT + 1);
        let mut same = Queue::new();
        for _ in 0..COUNT {
            same.insert(Waiting { key: key(1), ages_from: 0, due: 0, kind: Kind::First, item: () });
        }
        assert!(same.by_age.heap.len() <= NOT_WORTH_IT + 3, "{}", same.by_age.heap.len());
    }

    #[test]
    fn what_was_there_once_takes_no_room_for_ever() {
        let mut queue = Queue::new();
        let key = |n| DeliveryKey { record: n, n: 0 };
        for n in 0..10_000 {
            queue.insert(Waiting { key: key(n), ages_from: n, due: n, kind: Kind::First, item: () });
        }
        assert!((0..10_000).all(|n| queue.remove(key(n)).is_some()));
        for order in queue.by_due.iter().chain([&queue.by_age]) {
            assert!(order.heap.capacity() <= 2 * NOT_WORTH_IT, "{}", order.heap.capacity());
        }
    }
}
