//! The lanes by name: one for each target of the configuration, open, and one for each target that only
//! deliveries know, closed.

use std::collections::HashMap;
use std::sync::Arc;

use super::item::Item;
use super::{Setup, UNTRIED};
use crate::contract::{Endpoint, Target};
use crate::schedule::{Rules, Schedule};

/// How long deliveries wait at least to a target that the configuration does not know: a day.
const AGE_OF_ORPHANS_MS: u64 = 24 * 60 * 60 * 1_000;

#[derive(Default)]
pub(super) struct Lanes {
    by_name: HashMap<Arc<str>, usize>,
    all: Vec<Lane>,
    age_of_orphans: u64,
}

struct Lane {
    name: Arc<str>,
    endpoint: Endpoint,
    is_open: bool,
    /// How old what waits here may become, whether the lane is open or not.
    max_age: u64,
    /// Which settings it was opened with.
    fingerprint: Option<u64>,
}

impl Lanes {
    /// Opens the lanes of a configuration's targets and closes all others. Where a target's settings are others
    /// than before, what was known of its endpoint is known no more.
    pub(super) fn open_only(&mut self, setup: &Setup, schedule: &mut Schedule<Item>) {
        for (lane, slot) in self.all.iter_mut().enumerate() {
            slot.is_open = false;
            schedule.set_rules(lane, Rules { concurrency: 0, max_age: slot.max_age });
        }
        let ages = setup.targets.iter().map(|target| target.max_age);
        self.age_of_orphans = ages.fold(AGE_OF_ORPHANS_MS, u64::max);
        for Target { name, concurrency, max_age } in &setup.targets {
            let lane = self.of(name, schedule);
            let concurrency = usize::try_from(*concurrency).unwrap_or(usize::MAX).max(1);
            schedule.set_rules(lane, Rules { concurrency, max_age: *max_age });
            let Some(slot) = self.all.get_mut(lane) else { continue };
            let fingerprint = setup.fingerprints.get(name).copied();
            if slot.fingerprint != fingerprint {
                slot.endpoint = UNTRIED;
                schedule.hold(lane, 0);
            }
            (slot.is_open, slot.max_age, slot.fingerprint) = (true, *max_age, fingerprint);
        }
    }

    /// The lane of a target; a closed one is made where there is none.
    pub(super) fn of(&mut self, name: &str, schedule: &mut Schedule<Item>) -> usize {
        if let Some(lane) = self.by_name.get(name) {
            return *lane;
        }
        let (name, max_age): (Arc<str>, u64) = (name.into(), self.age_of_orphans);
        let lane = schedule.add_lane(Rules { concurrency: 0, max_age });
        self.by_name.insert(Arc::clone(&name), lane);
        self.all.push(Lane { name, endpoint: UNTRIED, is_open: false, max_age, fingerprint: None });
        lane
    }

    /// How old what waits in a lane may become, in milliseconds.
    pub(super) fn max_age(&self, lane: usize) -> u64 {
        self.all.get(lane).map_or(self.age_of_orphans, |slot| slot.max_age)
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
