//! The lanes by name: one for each target of the configuration, open, and one for each target that only
//! deliveries know, closed.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;

use super::Setup;
use super::item::Item;
use crate::clock::UnixMs;
use crate::config::Fingerprint;
use crate::contract::{Breaker, Endpoint, Target, TargetNumber};
use crate::schedule::{Rules, Schedule};
use crate::store::{Health, Operation};

/// How many deliveries the guest is asked about at once at most.
const MOST_AT_ONCE: usize = 32;

/// How long deliveries wait at least to a target that the configuration does not know: a day.
const AGE_OF_ORPHANS_MS: u64 = 24 * 60 * 60 * 1_000;

pub(super) struct Lanes {
    by_name: HashMap<Arc<str>, usize>,
    /// The lane of each target, in the order of the configuration.
    by_number: Vec<Option<usize>>,
    all: Vec<Lane>,
    age_of_orphans: u64,
    /// What is remembered of an endpoint before its first attempt.
    untried: Endpoint,
    /// The lanes of which the store knows another state, by when it was told last.
    changed: BTreeSet<(UnixMs, usize)>,
}

struct Lane {
    name: Arc<str>,
    /// The guest's number of the target, where the lane is open.
    number: TargetNumber,
    endpoint: Endpoint,
    /// What went wrong last, and when by the wall clock.
    last_error: Option<(UnixMs, String)>,
    /// How often what was known of the endpoint was forgotten.
    life: u64,
    /// Whether the store knows another state of the endpoint.
    is_changed: bool,
    /// When the store was told last; 0 where it never was.
    saved_at: UnixMs,
    is_open: bool,
    /// How many deliveries the guest is asked to admit at once.
    at_once: usize,
    /// How many it is asked about at once at most, be it to admit or to judge.
    at_most: usize,
    /// How old what waits here may become, whether the lane is open or not.
    max_age: u64,
    /// Which settings it was opened with.
    fingerprint: Option<Fingerprint>,
}

impl Lanes {
    pub(super) fn new(untried: Endpoint) -> Self {
        Self {
            by_name: HashMap::default(),
            by_number: Vec::new(),
            all: Vec::new(),
            age_of_orphans: AGE_OF_ORPHANS_MS,
            untried,
            changed: BTreeSet::new(),
        }
    }

