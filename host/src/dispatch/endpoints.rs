//! What is remembered of the endpoints: taken from the guest, told to the store, shown to people.
//!
//! The guest decides what there is to remember; here it is only kept. The store is told at most once a second
//! for each target, and when the loop ends: after a crash a retry or two more than the budget allows are the
//! worst that comes of it.

use super::{Dispatch, Ticket};
use crate::alert::Trouble;
use crate::clock::UnixMs;
use crate::contract::{Breaker, Class, Endpoint, Probe};
use crate::nuncio::TargetHealth;
use crate::store::StoreError;

/// How long changes gather before the store is told.
const BEFORE_SAVING_MS: u64 = 1_000;

impl Dispatch {
    /// Remembers an endpoint as the guest says it is.
    pub(super) fn remember(&mut self, lane: usize, endpoint: Endpoint) {
        self.schedule.set_down(lane, !matches!(endpoint.breaker, Breaker::Closed));
        self.lanes.remember(lane, endpoint);
    }

    /// The guest has judged an attempt: the endpoint is another now, and may be asked for again.
    pub(super) fn judged(&mut self, lane: usize, endpoint: Endpoint, class: Class, detail: &str) {
        let before = self.lanes.endpoint(lane).breaker;
        self.remember(lane, endpoint);
        self.schedule.hold(lane, 0);
        if class != Class::Delivered {
            self.lanes.remember_error(lane, self.timeline.wall(), detail);
        }
        let target = self.lanes.name(lane);
        match (before, endpoint.breaker) {
            (Breaker::Closed, Breaker::Open(_)) => {
                tracing::warn!(%target, detail, "the endpoint does not work; what is for it waits");
            }
            (before, Breaker::Held(Probe { number: 0, .. })) if !matches!(before, Breaker::Held(_)) => {
                tracing::error!(%target, detail, "the endpoint does not accept the credentials; what is for it waits");
                self.alert(None, &target, Trouble::Held, detail);
            }
            (Breaker::Gone, Breaker::Gone) => {}
            (_, Breaker::Gone) => {
                tracing::error!(%target, detail, "the endpoint says that it is gone; what is for it waits until somebody enables the target");
                self.alert(None, &target, Trouble::Gone, detail);
            }
            (Breaker::Open(_) | Breaker::HalfOpen(_) | Breaker::Held(_), Breaker::Closed) => {
                tracing::info!(%target, "the endpoint works again");
            }
            _ => {}
        }
    }

    /// An attempt ended without a judgement: if it was the probe of its endpoint, another may be at once.
    pub(super) fn unjudged(&mut self, lane: usize, began: UnixMs) {
        let endpoint = self.lanes.endpoint(lane);
        if let Breaker::HalfOpen(probe) = endpoint.breaker
            && probe.at == began
        {
            let breaker = if probe.is_held { Breaker::Held(probe) } else { Breaker::Open(probe) };
            self.remember(lane, Endpoint { breaker, ..endpoint });
            self.schedule.hold(lane, 0);
        }
    }

    /// Tells the store what it does not know yet.
    pub(super) fn save_endpoints(&mut self, now: UnixMs) {
        if self.is_storing() {
            self.save_endpoints_until(now.saturating_sub(BEFORE_SAVING_MS), now);
        }
    }

    pub(super) fn save_endpoints_until(&mut self, since: UnixMs, now: UnixMs) {
        for (lane, operation) in self.lanes.take_changed(since, now) {
            self.submit(Ticket::Remember(lane), operation);
        }
    }

    /// When the store is to be told next.
    pub(super) fn next_save(&self) -> Option<UnixMs> {
        let oldest = self.lanes.oldest_change().filter(|_| self.is_storing());
        oldest.map(|at| at.saturating_add(BEFORE_SAVING_MS))
    }

    pub(super) fn remembered<T>(&mut self, lane: usize, result: &Result<T, StoreError>) {
        if result.is_err() {
            self.lanes.mark_changed(lane);
        }
    }

    /// Has a target begin anew, whatever its endpoint said; whether there is one of that name.
    pub(super) fn enable(&mut self, target: &str) -> bool {
        let Some(lane) = self.lanes.open(target) else { return false };
        self.lanes.renew(lane, &mut self.schedule);
        tracing::info!(target, "enabled");
        true
    }

    /// How every target is.
    pub(super) fn healths(&self) -> Vec<TargetHealth> {
        let health = |(lane, health)| {
            let (next, waiting) = self.schedule.outlook(lane);
            let next_try = next.map(|next| self.timeline.by_wall(next.max(self.timeline.now())));
            TargetHealth { health, waiting: waiting as u64, next_try }
        };
        self.lanes.healths().map(health).collect()
    }
}
