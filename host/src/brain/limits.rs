//! What a component may take of the host.

use std::time::Duration;

/// What a component may take: memory, time, and what its answers bring into the host.
///
/// The embedded component needs a fraction of the defaults. A host that runs another one may have reason to give
/// it less, or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How much memory an instance may have, in bytes; 64 MiB by default. The embedded component does not start
    /// with less than 2 MiB. There is an instance for each call at the same time, and [`MOST_IDLE`] are kept.
    pub memory: usize,
    /// How long a call may take, by a clock on the wall; 1 s by default: a common one takes some microseconds, the
    /// largest notifications a tenth of that, and machines are busy at times. Measured in steps of 10 ms. The thread that calls waits as long.
    pub call: Duration,
    /// How long reading a configuration may take; 5 s by default. Its size is the operator's choice, and it
    /// happens once, and again for each new instance.
    pub open: Duration,
    /// How much one answer may bring into the host, in bytes: its texts, and its lists by the size of their
    /// entries here; 8 MiB by default. Twice what becomes of the largest notification is far below it. It is not
    /// the instance's memory that bounds this: a list can have the same text a million times.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 64 << 20, call: Duration::from_secs(1), open: Duration::from_secs(5), answer: 8 << 20 }
    }
}

/// How many instances are kept that are not in use: more than most machines have threads that call at once.
pub const MOST_IDLE: usize = 16;

/// How many problems a component can have with a text. Each is looked for in it, and shown to people.
pub const MOST_PROBLEMS: usize = 1_000;

/// How long each text of a problem may be, in bytes: the longest keys, four deep.
pub(super) const LONGEST_TEXT: usize = 4_096;

/// A component is no larger: 64 MiB.
pub const LARGEST_COMPONENT: usize = 64 << 20;

/// How deep a call may go, in bytes of its stack.
pub(super) const DEEPEST: usize = 512 << 10;

/// What else an instance may have: a component of one module needs a handful of each.
pub(super) const MOST_TABLES: usize = 4;
pub(super) const MOST_TABLE_ELEMENTS: usize = 100_000;
pub(super) const MOST_INSTANCES: usize = 16;
pub(super) const MOST_HANDLES: usize = 64;