    /// Opens the lanes of a configuration's targets and closes all others. Where a target's settings are others
    /// than before, or its endpoint had said that it is gone, what was known of its endpoint is known no more.
    pub(super) fn open_only(&mut self, setup: &Setup, schedule: &mut Schedule<Item>) {
        let were_open: Vec<usize> = (0..self.all.len()).filter(|lane| self.is_open(*lane)).collect();
        for (lane, slot) in self.all.iter_mut().enumerate() {
            slot.is_open = false;
            schedule.set_rules(lane, Rules { concurrency: 0, max_age: slot.max_age });
        }
        let ages = setup.targets.iter().map(|target| target.max_age);
        self.age_of_orphans = ages.fold(AGE_OF_ORPHANS_MS, u64::max);
        self.by_number.clear();
        for (Target { name, concurrency, max_age, .. }, number) in setup.targets.iter().zip(0..) {
            // A guest that invents targets would have a lane for each.
            let Some(fingerprint) = setup.fingerprints.get(name).copied() else {
                self.by_number.push(None);
                continue;
            };
            let lane = self.of(name, schedule);
            // Nor is one that it names twice another target.
            if self.is_open(lane) {
                self.by_number.push(None);
                continue;
            }
            self.by_number.push(Some(lane));
            let concurrency = usize::try_from(*concurrency).unwrap_or(usize::MAX).max(1);
            schedule.set_rules(lane, Rules { concurrency, max_age: *max_age });
            let Some(slot) = self.all.get_mut(lane) else { continue };
            let is_another = slot.fingerprint != Some(fingerprint);
            let is_gone = matches!(slot.endpoint.breaker, Breaker::Gone);
            (slot.is_open, slot.max_age, slot.fingerprint) = (true, *max_age, Some(fingerprint));
            (slot.number, slot.at_once, slot.at_most) = (number, 1, MOST_AT_ONCE);
            if is_another || is_gone {
                self.renew(lane, schedule);
            }
        }
        for lane in were_open {
            if !self.is_open(lane) {
                // Opened again, it begins anew, whatever its settings are then.
                if let Some(slot) = self.all.get_mut(lane) {
                    slot.fingerprint = None;
                }
                self.renew(lane, schedule);
            }
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
        self.all.push(Lane {
            name,
            number: 0,
            endpoint: self.untried,
            last_error: None,
            life: 0,
            is_changed: false,
            saved_at: 0,
            is_open: false,
            at_once: 1,
            at_most: MOST_AT_ONCE,
            max_age,
            fingerprint: None,
        });
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

    /// The lane of the target with a number.
    pub(super) fn numbered(&self, target: TargetNumber) -> Option<usize> {
        self.by_number.get(usize::try_from(target).ok()?).copied().flatten()
    }

    /// The number of a lane's target.
    pub(super) fn number(&self, lane: usize) -> TargetNumber {
        self.all.get(lane).map_or(0, |slot| slot.number)
    }

    /// How many deliveries of a lane the guest is asked to admit at once: one where the endpoint does not work, or where
    /// the guest kept something waiting the last time, and then twice as many each time.
    pub(super) fn at_once(&self, lane: usize) -> usize {
        self.all.get(lane).filter(|slot| !slot.is_down()).map_or(1, |slot| slot.at_once.min(slot.at_most))
    }

    /// The guest was asked about so many; whether it let all of them go.
    pub(super) fn asked(&mut self, lane: usize, count: usize, has_all: bool) {
        if let Some(slot) = self.all.get_mut(lane) {
            slot.at_once =
                if has_all { count.saturating_mul(2).max(slot.at_once).min(MOST_AT_ONCE) } else { 1 };
        }
    }

    /// How many deliveries of a lane the guest is asked about at once at most.
    pub(super) fn at_most(&self, lane: usize) -> usize {
        self.all.get(lane).map_or(1, |slot| slot.at_most)
    }

    /// The guest broke off when it was asked about so many: until the next configuration it is asked about fewer.
    pub(super) fn broke_off_at(&mut self, lane: usize, count: usize) {
        if let Some(slot) = self.all.get_mut(lane) {
            (slot.at_once, slot.at_most) = (1, slot.at_most.min(count / 2).max(1));
        }
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
        self.all.get(lane).map_or(self.untried, |slot| slot.endpoint)
    }

    /// Nothing is sent from a lane before this instant, as far as is known.
    pub(super) fn not_before(&self, lane: usize) -> UnixMs {
        self.endpoint(lane).closed_until()
    }

    /// Remembers an endpoint.
    pub(super) fn remember(&mut self, lane: usize, endpoint: Endpoint) {
        if let Some(slot) = self.all.get_mut(lane) {
            slot.endpoint = endpoint;
        }
        self.mark_changed(lane);
    }

    /// How often what was known of a lane's endpoint was forgotten.
    pub(super) fn life(&self, lane: usize) -> u64 {
        self.all.get(lane).map_or(0, |slot| slot.life)
    }

    /// Remembers what went wrong, and when by the wall clock.
    pub(super) fn remember_error(&mut self, lane: usize, at: UnixMs, detail: &str) {
        if let Some(slot) = self.all.get_mut(lane) {
            slot.last_error = Some((at, detail.to_owned()));
        }
    }

    /// Forgets what was known of a lane's endpoint.
    pub(super) fn renew(&mut self, lane: usize, schedule: &mut Schedule<Item>) {
        let untried = self.untried;
        if let Some(slot) = self.all.get_mut(lane) {
            (slot.endpoint, slot.last_error) = (untried, None);
            slot.life = slot.life.wrapping_add(1);
        }
        schedule.hold(lane, 0);
        schedule.set_down(lane, false);
        self.mark_changed(lane);
    }

    /// Takes over what the store remembers, where the target's settings are the same; whether there is a target
    /// of that name.
    pub(super) fn restore(&mut self, health: Health, schedule: &mut Schedule<Item>) -> bool {
        let lane = self.by_name.get(health.target.as_str()).copied();
        let slot = lane.and_then(|lane| Some((lane, self.all.get_mut(lane)?)));
        let Some((lane, slot)) = slot else { return false };
        if slot.fingerprint.is_some_and(|fingerprint| fingerprint.open == health.fingerprint) {
            (slot.endpoint, slot.last_error) = (health.endpoint, health.last_error);
            if let Breaker::Held(probe) = &mut slot.endpoint.breaker {
                // The credentials are no part of what is compared; they may be others now.
                probe.at = 0;
            }
            schedule.set_down(lane, slot.is_down());
        }
        true
    }

    /// What the store does not know yet, of those lanes that it was not told of since `since`; from then on it
    /// counts as told.
    pub(super) fn take_changed(&mut self, since: UnixMs, now: UnixMs) -> Vec<(usize, Operation)> {
        let mut changed = Vec::new();
        while let Some((at, lane)) = self.changed.first().copied().filter(|(at, _)| *at <= since) {
            self.changed.remove(&(at, lane));
            let Some(slot) = self.all.get_mut(lane) else { continue };
            (slot.is_changed, slot.saved_at) = (false, now);
            // Of a target that the configuration no longer has, nothing is known any more.
            let operation = if slot.is_open {
                Operation::Remember(slot.health())
            } else {
                Operation::Forget(slot.name.to_string())
            };
            changed.push((lane, operation));
        }
        changed
    }

    /// The store knows another state of a lane's endpoint.
    pub(super) fn mark_changed(&mut self, lane: usize) {
        if let Some(slot) = self.all.get_mut(lane).filter(|slot| !slot.is_changed) {
            slot.is_changed = true;
            self.changed.insert((slot.saved_at, lane));
        }
    }

    /// When the store was told last of that lane of which it knows another state for longest.
    pub(super) fn oldest_change(&self) -> Option<UnixMs> {
        self.changed.first().map(|(at, _)| *at)
    }

    /// The open lanes, and how their endpoints are.
    pub(super) fn healths(&self) -> impl Iterator<Item = (usize, Health)> {
        let open = self.all.iter().enumerate().filter(|(_, slot)| slot.is_open);
        open.map(|(lane, slot)| (lane, slot.health()))
    }
}

impl Lane {
    fn is_down(&self) -> bool {
        !matches!(self.endpoint.breaker, Breaker::Closed)
    }

    fn health(&self) -> Health {
        Health {
            target: self.name.to_string(),
            fingerprint: self.fingerprint.map_or(0, |fingerprint| fingerprint.open),
            endpoint: self.endpoint,
            last_error: self.last_error.clone(),
        }
    }
}
