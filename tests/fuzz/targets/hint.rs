//! What a reply's headers and body say about when to come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nuncio_guest::hint::{self, Unit};
use nuncio_guest::outcome::{Head, Reply};

const NAMES: [&str; 8] = [
    "date",
    "ratelimit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
];

fuzz_target!(|input: (bool, u64, u64, Vec<(u8, String)>, Vec<u8>)| {
    let (is_throttled, cap, now, headers, body) = input;
    let name = |choice: u8| NAMES[usize::from(choice) % NAMES.len()].to_owned();
    let head = Head::of(headers.into_iter().map(|(choice, value)| (name(choice), value)));
    let reply = Reply { status: if is_throttled { 429 } else { 200 }, head, body };
    let (seconds, ms) = (Unit::Seconds, Unit::Milliseconds);
    for (pointer, unit) in
        [("", ms), ("/retry_after", seconds), ("/parameters/retry_after", seconds), ("/retry_after_ms", ms)]
    {
        let in_body = hint::in_json(&reply, pointer, unit);
        let hint = hint::of(&reply, in_body, cap, now);
        assert!(hint.wait.is_none_or(|wait| wait <= cap));
        assert!(in_body.is_none() || hint.wait == in_body.map(|wait| wait.min(cap)));
        assert_eq!(hint, hint::of(&reply, in_body, cap, now), "and again");
    }
});
