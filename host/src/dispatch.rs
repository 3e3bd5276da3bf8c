//! The dispatch loop: the one path on which anything is sent.
//!
//! A first attempt is an item of the schedule with attempt 0; a retry is the same item, due later. The loop
//! owns the schedule, the way to the store and what the policy remembers of each endpoint, and wakes up for a
//! closed set of reasons ([`Wake`]). It decides nothing itself: the guest routes, admits, formats and judges.
//!
//! It guarantees that what it accepted ends as delivered or dead, that nothing is said to be accepted or to
//! have ended before the store has it, and that an attempt that never comes back from one target takes
//! nothing from another. What is under way is remembered nowhere but here: after a crash it runs again.
//!
//! While the store cannot be written nothing is accepted and nothing begins, and what ended meanwhile is
//! written as soon as it can be.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::alert::Alerts;
use crate::clock::{Clock, Sleep, Timeline, UnixMs};
use crate::contract::{Endpoint, Notification, Tried};
use crate::entropy::Entropy;
use crate::event::Event;
use crate::journal::{Journal, Written};
use crate::nuncio::{Remains, Stats, TargetHealth};
use crate::schedule::Schedule;
use crate::store::{Entry, Health, Limits, Operation, Store};

mod accept;
mod attempt;
mod ending;
mod endpoints;
mod flights;
mod item;
mod judge;
mod lanes;
mod reads;
mod recover;
mod settle;
mod start;
mod steer;
mod tell;

pub(crate) use accept::Handed;
use accept::{Accepting, Arrival};
use attempt::Attempted;
pub(crate) use attempt::Setup;
use ending::Ending;
use flights::{Flights, Landing};
use item::{Flight, Item};
use judge::Landed;
use lanes::Lanes;
pub(crate) use reads::Reads;
use recover::{Reading, Recovery};
use settle::Settling;
use steer::{Batch, Steering};
pub use steer::{Steer, Steered};
use tell::End;

/// Why a delivery ends that the guest broke off at every time.
const GUEST_TRAP: &str = "guest-trap";

/// Why a delivery ends for which the guest described no request that can be sent.
const GUEST_INVALID: &str = "guest-invalid";

/// No guest makes a delivery or an endpoint wait longer: a day.
const LONGEST_WAIT_MS: u64 = 24 * 60 * 60 * 1_000;

/// No more of what the guest says is kept, in bytes; the contract has it at 512 for outcomes.
const LONGEST_TEXT: usize = 1_024;

/// How long to wait before the store is tried again after it failed.
const AFTER_A_FAILURE_MS: u64 = 1_000;

/// How much the replies may be, or the notifications, that the guest is asked about at once, in bytes; a single one may
/// be more.
const LARGEST_AT_ONCE: usize = 256 << 10;

/// What the handle asks of the loop.
pub(crate) enum Question {
    /// The counts so far.
    Stats(oneshot::Sender<Stats>),
    /// To be told when nothing is in flight and nothing is due, and when something is due next.
    Idle(oneshot::Sender<Option<UnixMs>>),
    /// How every target is.
    Health(oneshot::Sender<Vec<TargetHealth>>),
    /// To have a target begin anew; whether there is one of that name.
    Enable(String, oneshot::Sender<bool>),
    /// To change where deliveries stand.
    Steer(Steer, Vec<Entry>, oneshot::Sender<Steered>),
    /// To go on by another configuration, within these limits and with so many attempts in all.
    Reload(Arc<Setup>, Limits, usize, oneshot::Sender<()>),
    /// To take nothing more, and to end when all has ended or this long after.
    Shutdown(Duration, oneshot::Sender<Remains>),
}

/// Why the loop woke up.
enum Wake {
    New(Handed),
    Due,
    Returned(Landing<Attempted>),
    Written(Vec<Written<Ticket>>),
    Read(Reading),
    Asked(Question),
    GraceOver,
    Abandoned,
    /// The thread that writes is gone.
    StoreLost,
}

/// What an operation is for.
enum Ticket {
    Accept(Accepting),
    Settle(Settling),
    Steer(Box<Steering>),
    /// Of a lane's endpoint.
    Remember(usize),
    Forget,
    Prune,
    Limit,
    Probe,
}

/// What comes in from outside.
struct Inbox {
    handed: mpsc::Receiver<Handed>,
    asked: mpsc::Receiver<Question>,
}

