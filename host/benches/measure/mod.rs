//! What the benchmarks share: a receiver that is a process of its own, the clocks, and tables with ratios.
//!
//! What is compared runs in turns, within one run: figures of two runs say nothing of each other, because
//! machines are shared. The first round of each warms up and is left out.
#![allow(dead_code, reason = "each benchmark uses its part")]

use std::time::Duration;

pub mod bare;
pub mod nuncio;
pub mod receiver;

/// The `nuncio` binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many rounds count.
pub const ROUNDS: usize = 7;

/// Whether this part of a benchmark is wanted: `cargo bench --bench NAME -- PART…` is those, without any it is all.
pub fn is_wanted(part: &str) -> bool {
    let mut named = std::env::args().skip(1).filter(|word| !word.starts_with("--")).peekable();
    named.peek().is_none() || named.any(|word| word == part)
}

/// What has been measured of one thing, a figure for each round.
#[derive(Clone, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The figure that this share of all are below: 0.5 is the median.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of few"
        )]
        let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Each of these by the one that was measured beside it.
    pub fn per(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }

    /// How much more each of these is than the one that was measured beside it.
    pub fn less(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one - other).collect())
    }

    /// The median and the range, with so many digits after the point.
    pub fn shown(&self, digits: usize) -> String {
        let (median, least, most) = (self.median(), self.quantile(0.0), self.quantile(1.0));
        format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

/// A count, for arithmetic.
#[expect(clippy::cast_precision_loss, reason = "no count is that large")]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// The first attempt of a delivery, at the Unix epoch.
pub const fn first(level: ::nuncio::contract::Level) -> ::nuncio::contract::Attempt {
    let (number, sent, queued_at, first_tried, began) = (0, 0, 0, 0, 0);
    ::nuncio::contract::Attempt { number, sent, queued_at, first_tried, began, level, plain: false }
}

/// The processor time that this process has used.
pub fn processor_time() -> Duration {
    time_of(rustix::time::ClockId::ProcessCPUTime)
}

/// A clock that all processes of the machine share.
pub fn monotonic() -> Duration {
    time_of(rustix::time::ClockId::Monotonic)
}

fn time_of(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// A folder on the disk that the build is on, for queues.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// What there is to say of the machine.
pub fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']).to_owned();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores, {model}, Linux {}", kernel.trim())
}
