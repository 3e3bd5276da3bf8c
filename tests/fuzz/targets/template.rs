//! A template and a condition, which nobody but a configuration's author writes, read and tried on the samples.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nuncio_guest::template::{Condition, Template};

fuzz_target!(|text: &str| {
    for (problem, hint) in [Template::read(text).err(), Condition::read(text).err()].into_iter().flatten() {
        assert!(!problem.is_empty() && !hint.is_empty());
    }
});