/// How much of a kind is taken in a round, so that every kind has its turn: enough that calls of the guest and commits
/// are shared, and not so much that nothing else has anything to do meanwhile.
const ROUND: usize = 32;

/// How much that is new: half as much, so that what is under way ends before more begins.
const ROUND_OF_NEW: usize = ROUND / 2;

/// What a loop begins with.
pub(crate) struct Beginning {
    pub(crate) setup: Arc<Setup>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) store: Box<dyn Store>,
    pub(crate) reads: Reads,
    pub(crate) limits: Limits,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) in_all: usize,
    /// What is remembered of an endpoint before its first attempt.
    pub(crate) untried: Endpoint,
    /// What the store remembers of endpoints.
    pub(crate) healths: Vec<Health>,
}

pub(crate) struct Dispatch {
    setup: Arc<Setup>,
    timeline: Timeline,
    began_at: UnixMs,
    entropy: Arc<Entropy>,
    journal: Journal<Ticket>,
    reads: Reads,
    limits: Limits,
    events: broadcast::Sender<Event>,
    lanes: Lanes,
    schedule: Schedule<Item>,
    /// How much of what waits is held in memory, in bytes.
    held: usize,
    flights: Flights<Flight, Attempted>,
    /// What came of attempts in this round.
    landed: Vec<(Landed, Tried)>,
    /// What was handed in in this round.
    arrived: (Vec<Notification>, Vec<Arrival>),
    /// Of how many notifications the guest is asked at once at most where they go.
    routed_at_once: usize,
    /// How many notifications are on their way into the store, and their bytes.
    accepting: (usize, usize),
    /// What could not be written, and must be.
    unwritten: VecDeque<(Ticket, Operation)>,
    /// Why the store cannot be used, until it can again.
    why_broken: Option<String>,
    probe_at: Option<UnixMs>,
    /// What wakes the loop, and when by the timeline.
    alarm: Option<(UnixMs, Sleep)>,
    readings: JoinSet<Reading>,
    recovery: Recovery,
    after_recovery: Vec<Question>,
    /// How many deliveries are being ended because they are too old.
    ending_old: usize,
    prune_at: Option<UnixMs>,
    is_pruning: bool,
    batches: HashMap<u64, Batch>,
    next_batch: u64,
    alerts: Alerts,
    stats: Stats,
    waiting_for_idle: Vec<oneshot::Sender<Option<UnixMs>>>,
    ending: Option<Ending>,
}

impl Dispatch {
    /// # Errors
    ///
    /// Where the store's thread cannot be started.
    pub(crate) fn new(beginning: Beginning) -> std::io::Result<Self> {
        let Beginning { setup, clock, entropy, store, reads, limits, events, in_all, untried, healths } =
            beginning;
        let (mut lanes, mut schedule) = (Lanes::new(untried), Schedule::new(in_all));
        lanes.open_only(&setup, &mut schedule);
        let mut unknown = Vec::new();
        for health in healths {
            let target = health.target.clone();
            if !lanes.restore(health, &mut schedule) {
                unknown.push(target);
            }
        }
        let timeline = Timeline::begin(clock);
        let mut dispatch = Self {
            setup,
            began_at: timeline.now(),
            timeline,
            entropy,
            journal: Journal::open(store)?,
            reads,
            limits,
            events,
            lanes,
            schedule,
            held: 0,
            flights: Flights::new(),
            landed: Vec::new(),
            arrived: (Vec::new(), Vec::new()),
            routed_at_once: ROUND_OF_NEW,
            accepting: (0, 0),
            unwritten: VecDeque::new(),
            why_broken: None,
            probe_at: None,
            alarm: None,
            readings: JoinSet::new(),
            recovery: Recovery::default(),
            after_recovery: Vec::new(),
            ending_old: 0,
            prune_at: None,
            is_pruning: false,
            batches: HashMap::default(),
            next_batch: 0,
            alerts: Alerts::default(),
            stats: Stats::default(),
            waiting_for_idle: Vec::new(),
            ending: None,
        };
        dispatch.submit(Ticket::Limit, Operation::Limit(limits));
        for target in unknown {
            dispatch.submit(Ticket::Forget, Operation::Forget(target));
        }
        Ok(dispatch)
    }

