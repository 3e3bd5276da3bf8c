//! What happens, for whoever wants to watch.

use crate::clock::UnixMs;
use crate::contract::Class;

/// Something that happened to a delivery. Holds no secret.
#[derive(Clone, Debug)]
pub struct Event {
    /// The notification's id.
    pub id: String,
    /// The target's name.
    pub target: String,
    /// When, by the wall clock.
    pub at: UnixMs,
    /// What.
    pub happened: Happened,
}

/// What happened to a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// It was queued.
    Queued,
    /// An attempt began; 1 is the first.
    Started {
        /// Which attempt.
        attempt: u32,
    },
    /// An attempt failed, and there will be another.
    Retrying {
        /// What the outcome meant.
        class: Option<Class>,
        /// The outcome in words.
        detail: String,
        /// When the next attempt is due, by the wall clock.
        due: UnixMs,
    },
    /// It arrived.
    Delivered {
        /// How many attempts it took.
        attempts: u32,
    },
    /// It was given up.
    Dead {
        /// After how many attempts.
        attempts: u32,
        /// Why.
        detail: String,
    },
    /// Somebody took it out.
    Dropped,
}
