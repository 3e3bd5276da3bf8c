//! The component and the same library built for this machine decide alike, bit for bit.
//!
//! A million decisions: `NUNCIO_DECISIONS=1000000 cargo test --test scenarios agreement`.

use nuncio::contract as wit;
use nuncio_guest::breaker::{Breaker, Probe, Recent};
use nuncio_guest::budget::Budget;
use nuncio_guest::config::Config;
use nuncio_guest::judge::{Admission, Attempt, Endpoint, Verdict, judge};
use nuncio_guest::notification::Level;
use nuncio_guest::outcome::{Head, Outcome, Reply, Transport};
use nuncio_guest::pace::{Arrivals, Pace};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::stage::brain;

const CONFIG: &str = r#"{"targets": [
    {"name": "0", "provider": "ntfy", "url": "https://ntfy.example", "topic": "t"},
    {"name": "1", "provider": "webhook", "url": {"$secret": "1/url"}, "template": "discord",
     "retry": {"jitter": "full", "preset": "persistent", "retry_ambiguous": false, "max_hint": "24h"}},
    {"name": "2", "provider": "gotify", "url": "https://push.example", "token": {"$secret": "2/token"},
     "retry": {"park": false, "multiplier": 1.37, "interval": "333ms", "max_delay": "3h"}}]}"#;

#[test]
fn the_component_and_a_native_build_decide_alike() {
    #[expect(clippy::disallowed_methods, reason = "how long the test runs is no setting of Nuncio's")]
    let decisions = std::env::var("NUNCIO_DECISIONS").ok().and_then(|text| text.parse().ok());
    let mut random = StdRng::seed_from_u64(20_261_124);
    let native = Config::read(CONFIG).expect("it is right");
    let component = brain().dispatcher(CONFIG).expect("it is right");
    let mut decided = 0;
    while decided < decisions.unwrap_or(20_000_u64) {
        let (number, many) = (random.random_range(0..3_u32), random.random_range(1..5_usize));
        let target = native.target(&number.to_string()).expect("it is there");
        let (before, now) = (endpoint(&mut random), instant(&mut random));
        let drawn: Vec<_> =
            (0..many).map(|_| (attempt(&mut random), outcome(&mut random), random.next_u64())).collect();
        decided += 2 * many as u64;

        // Several at once are as one after another.
        let tried: Vec<wit::Tried> = drawn
            .iter()
            .map(|(attempt, outcome, entropy)| wit::Tried {
                attempt: attempt_out(*attempt),
                outcome: outcome_out(outcome),
                entropy: *entropy,
            })
            .collect();
        let there = component.judge(number, &tried, endpoint_out(before), now).expect("it answers");
        let mut here = before;
        for ((attempt, outcome, entropy), there) in drawn.iter().zip(there.judgements) {
            let understood = target.understand(outcome, now);
            let judged = judge(&target.policy, attempt, &understood, here, now, *entropy);
            let verdict = match judged.verdict {
                Verdict::Delivered => wit::Verdict::Delivered,
                Verdict::Retry(at) => wit::Verdict::Retry(at),
                Verdict::Park => wit::Verdict::Park,
                Verdict::Dead(reason) => wit::Verdict::Dead(reason),
            };
            assert_eq!(
                (there.verdict, there.detail, there.plain),
                (verdict, judged.detail, judged.is_plain),
                "{attempt:?} {outcome:?} {here:?}"
            );
            assert_eq!(there.class.name(), format!("{:?}", judged.class).to_lowercase());
            here = judged.endpoint;
        }
        assert_eq!(there.endpoint, endpoint_out(here), "{before:?} {drawn:?}");

        let attempts: Vec<wit::Attempt> = drawn.iter().map(|(attempt, ..)| attempt_out(*attempt)).collect();
        let there = component.admit(number, &attempts, there.endpoint, now).expect("it answers");
        let (mut count, mut hold) = (0, None);
        for (attempt, ..) in &drawn {
            match here.admit(attempt, &target.policy, target.timeout, now) {
                Admission::Send(endpoint) => (count, here) = (count + 1, endpoint),
                Admission::Wait(at) => hold = Some(wit::Hold::All(at)),
                Admission::Later(at) => hold = Some(wit::Hold::Retries(at)),
            }
            if hold.is_some() {
                break;
            }
        }
        let here = wit::Admission { count, hold, endpoint: endpoint_out(here) };
        assert_eq!(there, here, "{before:?} {drawn:?}");
    }
}

// === drawing ===

const NOW: u64 = 1_700_000_000_000;

/// Mostly about the same time, so that instants matter to each other.
fn instant(random: &mut StdRng) -> u64 {
    match random.random_range(0..20) {
        0 => random.next_u64(),
        1 => 0,
        2 => u64::MAX,
        _ => NOW + random.random_range(0..200_000),
    }
}

fn small(random: &mut StdRng) -> u32 {
    if random.random_range(0..20) == 0 { random.next_u32() } else { random.random_range(0..25) }
}

fn attempt(random: &mut StdRng) -> Attempt {
    let level = Level::ALL[random.random_range(0..Level::ALL.len())];
    let [queued_at, first_tried, began] = std::array::from_fn(|_| instant(random));
    Attempt {
        number: small(random),
        sent: small(random),
        queued_at,
        first_tried,
        began,
        level,
        is_plain: random.random_range(0..4) == 0,
    }
}

