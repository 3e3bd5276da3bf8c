//! Too much of everything.

use std::hint::black_box;

use crate::generated::exports::nuncio::dispatch::catalog::Provider;
use crate::generated::nuncio::dispatch::types::{Breaker, Diagnostic, Endpoint, Place, Probe};

/// Never answers.
pub fn endless() -> ! {
    loop {
        black_box(());
    }
}

/// Takes memory until there is none.
pub fn allocate() -> ! {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(black_box(vec![1; 1 << 20]));
    }
}

/// Calls itself until the stack ends.
pub fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { black_box(recurse(black_box(depth.saturating_add(1)))).wrapping_add(depth) }
}

/// A text that nobody wants to keep, of a length that an answer may have.
pub fn text() -> String {
    "long ".repeat(400_000)
}

/// One of many names.
pub fn name(number: u32) -> String {
    format!("nobody-{number}")
}

/// A hundred texts of a mebibyte each, which take one in this memory.
pub fn same_text() -> Vec<String> {
    let text = "x".repeat(1 << 20).leak();
    // SAFETY: every one is leaked as it is; to free them is the host's mistake, if it takes them.
    (0..100).map(|_| unsafe { String::from_raw_parts(text.as_mut_ptr(), text.len(), text.len()) }).collect()
}

pub fn providers() -> Vec<Provider> {
    let empty = || Provider {
        name: String::new(),
        summary: String::new(),
        settings_schema: String::new(),
        example: String::new(),
        origins: vec![],
        auth: String::new(),
        dialect: String::new(),
        limits: vec![],
        overflow: String::new(),
        apprise_form: String::new(),
        shoutrrr_form: String::new(),
    };
    (0..100_000).map(|_| empty()).collect()
}

/// So many problems, in many places.
pub fn problems(count: u32) -> Vec<Diagnostic> {
    let problem = |number: u32| Diagnostic {
        path: if count > 100_000 { String::new() } else { format!("/targets/0/nothing-{number}") },
        place: Place::Value,
        problem: String::new(),
        hint: String::new(),
    };
    (0..count).map(problem).collect()
}

/// An endpoint whose every number is as large as can be.
pub fn endpoint(mut endpoint: Endpoint) -> Endpoint {
    let probe = Probe { at: u64::MAX, number: u32::MAX, is_held: true };
    endpoint.breaker = match endpoint.breaker {
        Breaker::Closed => Breaker::Open(probe),
        Breaker::Open(_) => Breaker::HalfOpen(probe),
        Breaker::HalfOpen(_) => Breaker::Held(probe),
        Breaker::Held(_) | Breaker::Gone => Breaker::Gone,
    };
    (endpoint.updated, endpoint.not_before, endpoint.credited) = (u64::MAX, u64::MAX, u64::MAX);
    (endpoint.spent_milli, endpoint.consecutive_failures) = (u32::MAX, u32::MAX);
    (endpoint.last_success, endpoint.last_failure) = (Some(u64::MAX), Some(u64::MAX));
    (endpoint.recent.since, endpoint.recent.successes, endpoint.recent.failures) =
        (u64::MAX, u32::MAX, u32::MAX);
    (endpoint.arrivals.since, endpoint.arrivals.latest, endpoint.arrivals.count) =
        (u64::MAX, u64::MAX, u32::MAX);
    (endpoint.pace.next_us, endpoint.pace.interval_us, endpoint.pace.since) = (u64::MAX, u64::MAX, u64::MAX);
    endpoint
}
