//! Where randomness comes from: the operating system, or a seed for runs that can be repeated.

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::clock::UnixMs;

/// A source of random numbers, for any number of threads.
pub struct Entropy(Mutex<StdRng>);

impl Entropy {
    /// Numbers that nobody can foretell.
    #[must_use]
    pub fn from_system() -> Self {
        Self(Mutex::new(rand::make_rng()))
    }

    /// The same numbers for the same seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A random number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A new id: a UUID of version 7 (RFC 9562, section 5.7), so that ids sort by the time they were made.
    #[must_use]
    pub fn id(&self, now: UnixMs) -> String {
        let mut random = [0; 10];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut random);
        uuid::Builder::from_unix_timestamp_millis(now, &random).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_that_sort_by_time() {
        let entropy = Entropy::from_system();
        let (earlier, later) = (entropy.id(1_700_000_000_000), entropy.id(1_700_000_000_001));
        assert_eq!((earlier.len(), earlier.as_bytes()[14]), (36, b'7'));
        assert!(earlier < later);
    }

    #[test]
    fn a_seed_repeats_itself() {
        assert_eq!(Entropy::from_seed(7).number(), Entropy::from_seed(7).number());
        assert_ne!(Entropy::from_seed(7).number(), Entropy::from_seed(8).number());
    }
}
