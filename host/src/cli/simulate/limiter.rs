//! How an endpoint counts the requests that it takes.

use std::collections::VecDeque;

use super::scenario::{LimitKind, RateLimit};

/// What counts requests and refuses those that are too many; those that it refuses do not count.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    /// Fixed: which window it is, and how many were in it.
    window: (u64, u32),
    /// Sliding: when those were that count.
    taken: VecDeque<u64>,
    /// Bucket: how much is in it, in thousandths of a request times the length of time; and when that was.
    filled: (u64, u64),
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let full = u64::from(limit.requests).saturating_mul(limit.per);
        Self { limit, window: (0, 0), taken: VecDeque::new(), filled: (full, 0) }
    }

    /// Takes a request.
    ///
    /// # Errors
    ///
    /// Where it is one too many: in how many milliseconds there will be room, if nobody else comes.
    pub(super) fn take(&mut self, now: u64) -> Result<(), u64> {
        let RateLimit { requests, per, kind, .. } = self.limit;
        match kind {
            LimitKind::Fixed => {
                let (window, into) = (now / per, now % per);
                if self.window.0 != window {
                    self.window = (window, 0);
                }
                if self.window.1 >= requests {
                    return Err(per - into);
                }
                self.window.1 += 1;
            }
            LimitKind::Sliding => {
                while self.taken.front().is_some_and(|at| at.saturating_add(per) <= now) {
                    self.taken.pop_front();
                }
                if self.taken.len() as u64 >= u64::from(requests) {
                    let free = self.taken.front().map_or(now, |at| at.saturating_add(per));
                    return Err(free.saturating_sub(now).max(1));
                }
                self.taken.push_back(now);
            }
            LimitKind::Bucket => {
                let (held, at) = self.filled;
                let requests = u64::from(requests);
                let gained = now.saturating_sub(at).saturating_mul(requests);
                let held = held.saturating_add(gained).min(requests.saturating_mul(per));
                self.filled = (held, now);
                let Some(rest) = held.checked_sub(per) else {
                    return Err((per - held).div_ceil(requests.max(1)).max(1));
                };
                self.filled = (rest, now);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(kind: LimitKind) -> Limiter {
        Limiter::new(RateLimit { requests: 20, per: 60_000, kind, retry_after: true })
    }

    /// How many are taken at once, and then how long it says there will be no room.
    fn at_once(limiter: &mut Limiter, now: u64) -> (u64, u64) {
        let mut taken = 0;
        loop {
            match limiter.take(now) {
                Ok(()) => taken += 1,
                Err(wait) => return (taken, wait),
            }
        }
    }

    #[test]
    fn each_kind_counts_in_its_own_way_and_says_when_there_is_room() {
        for (kind, wait, then) in
            [(LimitKind::Fixed, 20_000, 20), (LimitKind::Sliding, 60_000, 20), (LimitKind::Bucket, 3_000, 1)]
        {
            let mut limiter = limiter(kind);
            assert_eq!(at_once(&mut limiter, 40_000), (20, wait), "{kind:?}");
            assert!(limiter.take(40_000 + wait - 1).is_err(), "{kind:?}");
            assert_eq!(at_once(&mut limiter, 40_000 + wait).0, then, "{kind:?}");
        }
    }

    #[test]
    fn over_a_long_time_each_kind_takes_what_it_says() {
        for kind in [LimitKind::Fixed, LimitKind::Sliding, LimitKind::Bucket] {
            let mut limiter = limiter(kind);
            let taken = (0..3_600_000).step_by(100).filter(|now| limiter.take(*now).is_ok()).count();
            assert!((1_200..=1_220).contains(&taken), "{kind:?}: {taken}");
        }
    }
}
