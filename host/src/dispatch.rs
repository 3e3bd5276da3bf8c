//! The dispatch loop: the one path on which anything is sent.
//!
//! A first attempt is an item of the schedule with attempt 0; a retry is the same item, due later. The loop
//! owns the store, the schedule and what the policy remembers of each endpoint, and wakes up for a closed
//! set of reasons ([`Wake`]). It decides nothing itself: the guest routes, admits, formats and judges.
//!
//! It guarantees that what it accepted ends as delivered or dead, and that an attempt that never comes back
//! from one target takes nothing from another.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use crate::brain::Dispatcher;
use crate::clock::{Clock, UnixMs};
use crate::contract::{
    Admission, Attempt, Choice, Class, Decision, Endpoint, Judgement, Notification, Verdict,
};
use crate::entropy::Entropy;
use crate::event::{Event, Happened};
use crate::nuncio::{NotifyError, Receipt, Remains, Stats};
use crate::schedule::{Concurrency, Schedule};
use crate::store::{Delivery, Record, State, Store, StoreError};

mod attempt;

use attempt::Attempted;
pub(crate) use attempt::Sender;

/// How often the guest may fail a delivery before it is given up.
const MOST_FAULTS: u32 = 3;

/// Why a delivery ends that the guest broke off at every time.
const GUEST_TRAP: &str = "guest-trap";

/// Why a delivery ends for which the guest described no request that can be sent.
const GUEST_INVALID: &str = "guest-invalid";

/// How long a delivery waits after the guest failed it, and at least where the guest parks it.
const AFTER_A_FAULT_MS: u64 = 1_000;

/// No guest makes a delivery or an endpoint wait longer: a day.
const LONGEST_WAIT_MS: u64 = 24 * 60 * 60 * 1_000;

/// No more of what the guest says is kept, in bytes; the contract has it at 512 for outcomes.
const LONGEST_TEXT: usize = 1_024;

/// What is remembered of an endpoint before its first attempt.
const UNTRIED: Endpoint = Endpoint { not_before: 0, consecutive_failures: 0, last_success: None };

/// A notification that was handed in, and whom to tell what became of it.
pub(crate) struct Handed {
    pub(crate) notification: Notification,
    pub(crate) reply: oneshot::Sender<Result<Receipt, NotifyError>>,
}

/// What the handle asks of the loop.
pub(crate) enum Question {
    /// What became of a notification.
    Find(String, oneshot::Sender<Result<Option<Record>, StoreError>>),
    /// The counts so far.
    Stats(oneshot::Sender<Stats>),
    /// To be told when nothing is in flight and nothing is due, and when something is due next.
    Idle(oneshot::Sender<Option<UnixMs>>),
    /// To take nothing more, and to end when all has ended or this long after.
    Shutdown(Duration, oneshot::Sender<Remains>),
}

/// Why the loop woke up.
enum Wake {
    New(Handed),
    Due,
    Settled(Result<(Id, Attempted), JoinError>),
    Asked(Question),
    GraceOver,
    Abandoned,
}

/// One delivery of a record, as the schedule knows it.
struct Item {
    notification: Arc<Notification>,
    /// Which of the record's deliveries.
    n: usize,
    delivery: Delivery,
}

pub(crate) struct Dispatch {
    dispatcher: Arc<Dispatcher>,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
    store: Box<dyn Store>,
    sender: Arc<Sender>,
    events: broadcast::Sender<Event>,
    lanes: HashMap<String, usize>,
    endpoints: Vec<Endpoint>,
    schedule: Schedule<Item>,
    attempts: JoinSet<Attempted>,
    flying: HashMap<Id, (usize, Item)>,
    stats: Stats,
    waiting_for_idle: Vec<oneshot::Sender<Option<UnixMs>>>,
}

impl Dispatch {
    #[expect(clippy::too_many_arguments, reason = "called once, by the builder, which has them by name")]
    pub(crate) fn new(
        dispatcher: Arc<Dispatcher>,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        store: Box<dyn Store>,
        sender: Sender,
        events: broadcast::Sender<Event>,
        targets: Vec<String>,
        concurrency: Concurrency,
    ) -> Self {
        Self {
            dispatcher,
            clock,
            entropy,
            store,
            sender: Arc::new(sender),
            events,
            endpoints: vec![UNTRIED; targets.len()],
            schedule: Schedule::new(targets.len(), concurrency),
            lanes: targets.into_iter().enumerate().map(|(n, target)| (target, n)).collect(),
            attempts: JoinSet::new(),
            flying: HashMap::new(),
            stats: Stats::default(),
            waiting_for_idle: Vec::new(),
        }
    }

