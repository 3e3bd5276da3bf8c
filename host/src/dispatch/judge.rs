//! From what came of attempts to what the guest says of it: what has landed in a round is judged together.
//!
//! Outcomes at one endpoint go to the guest in one call, in the order in which they came. Where it breaks off, each is
//! asked for alone, so that one message cannot take others with it. What is told of an endpoint is how it is after all of
//! them: one that failed and works again in the same round has not failed.

use std::sync::Arc;

use super::attempt::Setup;
use super::item::Item;
use super::{Dispatch, GUEST_INVALID, GUEST_TRAP, LARGEST_AT_ONCE, shortened};
use crate::clock::UnixMs;
use crate::contract::{Breaker, Class, Judged, Judgement, Outcome, TargetNumber, Tried};

/// A delivery of which an attempt has come to something, that is not judged yet.
pub(super) struct Landed {
    pub(super) item: Item,
    pub(super) began: UnixMs,
    /// Of which life of the endpoint the attempt was.
    pub(super) life: u64,
    pub(super) setup: Arc<Setup>,
    /// The number that its target has there.
    pub(super) number: TargetNumber,
    /// What exactly failed, where that helps.
    pub(super) why: Option<String>,
    /// How many requests the delivery takes.
    pub(super) parts: u32,
}

impl Dispatch {
    /// Has everything judged that has landed.
    pub(super) fn judge_landed(&mut self) {
        let mut landed = std::mem::take(&mut self.landed);
        // Stable: at each endpoint in the order in which they came.
        landed.sort_by_key(|(landed, _)| landed.item.lane);
        let (mut group, mut size) = ((Vec::new(), Vec::new()), 0_usize);
        for (next, tried) in landed {
            let more = size_of(&tried);
            let is_another = group.0.last().is_some_and(|last| !next.is_with(last));
            let is_full = group.0.len() >= self.lanes.at_most(next.item.lane);
            if is_another || is_full || size.saturating_add(more) > LARGEST_AT_ONCE {
                let (landed, tried) = std::mem::take(&mut group);
                self.judge(landed, tried);
                size = 0;
            }
            size = size.saturating_add(more);
            group.0.push(next);
            group.1.push(tried);
        }
        self.judge(group.0, group.1);
    }

    /// Has some judged that landed at one endpoint.
    fn judge(&mut self, landed: Vec<Landed>, tried: Vec<Tried>) {
        let Some(Landed { item, life, setup, number, .. }) = landed.first() else { return };
        let (lane, life, now) = (item.lane, *life, self.timeline.now());
        let endpoint = self.lanes.endpoint(lane);
        let judged = match setup.dispatcher.judge(*number, &tried, endpoint, now) {
            Ok(judged) if judged.judgements.len() == tried.len() => Ok(judged),
            Ok(Judged { judgements, .. }) => {
                let (given, asked) = (judgements.len(), tried.len());
                Err((GUEST_INVALID, format!("it gave {given} judgements of {asked} outcomes")))
            }
            Err(fault) => Err((GUEST_TRAP, fault.to_string())),
        };
        match judged {
            Ok(Judged { mut judgements, endpoint }) => {
                for (judgement, Landed { why, .. }) in judgements.iter_mut().zip(&landed) {
                    if let Some(why) = why {
                        judgement.detail += &format!(" ({why})");
                    }
                    judgement.detail = shortened(std::mem::take(&mut judgement.detail));
                }
                // What began by other settings says nothing of the endpoint as it is now.
                if self.lanes.life(lane) == life {
                    let last = |is: &dyn Fn(Class) -> bool| judgements.iter().rfind(|one| is(one.class));
                    // The words are of what made the endpoint what it is.
                    let told = match endpoint.breaker {
                        Breaker::Held(_) => last(&|class| class == Class::Credentials),
                        Breaker::Gone => last(&|class| class == Class::Gone),
                        _ => None,
                    };
                    let told =
                        told.or_else(|| last(&|class| class != Class::Delivered)).or(judgements.last());
                    if let Some(Judgement { class, detail, .. }) = told {
                        self.judged(lane, endpoint, *class, detail);
                    }
                }
                for ((Landed { item, parts, .. }, judgement), tried) in
                    landed.into_iter().zip(judgements).zip(tried)
                {
                    self.follow(item, judgement, tried.outcome, parts, now);
                }
            }
            // Which of them it was shows when each is judged alone.
            Err(_) if landed.len() > 1 => {
                self.lanes.broke_off_at(lane, landed.len());
                for (landed, tried) in landed.into_iter().zip(tried) {
                    self.judge(vec![landed], vec![tried]);
                }
            }
            Err((reason, what)) => {
                for Landed { item, began, .. } in landed {
                    self.unjudged(item.lane, began);
                    self.fail(item, true, now, reason, &what);
                }
            }
        }
    }
}

impl Landed {
    /// Whether one call can be about both.
    fn is_with(&self, other: &Self) -> bool {
        self.item.lane == other.item.lane
            && self.life == other.life
            && self.number == other.number
            && Arc::ptr_eq(&self.setup, &other.setup)
    }
}

fn size_of(tried: &Tried) -> usize {
    match &tried.outcome {
        Outcome::Reply(reply) => reply.head.len().saturating_add(reply.body.len()),
        Outcome::Failed(_) => 0,
    }
}
