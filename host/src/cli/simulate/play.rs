//! A run: the real dispatcher in virtual time.
//!
//! Time moves when nothing else can happen: the runtime says so before it would wait, and the clock then goes
//! to where the next wait ends. One thread does everything, so the same happens in every run in which the
//! same comes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nuncio::brain::Brain;
use nuncio::clock::{Clock, ManualClock, UnixMs};
use nuncio::config::Config;
use nuncio::contract::{Body, Breaker, Endpoint, Notification};
use nuncio::egress::route::Route;
use nuncio::egress::{Egress, Exchanging};
use nuncio::store::{Entry, LARGEST_PAGE, MemoryStore, Query, State};
use nuncio::{NotifyError, Nuncio, Ticket};
use tokio::sync::Notify;

use super::arrivals::{Arrival, Coming};
use super::endpoint::{self, Endpoints, Seen};
use super::scenario::Scenario;
use crate::cli::Failure;

/// When every run begins: 2026-01-01, midnight.
const BEGINNING: UnixMs = 1_767_225_600_000;

/// How many notifications are on their way into the queue at most.
const BUFFER: usize = 1_024;

/// How many looks are kept; where there are more, every second one goes.
const MOST_LOOKS: usize = 8_192;

/// How long it goes on at least after the last notification is too old, so that its end is seen.
const AFTER_THE_OLDEST: u64 = 60 * 60 * 1_000;

/// What happened in a run; instants are counted from its start.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// When it was over.
    pub(super) until: u64,
    /// How far apart the looks are, which is how much a bin covers.
    pub(super) bin: u64,
    /// What happened at each target.
    pub(super) targets: Vec<TargetPlayed>,
}

/// What happened at one target.
#[derive(Debug, Default)]
pub(super) struct TargetPlayed {
    /// When each notification was accepted.
    pub(super) arrivals: Vec<u64>,
    /// What the endpoint saw.
    pub(super) seen: Seen,
    /// How it stood at the end of each bin.
    pub(super) looks: Vec<Look>,
    /// What became of each that was accepted, in the same order.
    pub(super) ends: Vec<End>,
}

/// How a target stood.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    pub(super) depth: u64,
    pub(super) budget_milli: u64,
    pub(super) is_open: bool,
}

/// What became of a notification.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) queued_at: u64,
    /// When it ended; `None` where it still waits, or is lost.
    pub(super) ended_at: Option<u64>,
    pub(super) fate: Fate,
}

/// How a delivery ended, or did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// For this reason.
    Dead(String),
    Waiting,
    /// Nobody knows of it; or it is said to have arrived, and the endpoint has not seen it.
    Lost,
}

/// What was accepted, by its number: its target, its place among what came for that, and when it came.
type Accepted = Vec<(usize, usize, u64)>;

struct Stage<'s> {
    scenario: &'s Scenario,
    clock: ManualClock,
    endpoints: Arc<Endpoints>,
    nuncio: Nuncio,
    looks: Arc<Mutex<Looks>>,
}

/// The looks at every target so far.
struct Looks {
    bin: u64,
    of: Vec<Vec<Look>>,
}

/// A way to the endpoints that the dispatcher can have.
struct Way(Arc<Endpoints>);

impl Egress for Way {
    fn send(&self, request: http::Request<bytes::Bytes>, route: &Route, timeout: Duration) -> Exchanging<'_> {
        self.0.send(request, route, timeout)
    }
}

/// Plays a scenario; `tell` hears how far it is, in milliseconds.
///
/// # Errors
///
/// Where the dispatcher does not start, or breaks off, or waits for what will never happen.
pub(super) fn play(
    scenario: &Scenario,
    config: Config,
    brain: &Brain,
    tell: impl Fn(u64) + Send + Sync + 'static,
) -> Result<Played, Failure> {
    let clock = ManualClock::at(BEGINNING);
    let played = in_virtual_time(&clock, run(scenario, config, brain, clock.clone(), tell));
    match played {
        Ok(Some(played)) => played,
        Ok(None) => Err(Failure::Other(
            "the dispatcher waits for something that will never happen; this is a defect".to_owned(),
        )),
        Err(error) => Err(Failure::Other(format!("cannot start the simulation's runtime: {error}"))),
    }
}

/// Runs something to its end, and moves the clock to the next wait's end whenever nothing else can happen;
/// `None` where it waits for what no wait's end brings.
///
/// # Errors
///
/// Where no runtime can be had.
fn in_virtual_time<T>(clock: &ManualClock, future: impl Future<Output = T>) -> std::io::Result<Option<T>> {
    let stuck = Arc::new(Notify::new());
    let on_park = {
        let (clock, stuck) = (clock.clone(), Arc::clone(&stuck));
        move || {
            if !clock.advance_to_next() {
                stuck.notify_one();
            }
        }
    };
    // Neither the network nor real time is there: who asks for them is refused, not kept waiting.
    let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(on_park).build()?;
    Ok(runtime.block_on(async {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = stuck.notified() => None,
        }
    }))
}