    /// Runs until it is asked to shut down, or until nobody is left who could hand anything in.
    pub(crate) async fn run(
        mut self,
        mut handed: mpsc::Receiver<Handed>,
        mut asked: mpsc::Receiver<Question>,
    ) {
        let mut ending: Option<(UnixMs, Vec<oneshot::Sender<Remains>>)> = None;
        loop {
            self.start_due();
            if handed.is_empty() {
                self.tell_idle();
            }
            let grace = ending.as_ref().map(|(until, _)| *until);
            if let Some((until, _)) = &ending
                && self.has_nothing_before(*until)
                && handed.is_empty()
            {
                break;
            }
            let wake = self.next_wake(&mut handed, &mut asked, grace).await;
            match wake {
                Wake::New(new) => self.take_in(new),
                Wake::Due => {}
                Wake::Settled(settled) => self.settle(settled),
                Wake::Asked(Question::Shutdown(grace, reply)) => {
                    handed.close();
                    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                    let until = self.clock.now().saturating_add(grace);
                    // Of two shutdowns the more impatient one counts, and both hear what was left.
                    let (sooner, mut replies) = ending.unwrap_or((until, Vec::new()));
                    replies.push(reply);
                    ending = Some((until.min(sooner), replies));
                }
                Wake::Asked(question) => self.answer(question),
                Wake::GraceOver | Wake::Abandoned => break,
            }
        }
        self.end(ending.map(|(_, replies)| replies).unwrap_or_default());
    }

    async fn next_wake(
        &mut self,
        handed: &mut mpsc::Receiver<Handed>,
        asked: &mut mpsc::Receiver<Question>,
        grace: Option<UnixMs>,
    ) -> Wake {
        let now = self.clock.now();
        let wait = |until: Option<UnixMs>| {
            let until = until?;
            Some(self.clock.sleep(Duration::from_millis(until.saturating_sub(now))))
        };
        let (due, grace_over) = (wait(self.schedule.next_due()), wait(grace));
        let has_due = due.is_some();
        let due = async {
            if let Some(due) = due {
                due.await;
            }
        };
        let is_ending = grace_over.is_some();
        let grace_over = async {
            if let Some(grace_over) = grace_over {
                grace_over.await;
            }
        };
        let is_flying = !self.attempts.is_empty();
        // Every branch can be dropped without a loss, and none is put before the others, so that neither
        // hand-in nor a question starves under load.
        tokio::select! {
            () = grace_over, if is_ending => Wake::GraceOver,
            Some(settled) = self.attempts.join_next_with_id(), if is_flying => Wake::Settled(settled),
            () = due, if has_due => Wake::Due,
            question = asked.recv() => question.map_or(Wake::Abandoned, Wake::Asked),
            Some(new) = handed.recv() => Wake::New(new),
        }
    }

    // === new ===

    fn take_in(&mut self, new: Handed) {
        let Handed { notification, reply } = new;
        let accepted = self.accept(notification);
        // Whoever handed it in may have stopped listening; it is accepted all the same.
        let _ = reply.send(accepted);
    }

    fn accept(&mut self, notification: Notification) -> Result<Receipt, NotifyError> {
        let decisions = self.dispatcher.route(&notification)?;
        let delivery = |decision: &Decision| match decision.choice {
            Choice::Send => Some(Delivery::queued(decision.target.clone())),
            Choice::Unknown => {
                Some(Delivery::dead(decision.target.clone(), shortened(decision.because.clone())))
            }
            Choice::Skip => None,
        };
        // A guest that names a target twice would have it delivered twice.
        let mut seen = HashSet::new();
        let new = decisions.iter().filter(|decision| seen.insert(decision.target.as_str()));
        let deliveries: Vec<Delivery> = new.filter_map(delivery).collect();
        let notification = Arc::new(notification);
        let record = Record { notification: Arc::clone(&notification), deliveries: deliveries.clone() };
        self.store.accept(record)?;
        self.stats.accepted += 1;
        self.stats.unmatched += u64::from(deliveries.is_empty());
        if deliveries.is_empty() {
            tracing::warn!(id = %notification.id, "no target matched");
        }
        let now = self.clock.now();
        for (n, delivery) in deliveries.into_iter().enumerate() {
            let item = Item { notification: Arc::clone(&notification), n, delivery };
            if item.delivery.has_ended() {
                self.tell_end(&item);
            } else {
                self.tell(&item, Happened::Queued);
                self.enqueue(now, item);
            }
        }
        Ok(Receipt { id: notification.id.clone(), decisions })
    }

