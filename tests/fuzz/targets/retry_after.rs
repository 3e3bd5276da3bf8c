//! A reply's Retry-After, and the verdict on it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nuncio_guest::backoff::Policy;
use nuncio_guest::judge::{Attempt, Endpoint, Verdict, judge};
use nuncio_guest::notification::Level;
use nuncio_guest::outcome::{Class, Outcome, Reply};
use nuncio_guest::retry_after::LONGEST_MS;

fuzz_target!(|input: (String, u16, u64, u64, u32)| {
    let (value, status, now, entropy, number) = input;
    let headers = vec![("retry-after".to_owned(), value)];
    let outcome = Outcome::Reply(Reply { status, headers, body: Vec::new() });
    let attempt = Attempt { number, first_tried: 0, level: Level::Fatal };
    let class = Class::of_status(status);
    let judgement = judge(&Policy::default(), &attempt, class, &outcome, &Endpoint::default(), now, entropy);
    if let Verdict::Retry(at) = judgement.verdict {
        assert!(at > now || now == u64::MAX);
        assert!(at <= now.saturating_add(LONGEST_MS));
    }
    assert!(judgement.endpoint.not_before <= now.saturating_add(LONGEST_MS));
});
