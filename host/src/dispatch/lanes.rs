//! The lanes by name: one for each target of the configuration, open, and one for each target that only
//! deliveries know, closed.

use std::collections::HashMap;
use std::sync::Arc;

use super::UNTRIED;
use super::item::Item;
use crate::contract::{Endpoint, Target};
use crate::schedule::{Rules, Schedule};

/// How long deliveries to a target wait that the configuration does not know (any more): a day.
const AGE_OF_ORPHANS_MS: u64 = 24 * 60 * 60 * 1_000;

#[derive(Default)]
pub(super) struct Lanes {
    by_name: HashMap<Arc<str>, usize>,
    all: Vec<Lane>,
}

struct Lane {
    name: Arc<str>,
    endpoint: Endpoint,
    is_open: bool,
}

impl Lanes {
    /// Opens the lanes of these targets and closes all others.
    pub(super) fn open_only(&mut self, targets: &[Target], schedule: &mut Schedule<Item>) {
        let closed = Rules { concurrency: 0, max_age: AGE_OF_ORPHANS_MS };
        for (lane, slot) in self.all.iter_mut().enumerate() {
            slot.is_open = false;
            schedule.set_rules(lane, closed);
        }
        for Target { name, concurrency, max_age } in targets {
            let lane = self.of(name, schedule);
            let concurrency = usize::try_from(*concurrency).unwrap_or(usize::MAX).max(1);
            schedule.set_rules(lane, Rules { concurrency, max_age: *max_age });
            if let Some(slot) = self.all.get_mut(lane) {
                slot.is_open = true;
            }
        }
    }

    /// The lane of a target; a closed one is made where there is none.
    pub(super) fn of(&mut self, name: &str, schedule: &mut Schedule<Item>) -> usize {
        if let Some(lane) = self.by_name.get(name) {
            return *lane;
        }
        let name: Arc<str> = name.into();
        let lane = schedule.add_lane(Rules { concurrency: 0, max_age: AGE_OF_ORPHANS_MS });
        self.by_name.insert(Arc::clone(&name), lane);
        self.all.push(Lane { name, endpoint: UNTRIED, is_open: false });
        lane
    }

    /// The lane of a target of the configuration.
    pub(super) fn open(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied().filter(|lane| self.is_open(*lane))
    }

    pub(super) fn is_open(&self, lane: usize) -> bool {
        self.all.get(lane).is_some_and(|slot| slot.is_open)
    }

    /// The name of a lane's target.
    pub(super) fn name(&self, lane: usize) -> Arc<str> {
        self.all.get(lane).map_or_else(|| "".into(), |slot| Arc::clone(&slot.name))
    }

    /// What is remembered of the endpoint of a lane's target.
    pub(super) fn endpoint(&self, lane: usize) -> Endpoint {
        self.all.get(lane).map_or(UNTRIED, |slot| slot.endpoint)
    }

    pub(super) fn remember(&mut self, lane: usize, endpoint: Endpoint) {
        if let Some(slot) = self.all.get_mut(lane) {
            slot.endpoint = endpoint;
        }
    }
}
