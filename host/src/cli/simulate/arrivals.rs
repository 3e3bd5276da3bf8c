//! When which notification comes.
//!
//! Every target has a generator of its own, so that what comes for one does not change with what comes for
//! another.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use nuncio::contract::Level;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::scenario::{Arrivals, Burst, Plan, Scenario, Spacing};

/// A notification that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// When, since the run began.
    pub(super) at: u64,
    /// For which target, by its place.
    pub(super) target: usize,
    pub(super) level: Level,
}

/// All that come, in the order in which they do.
pub(super) struct Coming<'s> {
    streams: Vec<Stream<'s>>,
    /// When the next comes from each stream that has one.
    next: BinaryHeap<Reverse<(u64, usize)>>,
}

struct Stream<'s> {
    plan: &'s Plan,
    rng: StdRng,
    duration: u64,
    steady: Option<Steady>,
    /// The bursts that are left, and how many are left of the first.
    bursts: &'s [Burst],
    left: u32,
}

/// What comes all the time.
struct Steady {
    arrivals: Arrivals,
    /// How many came.
    count: u64,
    /// When the next comes.
    at: f64,
}

/// The generator of a purpose, for the target or notification of a number.
pub(super) fn generator(seed: u64, purpose: u64, number: usize) -> StdRng {
    let mut bytes = [0; 32];
    let words = [seed, purpose, number as u64, 0x6e75_6e63_696f];
    for (place, byte) in bytes.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
        *place = byte;
    }
    StdRng::from_seed(bytes)
}

impl<'s> Coming<'s> {
    pub(super) fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let stream = |(n, plan)| Stream::new(plan, generator(seed, 1, n), scenario.duration);
        let streams: Vec<Stream<'s>> = scenario.targets.iter().enumerate().map(stream).collect();
        let next = streams.iter().enumerate().filter_map(|(n, stream)| Some(Reverse((stream.at()?, n))));
        Self { next: next.collect(), streams }
    }
}

impl Iterator for Coming<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let Reverse((at, target)) = self.next.pop()?;
        let stream = self.streams.get_mut(target)?;
        let level = stream.take(at);
        self.next.extend(stream.at().map(|at| Reverse((at, target))));
        Some(Arrival { at, target, level })
    }
}

impl<'s> Stream<'s> {
    fn new(plan: &'s Plan, mut rng: StdRng, duration: u64) -> Self {
        let steady = plan.arrivals.map(|arrivals| Steady::new(arrivals, &mut rng));
        let bursts = plan.bursts.as_slice();
        let left = bursts.first().map_or(0, |burst| burst.count);
        Self { plan, rng, duration, steady, bursts, left }
    }

    /// When the next comes.
    fn at(&self) -> Option<u64> {
        // A float cast saturates.
        let steady = self.steady.as_ref().map(|steady| steady.at as u64);
        let burst = self.bursts.first().map(|burst| burst.at);
        [steady, burst].into_iter().flatten().min().filter(|at| *at < self.duration)
    }

    /// Takes the next, which comes then; of which level it is.
    fn take(&mut self, at: u64) -> Level {
        if self.bursts.first().is_some_and(|burst| burst.at == at) {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                self.bursts = self.bursts.get(1..).unwrap_or_default();
                self.left = self.bursts.first().map_or(0, |burst| burst.count);
            }
        } else if let Some(steady) = &mut self.steady {
            steady.step(&mut self.rng);
        }
        self.level()
    }

    fn level(&mut self) -> Level {
        let all: u64 = self.plan.levels.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut drawn = self.rng.random_range(0..all.max(1));
        for (level, weight) in &self.plan.levels {
            match drawn.checked_sub(u64::from(*weight)) {
                Some(rest) => drawn = rest,
                None => return *level,
            }
        }
        Level::Info
    }
}

impl Steady {
    fn new(arrivals: Arrivals, rng: &mut StdRng) -> Self {
        let mut steady = Self { arrivals, count: 0, at: 0.0 };
        steady.step(rng);
        steady
    }

    fn step(&mut self, rng: &mut StdRng) {
        self.count += 1;
        self.at = match self.arrivals.spacing {
            Spacing::Even => self.count as f64 * self.arrivals.gap(),
            Spacing::Random => self.at - (1.0 - rng.random::<f64>()).ln() * self.arrivals.gap(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Behaviour;
    use super::*;

    fn plan(number: f64, spacing: Spacing, bursts: &[Burst]) -> Plan {
        Plan {
            name: "a".to_owned(),
            arrivals: Some(Arrivals { number, per: 1_000, spacing }),
            bursts: bursts.to_vec(),
            levels: vec![(Level::Info, 3), (Level::Error, 1)],
            behaviour: Behaviour::default(),
        }
    }

    fn scenario(targets: Vec<Plan>) -> Scenario {
        Scenario {
            title: String::new(),
            about: String::new(),
            duration: 1_000_000,
            drain: None,
            bin: 1_000,
            seed: 1,
            targets,
            policy: Vec::new(),
        }
    }

    fn all(scenario: &Scenario, seed: u64) -> Vec<Arrival> {
        Coming::new(scenario, seed).collect()
    }

    #[test]
    fn as_many_come_as_were_said_in_order_and_of_the_levels_that_were_said() {
        let scenario = scenario(vec![plan(5.0, Spacing::Random, &[]), plan(1.0, Spacing::Even, &[])]);
        let all = all(&scenario, 7);
        assert!(all.is_sorted_by_key(|arrival| arrival.at));
        let of = |target| all.iter().filter(move |arrival| arrival.target == target);
        assert!((4_800..5_200).contains(&of(0).count()), "{}", of(0).count());
        let errors = of(0).filter(|arrival| arrival.level == Level::Error).count();
        assert!((1_100..1_400).contains(&errors), "{errors}");
        let even: Vec<u64> = of(1).map(|arrival| arrival.at).collect();
        assert_eq!((even.len(), even[0], even[1]), (999, 1_000, 2_000));
    }

    #[test]
    fn a_burst_comes_at_once_and_whole() {
        let bursts = [Burst { at: 2_500, count: 3 }, Burst { at: 2_500, count: 2 }];
        let scenario = scenario(vec![plan(1.0, Spacing::Even, &bursts)]);
        let all: Vec<u64> = all(&scenario, 7).iter().map(|arrival| arrival.at).collect();
        assert_eq!(all[..8], [1_000, 2_000, 2_500, 2_500, 2_500, 2_500, 2_500, 3_000]);
    }

    #[test]
    fn a_seed_repeats_itself_and_another_target_changes_nothing() {
        let one = scenario(vec![plan(5.0, Spacing::Random, &[])]);
        assert_eq!(all(&one, 7), all(&one, 7));
        assert_ne!(all(&one, 7), all(&one, 8));
        let two = scenario(vec![plan(5.0, Spacing::Random, &[]), plan(9.0, Spacing::Random, &[])]);
        let first: Vec<Arrival> = all(&two, 7).into_iter().filter(|arrival| arrival.target == 0).collect();
        assert_eq!(all(&one, 7), first);
    }
}