async fn run(
    scenario: &Scenario,
    config: Config,
    brain: &Brain,
    clock: ManualClock,
    tell: impl Fn(u64) + Send + Sync + 'static,
) -> Result<Played, Failure> {
    let oldest = brain.dispatcher(config.guest_config())?.targets()?;
    let oldest = oldest.iter().map(|target| target.max_age).max().unwrap_or_default();
    let endpoints = Arc::new(Endpoints::new(scenario, scenario.seed, clock.clone()));
    let nuncio = Nuncio::with_config(brain.clone(), config)
        .clock(clock.clone())
        .store(MemoryStore::default())
        .egress(Way(Arc::clone(&endpoints)))
        .seed(scenario.seed)
        .buffer(BUFFER)
        .start()?;
    let looks = Looks { bin: scenario.bin, of: vec![Vec::new(); scenario.targets.len()] };
    let stage = Stage { scenario, clock, endpoints, nuncio, looks: Arc::new(Mutex::new(looks)) };
    let looking =
        tokio::spawn(look_on(stage.nuncio.clone(), stage.clock.clone(), Arc::clone(&stage.looks), tell));
    let accepted = stage.hand_in().await?;
    stage.sleep_until(scenario.duration).await;
    let drain = scenario.drain.unwrap_or(oldest.saturating_add(AFTER_THE_OLDEST));
    tokio::select! {
        biased;
        () = stage.nuncio.flush() => {}
        () = stage.sleep_until(scenario.duration.saturating_add(drain)) => {}
    }
    looking.abort();
    stage.finish(&accepted).await
}