    fn enqueue(&mut self, due: UnixMs, item: Item) {
        // A lane that does not exist: only a guest that invents targets gets here.
        let lane = self.lanes.get(&item.delivery.target).copied().unwrap_or(usize::MAX);
        if let Some(item) = self.schedule.push(lane, due, item) {
            self.finish(item, State::Dead, format!("{GUEST_INVALID}: no such target"));
        }
    }

    // === due ===

    fn start_due(&mut self) {
        let now = self.clock.now();
        while let Some((lane, item)) = self.schedule.peek(now) {
            let endpoint = self.endpoint(lane);
            let admission = self.dispatcher.admit(&item.delivery.target, endpoint, now);
            if let Ok(Admission::Wait(until)) = admission {
                // A guest that says "wait" and means "now" would turn the loop in circles.
                self.schedule
                    .hold(lane, until.clamp(now.saturating_add(1), now.saturating_add(LONGEST_WAIT_MS)));
                continue;
            }
            let Some((lane, item)) = self.schedule.take(now) else { return };
            match admission {
                Ok(_) => self.start(lane, item, now),
                Err(fault) => {
                    self.schedule.finish(lane);
                    // Whoever waits behind it would make the loop wait for the guest once more, each of them.
                    self.schedule.hold(lane, now.saturating_add(AFTER_A_FAULT_MS));
                    self.fail(item, now, GUEST_TRAP, &fault.to_string());
                }
            }
        }
    }

    fn start(&mut self, lane: usize, mut item: Item, now: UnixMs) {
        item.delivery.first_tried.get_or_insert(now);
        self.tell(&item, Happened::Started { attempt: item.delivery.attempts.saturating_add(1) });
        let attempt = item.attempt(now);
        let (sender, dispatcher) = (Arc::clone(&self.sender), Arc::clone(&self.dispatcher));
        let (target, notification) = (item.delivery.target.clone(), Arc::clone(&item.notification));
        let parts = item.delivery.parts;
        let run = async move { sender.send(&dispatcher, &target, &notification, attempt, parts, now).await };
        let handle = self.attempts.spawn(run);
        self.flying.insert(handle.id(), (lane, item));
    }

    // === settled ===

    fn settle(&mut self, settled: Result<(Id, Attempted), JoinError>) {
        let (id, attempted) = match settled {
            Ok((id, attempted)) => (id, attempted),
            Err(error) => (error.id(), Attempted::Lost(error.to_string())),
        };
        let Some((lane, item)) = self.flying.remove(&id) else { return };
        self.schedule.finish(lane);
        let now = self.clock.now();
        match attempted {
            Attempted::Exchanged { outcome, parts } => {
                let target = &item.delivery.target;
                let (attempt, endpoint) = (item.attempt(now), self.endpoint(lane));
                let judged =
                    self.dispatcher.judge(target, attempt, &outcome, endpoint, now, self.entropy.number());
                match judged {
                    Ok(judgement) => self.follow(lane, item, judgement, parts, now),
                    Err(fault) => self.fail(item, now, GUEST_TRAP, &fault.to_string()),
                }
            }
            Attempted::Refused(reason) => self.finish(item, State::Dead, shortened(reason)),
            Attempted::Trapped(fault) => self.fail(item, now, GUEST_TRAP, &fault.to_string()),
            Attempted::Broken(what) => self.fail(item, now, GUEST_INVALID, &what),
            Attempted::Lost(what) => self.fail(item, now, "attempt-lost", &what),
        }
    }

    fn follow(&mut self, lane: usize, mut item: Item, judgement: Judgement, parts: u32, now: UnixMs) {
        if let Some(endpoint) = self.endpoints.get_mut(lane) {
            *endpoint = judgement.endpoint;
        }
        let detail = shortened(judgement.detail);
        item.delivery.faults = 0;
        match judgement.verdict {
            Verdict::Delivered => {
                item.delivery.parts = item.delivery.parts.saturating_add(1);
                item.delivery.attempts = item.delivery.attempts.saturating_add(1);
                // The next request has its own retries.
                item.delivery.tried = 0;
                if item.delivery.parts >= parts {
                    self.finish(item, State::Delivered, detail);
                } else {
                    self.keep(&item);
                    self.enqueue(now, item);
                }
            }
            Verdict::Retry(at) => {
                item.delivery.attempts = item.delivery.attempts.saturating_add(1);
                item.delivery.tried = item.delivery.tried.saturating_add(1);
                let due = at.clamp(now.saturating_add(1), now.saturating_add(LONGEST_WAIT_MS));
                self.wait(item, due, Some(judgement.class), detail);
            }
            Verdict::Park => {
                self.wait(item, now.saturating_add(AFTER_A_FAULT_MS), Some(judgement.class), detail)
            }
            Verdict::Dead(reason) => {
                item.delivery.attempts = item.delivery.attempts.saturating_add(1);
                let reason = shortened(reason);
                let detail =
                    if detail.is_empty() { reason } else { format!("{reason}; the last was: {detail}") };
                self.finish(item, State::Dead, detail);
            }
        }
    }