    /// Runs until it is asked to shut down, or until nobody is left who could hand anything in.
    ///
    /// It goes in rounds: whatever has come by then, a bounded number of each kind in one fixed order, so that
    /// no kind starves another, a round's writes go to disk together, and the same happens in every run in
    /// which the same comes.
    pub(crate) async fn run(mut self, handed: mpsc::Receiver<Handed>, asked: mpsc::Receiver<Question>) {
        let mut inbox = Inbox { handed, asked };
        self.read_on();
        loop {
            let now = self.timeline.now();
            self.probe(now);
            self.prune(now);
            self.end_old(now);
            self.start_due(now);
            self.save_endpoints(now);
            self.journal.flush();
            if inbox.handed.is_empty() {
                self.tell_idle();
                let until = self.ending.as_ref().map(|ending| ending.until);
                if until.is_some_and(|until| self.has_nothing_before(until)) {
                    break;
                }
            }
            let wake = self.next_wake(&mut inbox).await;
            if !self.take(wake, &mut inbox) {
                break;
            }
            self.take_all(&mut inbox);
            // Attempts that share this thread have their turn, too.
            tokio::task::yield_now().await;
        }
        self.end().await;
    }

    async fn next_wake(&mut self, inbox: &mut Inbox) -> Wake {
        self.set_alarm();
        let grace_over = self.ending.as_ref().map(|ending| self.timeline.sleep_until(ending.until));
        let (has_due, is_ending) = (self.alarm.is_some(), grace_over.is_some());
        let grace_over = async {
            if let Some(grace_over) = grace_over {
                grace_over.await;
            }
        };
        let (is_flying, is_reading) = (!self.flights.is_empty(), !self.readings.is_empty());
        let (is_writing, has_room) = (self.journal.under_way() > 0, self.has_room());
        let alarm = &mut self.alarm;
        let due = async {
            if let Some((_, due)) = alarm {
                due.await;
            }
        };
        // Every branch can be dropped without a loss. The round that follows looks at all of them.
        tokio::select! {
            biased;
            () = grace_over, if is_ending => Wake::GraceOver,
            written = self.journal.done(), if is_writing => written.map_or(Wake::StoreLost, Wake::Written),
            landing = self.flights.landing(), if is_flying => Wake::Returned(landing),
            Some(Ok(reading)) = self.readings.join_next(), if is_reading => Wake::Read(reading),
            () = due, if has_due => Wake::Due,
            question = inbox.asked.recv() => question.map_or(Wake::Abandoned, Wake::Asked),
            Some(new) = inbox.handed.recv(), if has_room => Wake::New(new),
        }
    }

    /// Deals with what woke the loop; whether it goes on.
    fn take(&mut self, wake: Wake, inbox: &mut Inbox) -> bool {
        match wake {
            Wake::New(new) => self.take_in(new),
            // Once it has rung it is of no more use.
            Wake::Due => self.alarm = None,
            Wake::Returned(landing) => self.returned(landing),
            Wake::Written(written) => written.into_iter().for_each(|written| self.written(written)),
            Wake::Read(reading) => self.read(reading),
            Wake::Asked(Question::Shutdown(grace, reply)) => {
                inbox.handed.close();
                let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                let until = self.timeline.now().saturating_add(grace);
                let ending = self.ending.get_or_insert_with(|| Ending { until, replies: Vec::new() });
                // Of two shutdowns the more impatient one counts, and both hear what was left.
                ending.until = ending.until.min(until);
                ending.replies.push(reply);
            }
            Wake::Asked(question) => self.answer(question),
            Wake::GraceOver | Wake::Abandoned => return false,
            Wake::StoreLost => {
                tracing::error!("the thread that writes the queue has broken off; this is a defect");
                return false;
            }
        }
        true
    }

    /// Takes what else has come by now, without waiting: with what woke the loop, a round.
    fn take_all(&mut self, inbox: &mut Inbox) {
        while let Some(written) = self.journal.try_done() {
            self.take(Wake::Written(written), inbox);
        }
        for _ in 1..ROUND {
            let Some(landing) = self.flights.try_landing() else { break };
            self.take(Wake::Returned(landing), inbox);
        }
        self.judge_landed();
        while let Some(Ok(reading)) = self.readings.try_join_next() {
            self.take(Wake::Read(reading), inbox);
        }
        for _ in 1..ROUND {
            let Ok(question) = inbox.asked.try_recv() else { break };
            self.take(Wake::Asked(question), inbox);
        }
        for _ in 1..ROUND_OF_NEW {
            if !self.has_room() {
                break;
            }
            let Ok(new) = inbox.handed.try_recv() else { break };
            self.take(Wake::New(new), inbox);
        }
        self.route_arrived();
    }