fn outcome(random: &mut StdRng) -> Outcome {
    const TRANSPORTS: [Transport; 7] = [
        Transport::Refused,
        Transport::Dns,
        Transport::Tls,
        Transport::TimeoutBeforeSend,
        Transport::TimeoutAfterSend,
        Transport::Reset,
        Transport::Blocked,
    ];
    const STATUSES: [u16; 14] = [200, 200, 204, 301, 400, 401, 404, 408, 410, 429, 429, 500, 503, 505];
    const HEADERS: [(&str, &str); 8] = [
        ("retry-after", "7"),
        ("retry-after", "Tue, 14 Nov 2023 22:15:00 GMT"),
        ("retry-after", "1.5"),
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset-after", "1.337"),
        ("ratelimit", "\"default\";r=0;t=30"),
        ("ratelimit-reset", "12"),
    ];
    const BODIES: [&str; 4] = ["", "{\"retry_after\": 0.376}", "{\"retry_after_ms\": 1e3}", "busy"];
    if random.random_range(0..4) == 0 {
        return Outcome::Failed(TRANSPORTS[random.random_range(0..TRANSPORTS.len())]);
    }
    let headers = HEADERS.iter().filter(|_| random.random_range(0..4) == 0);
    let head = Head::of(headers.copied());
    let body = BODIES[random.random_range(0..BODIES.len())].as_bytes().to_vec();
    Outcome::Reply(Reply { status: STATUSES[random.random_range(0..STATUSES.len())], head, body })
}

fn endpoint(random: &mut StdRng) -> Endpoint {
    let probe = Probe { at: instant(random), number: small(random), is_held: random.random_bool(0.5) };
    let optional = |random: &mut StdRng| random.random_bool(0.5).then(|| instant(random));
    Endpoint {
        updated: instant(random),
        not_before: instant(random),
        budget: Budget { spent_milli: small(random).saturating_mul(500), credited: instant(random) },
        breaker: match random.random_range(0..8) {
            0 => Breaker::Open(probe),
            1 => Breaker::HalfOpen(probe),
            2 => Breaker::Held(probe),
            3 => Breaker::Gone,
            _ => Breaker::Closed,
        },
        consecutive_failures: small(random),
        recent: Recent {
            since: instant(random),
            successes: small(random),
            failures: small(random),
            successes_before: small(random),
            failures_before: small(random),
        },
        arrivals: Arrivals {
            since: instant(random),
            latest: instant(random),
            count: small(random),
            count_before: small(random),
        },
        pace: Pace {
            is_draining: random.random_bool(0.3),
            next_us: instant(random).saturating_mul(1_000),
            interval_us: u64::from(small(random)) * 250_000,
            since: instant(random),
            successes: small(random),
            throttled: instant(random),
            in_a_row: small(random),
        },
        last_success: optional(random),
        last_failure: optional(random),
        unreadable_hints: small(random),
    }
}

// === the same in the contract's words ===

fn attempt_out(attempt: Attempt) -> wit::Attempt {
    let Attempt { number, sent, queued_at, first_tried, began, level, is_plain } = attempt;
    let level = wit::Level::parse(level.name()).expect("the same levels");
    wit::Attempt { number, sent, queued_at, first_tried, began, level, plain: is_plain }
}

fn outcome_out(outcome: &Outcome) -> wit::Outcome {
    match outcome {
        Outcome::Reply(Reply { status, head, body }) => {
            wit::Outcome::Reply(wit::Reply { status: *status, head: head.0.clone(), body: body.clone() })
        }
        Outcome::Failed(transport) => wit::Outcome::Failed(match transport {
            Transport::Refused => wit::Transport::Refused,
            Transport::Dns => wit::Transport::Dns,
            Transport::Tls => wit::Transport::Tls,
            Transport::TimeoutBeforeSend => wit::Transport::TimeoutBeforeSend,
            Transport::TimeoutAfterSend => wit::Transport::TimeoutAfterSend,
            Transport::Reset => wit::Transport::Reset,
            Transport::Blocked => wit::Transport::Blocked,
        }),
    }
}

fn endpoint_out(endpoint: Endpoint) -> wit::Endpoint {
    let probe = |probe: Probe| wit::Probe { at: probe.at, number: probe.number, is_held: probe.is_held };
    let Endpoint { recent, arrivals, pace, .. } = endpoint;
    wit::Endpoint {
        updated: endpoint.updated,
        not_before: endpoint.not_before,
        spent_milli: endpoint.budget.spent_milli,
        credited: endpoint.budget.credited,
        breaker: match endpoint.breaker {
            Breaker::Closed => wit::Breaker::Closed,
            Breaker::Open(next) => wit::Breaker::Open(probe(next)),
            Breaker::HalfOpen(under_way) => wit::Breaker::HalfOpen(probe(under_way)),
            Breaker::Held(next) => wit::Breaker::Held(probe(next)),
            Breaker::Gone => wit::Breaker::Gone,
        },
        consecutive_failures: endpoint.consecutive_failures,
        recent: wit::Recent {
            since: recent.since,
            successes: recent.successes,
            failures: recent.failures,
            successes_before: recent.successes_before,
            failures_before: recent.failures_before,
        },
        arrivals: wit::Arrivals {
            since: arrivals.since,
            latest: arrivals.latest,
            count: arrivals.count,
            count_before: arrivals.count_before,
        },
        pace: wit::Pace {
            is_draining: pace.is_draining,
            next_us: pace.next_us,
            interval_us: pace.interval_us,
            since: pace.since,
            successes: pace.successes,
            throttled: pace.throttled,
            in_a_row: pace.in_a_row,
        },
        last_success: endpoint.last_success,
        last_failure: endpoint.last_failure,
        unreadable_hints: endpoint.unreadable_hints,
    }
}