    /// The guest failed a delivery: it gets another chance, but not for ever.
    fn fail(&mut self, mut item: Item, now: UnixMs, reason: &str, what: &str) {
        item.delivery.faults = item.delivery.faults.saturating_add(1);
        tracing::error!(id = %item.notification.id, target = %item.delivery.target, reason, what, "the guest failed");
        if item.delivery.faults >= MOST_FAULTS {
            self.finish(item, State::Dead, format!("{reason}: {what}"));
        } else {
            self.wait(item, now.saturating_add(AFTER_A_FAULT_MS), None, what.to_owned());
        }
    }

    fn wait(&mut self, mut item: Item, due: UnixMs, class: Option<Class>, detail: String) {
        item.delivery.state = State::Retrying;
        item.delivery.detail.clone_from(&detail);
        self.keep(&item);
        self.tell(&item, Happened::Retrying { class, detail, due });
        self.enqueue(due, item);
    }

    fn finish(&mut self, mut item: Item, state: State, detail: String) {
        item.delivery.state = state;
        item.delivery.detail = detail;
        self.keep(&item);
        self.tell_end(&item);
    }

    fn keep(&mut self, item: &Item) {
        let (id, target) = (&item.notification.id, &item.delivery.target);
        if let Err(error) = self.store.settle(id, item.n, item.delivery.clone()) {
            tracing::error!(%id, %target, %error, "where the delivery stands was not written down");
        }
    }

    // === others ===

    fn answer(&mut self, question: Question) {
        // Whoever asked may have stopped listening.
        match question {
            Question::Find(id, reply) => {
                let _ = reply.send(self.store.find(&id));
            }
            Question::Stats(reply) => {
                let _ = reply.send(Stats {
                    waiting: self.schedule.waiting() as u64,
                    in_flight: self.schedule.in_flight() as u64,
                    ..self.stats
                });
            }
            Question::Idle(reply) => {
                self.waiting_for_idle.retain(|waiting| !waiting.is_closed());
                self.waiting_for_idle.push(reply);
            }
            // The loop itself takes this one.
            Question::Shutdown(..) => {}
        }
    }

    fn tell_idle(&mut self) {
        let next = self.schedule.next_due();
        let is_due = next.is_some_and(|next| next <= self.clock.now());
        if self.schedule.in_flight() == 0 && !is_due {
            for waiting in self.waiting_for_idle.drain(..) {
                let _ = waiting.send(next);
            }
        }
    }

    fn has_nothing_before(&self, instant: UnixMs) -> bool {
        self.schedule.in_flight() == 0 && self.schedule.next_due().is_none_or(|next| next > instant)
    }

    fn end(self, replies: Vec<oneshot::Sender<Remains>>) {
        let flying = self.flying.values().map(|(_, item)| item);
        for item in self.schedule.iter().chain(flying) {
            tracing::warn!(id = %item.notification.id, target = %item.delivery.target, "left undelivered");
        }
        let remains = Remains { waiting: self.schedule.waiting(), in_flight: self.flying.len() };
        for reply in replies {
            let _ = reply.send(remains);
        }
    }

    fn endpoint(&self, lane: usize) -> Endpoint {
        self.endpoints.get(lane).copied().unwrap_or(UNTRIED)
    }

    fn tell_end(&mut self, item: &Item) {
        let Delivery { state, attempts, ref detail, ref target, .. } = item.delivery;
        let id = &item.notification.id;
        if state == State::Delivered {
            self.stats.delivered += 1;
            tracing::debug!(%id, %target, attempts, "delivered");
            self.tell(item, Happened::Delivered { attempts });
        } else {
            self.stats.dead += 1;
            tracing::error!(%id, %target, attempts, %detail, "dead");
            self.tell(item, Happened::Dead { attempts, detail: detail.clone() });
        }
    }

    fn tell(&self, item: &Item, happened: Happened) {
        let (id, target) = (item.notification.id.clone(), item.delivery.target.clone());
        // Nobody has to watch.
        let _ = self.events.send(Event { id, target, at: self.clock.now(), happened });
    }
}

/// What the guest said, no longer than is kept.
fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

impl Item {
    fn attempt(&self, now: UnixMs) -> Attempt {
        Attempt {
            number: self.delivery.tried,
            first_tried: self.delivery.first_tried.unwrap_or(now),
            level: self.notification.level,
        }
    }
}