impl Stage<'_> {
    fn now(&self) -> u64 {
        self.clock.now().saturating_sub(BEGINNING)
    }

    async fn sleep_until(&self, instant: u64) {
        self.clock.sleep(Duration::from_millis(instant.saturating_sub(self.now()))).await;
    }

    /// Hands in all that comes, each when it does.
    async fn hand_in(&self) -> Result<Accepted, Failure> {
        let mut accepted = Accepted::new();
        let mut counts = vec![0; self.scenario.targets.len()];
        let mut tickets: VecDeque<Ticket> = VecDeque::new();
        for arrival in Coming::new(self.scenario, self.scenario.seed) {
            if arrival.at > self.now() {
                while let Some(ticket) = tickets.pop_front() {
                    ticket.accepted().await.map_err(|error| refused(&error))?;
                }
                self.sleep_until(arrival.at).await;
            }
            let number = accepted.len() as u64;
            loop {
                match self.nuncio.notify(self.notification(number, arrival)) {
                    Ok(ticket) => break tickets.push_back(ticket),
                    Err(NotifyError::Full) => {
                        // There is room when the first of those before it is taken out.
                        let Some(ticket) = tickets.pop_front() else {
                            return Err(refused(&NotifyError::Full));
                        };
                        ticket.accepted().await.map_err(|error| refused(&error))?;
                    }
                    Err(error) => return Err(refused(&error)),
                }
            }
            let count = counts.get_mut(arrival.target).map_or(0, |count| {
                *count += 1;
                *count - 1
            });
            accepted.push((arrival.target, count, arrival.at));
        }
        for ticket in tickets {
            ticket.accepted().await.map_err(|error| refused(&error))?;
        }
        Ok(accepted)
    }

    fn notification(&self, number: u64, Arrival { target, level, .. }: Arrival) -> Notification {
        let to = self.scenario.targets.get(target).map(|plan| plan.name.clone());
        Notification {
            id: endpoint::id(number),
            at: 0,
            level,
            title: format!("Notification {number}"),
            body: Body::Text("Something happened.".to_owned()),
            color: None,
            to: to.into_iter().collect(),
            tags: Vec::new(),
            link: None,
            key: None,
            resolves: None,
        }
    }

    /// What happened.
    async fn finish(&self, accepted: &Accepted) -> Result<Played, Failure> {
        let until = self.now();
        let mut targets: Vec<TargetPlayed> = Vec::new();
        {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            for (n, looks) in looks.of.iter_mut().enumerate() {
                let seen = self.endpoints.seen(n);
                targets.push(TargetPlayed { seen, looks: std::mem::take(looks), ..TargetPlayed::default() });
            }
        }
        for (target, _, queued_at) in accepted {
            if let Some(target) = targets.get_mut(*target) {
                target.arrivals.push(*queued_at);
                target.ends.push(End { queued_at: *queued_at, ended_at: None, fate: Fate::Lost });
            }
        }
        let mut query = Query { limit: LARGEST_PAGE, ..Query::default() };
        loop {
            let page = self.nuncio.list(query.clone()).await?;
            for entry in page.entries {
                let number = endpoint::number(&entry.id).unwrap_or(u64::MAX);
                let place = usize::try_from(number).ok().and_then(|number| accepted.get(number));
                let Some((target, n, _)) = place else { continue };
                let Some(target) = targets.get_mut(*target) else { continue };
                let end = end(entry, target.seen.has(number));
                if let Some(place) = target.ends.get_mut(*n) {
                    *place = end;
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let bin = self.looks.lock().unwrap_or_else(PoisonError::into_inner).bin;
        Ok(Played { until, bin, targets })
    }
}

/// Looks at every target at the end of each bin, until it is aborted.
async fn look_on(nuncio: Nuncio, clock: ManualClock, looks: Arc<Mutex<Looks>>, tell: impl Fn(u64)) {
    let lock = || looks.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (bin, next) = {
            let looks = lock();
            (looks.bin, looks.of.first().map_or(0, Vec::len) as u64 + 1)
        };
        let (now, end) = (clock.now().saturating_sub(BEGINNING), next.saturating_mul(bin));
        clock.sleep(Duration::from_millis(end.saturating_sub(now))).await;
        tell(end);
        let Some(targets) = nuncio.targets().await else { return };
        let mut looks = lock();
        for (of, target) in looks.of.iter_mut().zip(&targets) {
            of.push(look(&target.health.endpoint, target.waiting, clock.now()));
        }
        if looks.of.iter().any(|of| of.len() >= MOST_LOOKS) {
            // The later of two is how it stood at the end of both.
            looks.bin *= 2;
            for of in &mut looks.of {
                *of = of.iter().skip(1).step_by(2).copied().collect();
            }
        }
    }
}

fn look(endpoint: &Endpoint, depth: u64, now: UnixMs) -> Look {
    Look {
        depth,
        budget_milli: endpoint.budget_left(now),
        is_open: !matches!(endpoint.breaker, Breaker::Closed),
    }
}

/// What the store says of a delivery, and what the endpoint does.
fn end(entry: Entry, has_arrived: bool) -> End {
    let progress = entry.delivery.progress;
    let since = |at: UnixMs| at.saturating_sub(BEGINNING);
    let fate = match progress.state {
        State::Delivered if has_arrived => Fate::Delivered,
        State::Dead => Fate::Dead(reason(&progress.detail)),
        State::Queued | State::Retrying => Fate::Waiting,
        State::Delivered | State::Dropped => Fate::Lost,
    };
    End { queued_at: since(progress.queued_at), ended_at: progress.ended_at.map(since), fate }
}

/// Why something died, without what the last outcome was.
fn reason(detail: &str) -> String {
    detail.split_once("; the last was").map_or(detail, |(reason, _)| reason).to_owned()
}

fn refused(error: &NotifyError) -> Failure {
    Failure::Other(format!("a notification was not taken: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_pass_in_no_time_and_in_order() {
        let clock = ManualClock::at(BEGINNING);
        let seen = in_virtual_time(&clock, async {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let tasks: Vec<_> = [3, 1, 2]
                .into_iter()
                .map(|hours: u64| {
                    let (clock, seen) = (clock.clone(), Arc::clone(&seen));
                    tokio::spawn(async move {
                        clock.sleep(Duration::from_secs(hours * 3_600)).await;
                        seen.lock().unwrap().push((hours, clock.now() - BEGINNING));
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            seen.lock().unwrap().clone()
        });
        assert_eq!(seen.unwrap().unwrap(), [(1, 3_600_000), (2, 7_200_000), (3, 10_800_000)]);
    }

    #[test]
    fn who_waits_for_nothing_is_told_so() {
        let clock = ManualClock::at(BEGINNING);
        let waits = async {
            clock.sleep(Duration::from_secs(1)).await;
            tokio::spawn(std::future::pending::<()>()).await
        };
        assert!(in_virtual_time(&clock, waits).unwrap().is_none());
        assert_eq!(clock.now(), BEGINNING + 1_000);
    }

    #[test]
    fn of_why_something_died_the_last_outcome_is_left_out() {
        assert_eq!(reason("gave up after 1 retry; the last was: status 500"), "gave up after 1 retry");
        assert_eq!(reason("expired"), "expired");
    }
}