    /// Has the loop wake up for what nobody will say. One alarm serves as many rounds as want the same.
    fn set_alarm(&mut self) {
        let next = self.next_timer();
        if self.alarm.as_ref().map(|(at, _)| *at) != next {
            self.alarm = next.map(|at| (at, self.timeline.sleep_until(at)));
        }
    }

    /// When there is something to do that nobody will say.
    fn next_timer(&self) -> Option<UnixMs> {
        let next = [self.schedule.next_due(), self.schedule.next_old()].into_iter().flatten().min();
        let next = next.filter(|_| self.is_storing());
        let prune = self.prune_at.filter(|_| !self.is_pruning);
        [next, prune, self.probe_at, self.next_save()].into_iter().flatten().min()
    }

    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        self.journal.submit(ticket, operation);
    }

    fn written(&mut self, written: Written<Ticket>) {
        let Written { ticket, operation, result } = written;
        match &result {
            Ok(_) => self.works(),
            Err(error) => self.fails(error),
        }
        match (ticket, operation) {
            (Ticket::Accept(accepting), Operation::Accept(record)) => {
                self.accepted(accepting, record, result);
            }
            (Ticket::Settle(settling), Operation::Settle(settlement)) => {
                self.settled(settling, settlement, result);
            }
            (Ticket::Steer(steering), Operation::Settle(settlement)) => {
                self.steered(*steering, settlement, result);
            }
            (Ticket::Remember(lane), _) => self.remembered(lane, &result),
            (Ticket::Prune, _) => self.pruned(&result),
            // Limits that did not get there go with the next probe. A ticket comes back with the operation that
            // it went with.
            _ => {}
        }
    }

    fn answer(&mut self, question: Question) {
        match question {
            Question::Stats(reply) => {
                let in_flight = self.schedule.in_flight() + self.schedule.settling() + self.ending_old;
                // Whoever asked may have stopped listening; likewise below.
                let _ = reply.send(Stats {
                    waiting: self.schedule.waiting() as u64,
                    in_flight: in_flight as u64,
                    is_recovering: !self.recovery.is_over(),
                    is_storing: self.is_storing(),
                    ..self.stats
                });
            }
            Question::Idle(reply) => {
                self.waiting_for_idle.retain(|waiting| !waiting.is_closed());
                self.waiting_for_idle.push(reply);
            }
            Question::Health(reply) => {
                let _ = reply.send(self.healths());
            }
            Question::Enable(target, reply) => {
                let _ = reply.send(self.enable(&target));
            }
            Question::Steer(steer, entries, reply) => self.steer(steer, entries, reply),
            Question::Reload(setup, limits, in_all, reply) => {
                // What came before goes where it was to go then.
                self.route_arrived();
                self.routed_at_once = ROUND_OF_NEW;
                self.lanes.open_only(&setup, &mut self.schedule);
                self.schedule.set_in_all(in_all);
                (self.setup, self.limits) = (setup, limits);
                self.submit(Ticket::Limit, Operation::Limit(limits));
                // What is kept for a shorter time now may go at once.
                self.prune_at = Some(self.timeline.now());
                let _ = reply.send(());
            }
            // The loop itself takes this one.
            Question::Shutdown(..) => {}
        }
    }

    fn is_busy(&self) -> bool {
        let pending = self.schedule.in_flight() + self.ending_old + self.journal.under_way();
        pending > 0 || !(self.recovery.is_over() || self.why_broken.is_some())
    }

    fn next_due(&self) -> Option<UnixMs> {
        let due = [self.schedule.next_due(), self.schedule.next_old()].into_iter().flatten().min();
        if self.is_storing() { due } else { self.probe_at }
    }

    fn tell_idle(&mut self) {
        let next = self.next_due();
        let is_due = next.is_some_and(|next| next <= self.timeline.now());
        if !self.is_busy() && !is_due {
            let next = next.map(|next| self.timeline.by_wall(next));
            for waiting in self.waiting_for_idle.drain(..) {
                let _ = waiting.send(next);
            }
        }
    }

    fn has_nothing_before(&self, instant: UnixMs) -> bool {
        !self.is_busy() && self.next_due().is_none_or(|next| next > instant)
    }
}

/// What the guest said, no longer than is kept.
fn shortened(mut text: String) -> String {
    shorten(&mut text);
    text
}

fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
}
