//! The endpoints: scripts in the place of the network.
//!
//! What an endpoint answers depends on its script, the time and its own generator, and on nothing else. What
//! it saw is written down here, because what a receiver saw is what counts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use nuncio::clock::{Clock, ManualClock, UnixMs};
use nuncio::contract::{Outcome, Reply, Transport};
use nuncio::egress::route::Route;
use nuncio::egress::{Egress, Exchange, Exchanging};
use rand::RngExt;
use rand::rngs::StdRng;

use super::arrivals::generator;
use super::limiter::Limiter;
use super::scenario::{Behaviour, Fault, Scenario};

/// The header that carries a notification's id.
const ID: &str = "idempotency-key";

/// What every id begins with.
const PREFIX: &str = "simulated-";

/// What every endpoint's host name ends with; nobody answers for it (RFC 6761, section 6.4).
const DOMAIN: &str = ".simulated.invalid";

/// The endpoints of a run.
pub(super) struct Endpoints {
    clock: ManualClock,
    began: UnixMs,
    all: Vec<Mutex<Endpoint>>,
}

struct Endpoint {
    behaviour: Behaviour,
    rng: StdRng,
    limiter: Option<Limiter>,
    seed: u64,
    seen: Seen,
}

/// What an endpoint saw; instants are counted from the start of the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// When each request came.
    pub(super) attempts: Vec<u64>,
    /// When each one was answered that was taken.
    pub(super) successes: Vec<u64>,
    /// When each one came that was answered 429.
    pub(super) refused: Vec<u64>,
    /// Which notifications it took, as bits.
    taken: Vec<u64>,
}

/// What becomes of a request, and how long that takes.
struct Answer {
    wait: u64,
    outcome: Outcome,
    is_success: bool,
}

