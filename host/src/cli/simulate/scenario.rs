//! A scenario: what comes when, and what the endpoints do with it.
//!
//! It is what the file says, with every default in its place; whoever has one need not look at the text again.
//! Lengths of time are in milliseconds, instants are counted from the start of the run.

use nuncio::contract::Level;

/// What is to be played.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// Its name for people.
    pub(super) title: String,
    /// What it is, in a sentence.
    pub(super) about: String,
    /// For how long notifications come.
    pub(super) duration: u64,
    /// For how long it goes on without new ones, where it takes so long until nothing waits; `None` for as
    /// long as anything may wait.
    pub(super) drain: Option<u64>,
    /// How far apart the targets are looked at.
    pub(super) bin: u64,
    /// What every random choice comes from.
    pub(super) seed: u64,
    /// What there is to send to; at least one.
    pub(super) targets: Vec<Plan>,
    /// The settings that the dispatcher runs with, for people: names and values.
    pub(super) policy: Vec<(String, String)>,
}

/// A target, and what it is for it to be one.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Its name, unique.
    pub(super) name: String,
    /// What comes all the time, if anything does.
    pub(super) arrivals: Option<Arrivals>,
    /// What comes at once, sorted by when.
    pub(super) bursts: Vec<Burst>,
    /// How many of each level there are among the rest: at least one of one level.
    pub(super) levels: Vec<(Level, u32)>,
    /// What it does with requests.
    pub(super) behaviour: Behaviour,
}

/// Notifications that come all the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrivals {
    /// How many, in each...
    pub(super) number: f64,
    /// ...of these lengths of time.
    pub(super) per: u64,
    /// How they are spread.
    pub(super) spacing: Spacing,
}

/// How notifications are spread over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Spacing {
    /// Each comes without regard to the others (a Poisson process), as many independent causes do.
    #[default]
    Random,
    /// All the same time apart.
    Even,
}

/// Notifications that come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Burst {
    pub(super) at: u64,
    pub(super) count: u32,
}

/// What an endpoint does with requests.
#[derive(Clone, Debug)]
pub(super) struct Behaviour {
    /// How long it takes for an answer: from this...
    pub(super) fastest: u64,
    /// ...to this, any as likely.
    pub(super) slowest: u64,
    /// The share of requests that are answered 500 whatever they are.
    pub(super) failures: f64,
    /// The share of notifications that are answered 500 each time.
    pub(super) poison: f64,
    /// When it does not do its work; sorted, and apart from each other.
    pub(super) outages: Vec<Outage>,
    /// How many requests it takes.
    pub(super) rate_limit: Option<RateLimit>,
}

/// A time in which an endpoint does not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) fault: Fault,
}

/// How an endpoint does not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody takes connections.
    Refused,
    /// A connection never comes about.
    Unreachable,
    /// It takes a request and never answers.
    Timeout,
    /// It takes a request and breaks off the connection.
    Reset,
    /// It answers this.
    Status(u16),
}

/// How many requests an endpoint takes; all others are answered 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimit {
    /// How many...
    pub(super) requests: u32,
    /// ...in so much time.
    pub(super) per: u64,
    pub(super) kind: LimitKind,
    /// Whether it says when to come back.
    pub(super) retry_after: bool,
}

/// How requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LimitKind {
    /// In one span of time after the other.
    #[default]
    Fixed,
    /// In the span that ends now.
    Sliding,
    /// As a bucket that is filled all the time.
    Bucket,
}

impl Arrivals {
    /// How many come, in millionths a second.
    pub(super) fn per_second_micro(self) -> u64 {
        // A float cast saturates.
        (self.number * 1e9 / self.per as f64).round() as u64
    }

    /// The time between two on average, in milliseconds.
    pub(super) fn gap(self) -> f64 {
        self.per as f64 / self.number
    }
}

impl Scenario {
    /// How many notifications are to be expected.
    pub(super) fn expected(&self) -> f64 {
        self.targets.iter().map(|plan| plan.expected(self.duration)).sum()
    }
}

impl Plan {
    fn expected(&self, duration: u64) -> f64 {
        let steady = self.arrivals.map_or(0.0, |arrivals| duration as f64 / arrivals.gap());
        steady + self.bursts.iter().map(|burst| f64::from(burst.count)).sum::<f64>()
    }
}

impl Default for Behaviour {
    /// Takes everything within 50 ms.
    fn default() -> Self {
        Self { fastest: 50, slowest: 50, failures: 0.0, poison: 0.0, outages: Vec::new(), rate_limit: None }
    }
}