/// The id of a notification by its number.
pub(super) fn id(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The number of a notification by its id.
pub(super) fn number(id: &str) -> Option<u64> {
    id.strip_prefix(PREFIX)?.parse().ok()
}

/// Where a target's endpoint is.
pub(super) fn url(target: usize) -> String {
    format!("http://{target}{DOMAIN}/")
}

impl Endpoints {
    pub(super) fn new(scenario: &Scenario, seed: u64, clock: ManualClock) -> Self {
        let endpoint = |(n, plan): (usize, &super::scenario::Plan)| {
            let behaviour = plan.behaviour.clone();
            let limiter = behaviour.rate_limit.map(Limiter::new);
            let rng = generator(seed, 2, n);
            Mutex::new(Endpoint { behaviour, rng, limiter, seed, seen: Seen::default() })
        };
        let all = scenario.targets.iter().enumerate().map(endpoint).collect();
        Self { began: clock.now(), clock, all }
    }

    /// What an endpoint saw.
    pub(super) fn seen(&self, target: usize) -> Seen {
        self.endpoint(target).map(|endpoint| endpoint.seen.clone()).unwrap_or_default()
    }

    fn endpoint(&self, target: usize) -> Option<MutexGuard<'_, Endpoint>> {
        Some(self.all.get(target)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn exchange(&self, request: http::Request<Bytes>, timeout: u64) -> Exchange {
        let now = || self.clock.now().saturating_sub(self.began);
        let host = request.uri().host().and_then(|host| host.strip_suffix(DOMAIN));
        let target = host.and_then(|target| target.parse().ok());
        let number = request.headers().get(ID).and_then(|id| number(id.to_str().ok()?));
        let answer = match (target, number) {
            (Some(target), Some(number)) => {
                self.endpoint(target).map(|mut endpoint| endpoint.answer(number, timeout, now()))
            }
            _ => None,
        };
        let Some(Answer { wait, outcome, is_success }) = answer else {
            return failed(Transport::Blocked, "no request to an endpoint of the simulation");
        };
        self.clock.sleep(Duration::from_millis(wait)).await;
        if is_success && let Some(mut endpoint) = target.and_then(|target| self.endpoint(target)) {
            endpoint.seen.successes.push(now());
        }
        Exchange { outcome, detail: None }
    }
}

impl Egress for Endpoints {
    fn send(&self, request: http::Request<Bytes>, _: &Route, timeout: Duration) -> Exchanging<'_> {
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Box::pin(self.exchange(request, timeout))
    }
}

impl Endpoint {
    fn answer(&mut self, number: u64, timeout: u64, now: u64) -> Answer {
        self.seen.attempts.push(now);
        let Behaviour { fastest, slowest, failures, poison, .. } = self.behaviour;
        // Drawn whatever happens, so that what one request gets does not change with what others got.
        let (latency, luck) = (self.rng.random_range(fastest..=slowest), self.rng.random::<f64>());
        let fails = |transport, wait| Answer { wait, outcome: Outcome::Failed(transport), is_success: false };
        let mut status = 200;
        let mut head = String::new();
        match self.behaviour.fault(now) {
            Some(Fault::Refused) => return fails(Transport::Refused, latency.min(timeout)),
            Some(Fault::Unreachable) => return fails(Transport::TimeoutBeforeSend, timeout),
            Some(Fault::Timeout) => return fails(Transport::TimeoutAfterSend, timeout),
            Some(Fault::Reset) => return fails(Transport::Reset, latency.min(timeout)),
            Some(Fault::Status(answer)) => status = answer,
            None => {
                if let Some(Err(wait)) = self.limiter.as_mut().map(|limiter| limiter.take(now)) {
                    status = 429;
                    self.seen.refused.push(now);
                    if self.behaviour.rate_limit.is_some_and(|limit| limit.retry_after) {
                        head = Reply::head_of([("retry-after", wait.div_ceil(1_000).to_string().as_str())]);
                    }
                } else if luck < failures || is_poison(self.seed, number, poison) {
                    status = 500;
                } else {
                    self.seen.take(number);
                }
            }
        }
        if latency >= timeout {
            return fails(Transport::TimeoutAfterSend, timeout);
        }
        let outcome = Outcome::Reply(Reply { status, head, body: Vec::new() });
        Answer { wait: latency, outcome, is_success: status == 200 }
    }
}

impl Behaviour {
    /// What is wrong with the endpoint at an instant.
    fn fault(&self, now: u64) -> Option<Fault> {
        let next = self.outages.partition_point(|outage| outage.until <= now);
        self.outages.get(next).filter(|outage| outage.from <= now).map(|outage| outage.fault)
    }
}

impl Seen {
    fn take(&mut self, number: u64) {
        let place = usize::try_from(number / 64).unwrap_or(usize::MAX);
        if self.taken.len() <= place {
            self.taken.resize(place.saturating_add(1), 0);
        }
        if let Some(word) = self.taken.get_mut(place) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether it took a notification.
    pub(super) fn has(&self, number: u64) -> bool {
        let place = usize::try_from(number / 64).unwrap_or(usize::MAX);
        self.taken.get(place).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// Whether a notification is one of those that no endpoint takes: drawn by its number, so that it stays one.
fn is_poison(seed: u64, number: u64, share: f64) -> bool {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    share > 0.0 && generator(seed, 3, place).random_bool(share)
}

fn failed(transport: Transport, detail: &str) -> Exchange {
    Exchange { outcome: Outcome::Failed(transport), detail: Some(detail.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{LimitKind, Outage, RateLimit};
    use super::*;

    fn endpoint(behaviour: Behaviour) -> Endpoint {
        let limiter = behaviour.rate_limit.map(Limiter::new);
        Endpoint { behaviour, rng: generator(1, 2, 0), limiter, seed: 1, seen: Seen::default() }
    }

    fn status(answer: &Answer) -> u16 {
        if let Outcome::Reply(reply) = &answer.outcome { reply.status } else { 0 }
    }

    #[test]
    fn an_outage_is_from_its_beginning_to_before_its_end() {
        let outage = |from, until, fault| Outage { from, until, fault };
        let outages = vec![outage(10, 20, Fault::Refused), outage(30, 40, Fault::Status(503))];
        let mut endpoint = endpoint(Behaviour { outages, ..Behaviour::default() });
        let mut at = |now| status(&endpoint.answer(now, 10_000, now));
        assert_eq!([9, 10, 19, 20, 29, 30, 39, 40].map(&mut at), [200, 0, 0, 200, 200, 503, 503, 200]);
        assert!(
            endpoint.seen.has(9) && !endpoint.seen.has(10) && !endpoint.seen.has(30) && endpoint.seen.has(40)
        );
        assert_eq!(endpoint.seen.attempts.len(), 8);
    }

    #[test]
    fn what_takes_too_long_has_no_answer_and_may_have_been_taken() {
        let mut endpoint = endpoint(Behaviour { fastest: 200, slowest: 200, ..Behaviour::default() });
        let answer = endpoint.answer(5, 100, 0);
        assert_eq!(answer.outcome, Outcome::Failed(Transport::TimeoutAfterSend));
        assert!((answer.wait, answer.is_success) == (100, false) && endpoint.seen.has(5));
    }

    #[test]
    fn what_is_too_much_is_told_when_to_come_back() {
        let limit = RateLimit { requests: 1, per: 60_000, kind: LimitKind::Fixed, retry_after: true };
        let mut endpoint = endpoint(Behaviour { rate_limit: Some(limit), ..Behaviour::default() });
        assert_eq!(status(&endpoint.answer(0, 10_000, 500)), 200);
        let Outcome::Reply(reply) = endpoint.answer(1, 10_000, 1_500).outcome else { panic!("no reply") };
        assert_eq!((reply.status, reply.head.as_str()), (429, "retry-after: 59\n"));
        assert!(!endpoint.seen.has(1));
    }

    #[test]
    fn the_share_of_poison_is_as_said_and_the_same_each_time() {
        let count = |seed| (0..100_000).filter(|number| is_poison(seed, *number, 0.01)).count();
        assert!((900..1_100).contains(&count(1)) && (900..1_100).contains(&count(2)));
        let which = |seed| (0..10_000).filter(|number| is_poison(seed, *number, 0.01)).collect::<Vec<_>>();
        assert!(which(1) == which(1) && which(1) != which(2));
    }

    #[test]
    fn an_id_leads_back_to_its_number() {
        assert_eq!(number(&id(42)), Some(42));
        assert_eq!(number("42"), None);
    }
}
