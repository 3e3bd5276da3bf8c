use proptest::prelude::*;

use super::*;
use crate::budget::{Budget, CAP_MILLI};
use crate::endpoint::tests::{NOW, attempt};
use crate::notification::Level;
use crate::outcome::Reply;

fn status(status: u16) -> Outcome {
    Outcome::Reply(Reply { status, head: Default::default(), body: vec![] })
}

fn class(outcome: &Outcome) -> Class {
    match outcome {
        Outcome::Reply(reply) => Class::of_status(reply.status),
        Outcome::Failed(transport) => Class::of_transport(*transport),
    }
}

fn hint(wait: u64) -> Hint {
    Hint { wait: Some(wait), ..Hint::default() }
}

fn judged_with(attempt: &Attempt, outcome: &Outcome, hint: Hint, endpoint: Endpoint) -> Judgement {
    let understood =
        Understood { outcome, class: class(outcome), hint, knows_repeats: false, refuses_markup: false };
    judge(&Policy::default(), attempt, &understood, endpoint, NOW, 7)
}

fn judged(level: Level, number: u32, outcome: &Outcome, endpoint: Endpoint) -> Judgement {
    judged_with(&attempt(level, number, number), outcome, Hint::default(), endpoint)
}

/// An endpoint that has just taken something.
fn working() -> Endpoint {
    Endpoint { updated: NOW, last_success: Some(NOW + 1), ..Endpoint::default() }
}

fn half_open(number: u32) -> Endpoint {
    Endpoint { breaker: Breaker::HalfOpen(Probe { at: NOW, number, is_held: false }), ..Endpoint::default() }
}

fn opened(judgement: &Judgement) -> (u64, u32) {
    match judgement.endpoint.breaker {
        Breaker::Open(Probe { at, number, .. }) => (at - NOW, number),
        other => panic!("not open: {other:?}"),
    }
}

#[test]
fn a_success_is_delivered_and_remembered() {
    let judgement = judged(Level::Warn, 0, &status(204), Endpoint::default());
    assert_eq!(judgement.verdict, Verdict::Delivered);
    assert_eq!(judgement.endpoint.last_success, Some(NOW));
}

#[test]
fn each_level_has_its_number_of_retries_from_an_endpoint_that_works() {
    for (level, limit) in
        [(Level::Debug, 0), (Level::Info, 1), (Level::Warn, 2), (Level::Error, 3), (Level::Fatal, 10)]
    {
        for number in 0..12 {
            let verdict = judged(level, number, &status(503), working()).verdict;
            assert_eq!(matches!(verdict, Verdict::Retry(_)), number < limit, "{level:?} {number}");
            assert_eq!(matches!(verdict, Verdict::Dead(_)), number >= limit, "{level:?} {number}");
        }
    }
}

#[test]
fn an_exhausted_delivery_waits_where_the_endpoint_has_shown_no_life() {
    let before = Endpoint { last_success: Some(NOW - 1), ..Endpoint::default() };
    for (number, wait) in [(1, 2_000), (3, 8_000), (9, 30_000), (99, 30_000)] {
        let judgement = judged(Level::Info, number, &status(503), before);
        let Verdict::Retry(at) = judgement.verdict else { panic!("{:?}", judgement.verdict) };
        assert!((at - NOW).abs_diff(wait) <= wait / 10, "{number}: {}", at - NOW);
        // One message alone does not open the breaker.
        assert_eq!(
            (judgement.endpoint.consecutive_failures, judgement.endpoint.breaker),
            (0, Breaker::Closed)
        );
    }
    // A first attempt always says something.
    assert_eq!(judged(Level::Trace, 0, &status(503), before).endpoint.consecutive_failures, 1);
}

#[test]
fn failures_in_a_row_open_and_one_success_closes() {
    let mut endpoint = working();
    for n in 1..=IN_A_ROW {
        let judgement = judged(Level::Fatal, 0, &status(500), endpoint);
        assert_eq!(judgement.verdict == Verdict::Park, n == IN_A_ROW);
        endpoint = judgement.endpoint;
    }
    let (wait, number) = opened(&judged(Level::Fatal, 0, &status(500), endpoint));
    assert!((900..=1_100).contains(&wait) && number == 0, "{wait}: what was under way changes nothing");
    let endpoint = judged(Level::Fatal, 0, &status(200), half_open(4)).endpoint;
    assert_eq!((endpoint.breaker, endpoint.consecutive_failures), (Breaker::Closed, 0));
    assert!(endpoint.pace.is_draining);
}

#[test]
fn probes_follow_the_schedule_up_to_its_cap() {
    for (number, wait) in [(0, 2_000), (1, 4_000), (2, 8_000), (3, 16_000), (4, 30_000), (50, 30_000)] {
        let judgement = judged(Level::Info, 0, &status(503), half_open(number));
        let (waited, next) = opened(&judgement);
        assert!(waited.abs_diff(wait) <= wait / 10 && next == number + 1, "{number}: {waited}");
        assert_eq!(judgement.verdict, Verdict::Park);
    }
    let (waited, _) = opened(&judged(Level::Info, 0, &Outcome::Failed(Transport::Tls), half_open(50)));
    assert!(waited.abs_diff(300_000) <= 30_000, "a certificate does not mend itself: {waited}");
}

#[test]
fn what_began_before_the_probe_is_not_the_probe() {
    let early = Attempt { began: NOW - 1, ..attempt(Level::Info, 0, 0) };
    let judgement = judged_with(&early, &status(503), Hint::default(), half_open(3));
    assert_eq!(judgement.endpoint.breaker, half_open(3).breaker);
}

#[test]
fn a_paid_attempt_that_arrives_gives_back_what_it_cost_and_more() {
    let spent = Budget { spent_milli: CAP_MILLI, credited: NOW };
    let poor = |endpoint| Endpoint { budget: spent, ..endpoint };
    for (sent, endpoint, left) in
        [(0, Endpoint::default(), 9_800), (1, Endpoint::default(), 8_800), (0, half_open(0), 8_800)]
    {
        let judgement =
            judged_with(&attempt(Level::Info, 0, sent), &status(200), Hint::default(), poor(endpoint));
        assert_eq!(judgement.endpoint.budget.spent_milli, left);
    }
}

#[test]
fn the_reason_of_death_says_why() {
    let reason = |level, code| match judged(level, 9, &status(code), working()).verdict {
        Verdict::Dead(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(Level::Info, 503), "gave up after 1 retry, the limit at level info");
    assert_eq!(reason(Level::Info, 400), "the receiver will not take this request");
}

#[test]
fn what_will_not_pass_is_dead_at_once_but_what_is_not_found_may_appear() {
    for outcome in [status(400), status(301), status(501), Outcome::Failed(Transport::Blocked)] {
        assert!(
            matches!(judged(Level::Fatal, 0, &outcome, working()).verdict, Verdict::Dead(_)),
            "{outcome:?}"
        );
    }
    for (level, retries) in [(Level::Fatal, 2), (Level::Info, 1), (Level::Debug, 0)] {
        for number in 0..4 {
            let verdict = judged(level, number, &status(404), working()).verdict;
            assert_eq!(matches!(verdict, Verdict::Retry(_)), number < retries, "{level:?} {number}");
        }
    }
}

#[test]
fn whoever_refuses_a_message_works() {
    assert_eq!(judged(Level::Info, 0, &status(400), half_open(3)).endpoint.breaker, Breaker::Closed);
    let blocked = judged(Level::Info, 0, &Outcome::Failed(Transport::Blocked), half_open(3));
    assert_eq!(opened(&blocked).1, 3);
}

#[test]
fn a_throttled_delivery_waits_with_its_endpoint_and_spends_nothing_of_its_limit() {
    let judgement = judged_with(&attempt(Level::Debug, 0, 0), &status(429), hint(120_000), half_open(2));
    assert_eq!((judgement.verdict, judgement.class), (Verdict::Park, Class::Throttled));
    assert_eq!(judgement.endpoint.breaker, Breaker::Closed);
    let until = judgement.endpoint.not_before - NOW;
    assert!((120_000..=125_000).contains(&until), "{until}");
    assert_eq!(judgement.endpoint.consecutive_failures, 0);
    // Without a word of when, the schedule says it.
    let mut endpoint = Endpoint::default();
    for wait in [1_000_u64, 2_000, 4_000] {
        endpoint = judged(Level::Info, 0, &status(429), endpoint).endpoint;
        assert!((endpoint.not_before - NOW).abs_diff(wait) <= wait / 10, "{wait}");
    }
}

#[test]
fn a_word_on_a_failure_or_a_success_moves_the_endpoint() {
    let first = attempt(Level::Error, 0, 0);
    let failed = judged_with(&first, &status(503), hint(60_000), working());
    assert!(matches!(failed.verdict, Verdict::Retry(at) if at >= NOW + 60_000));
    assert!(failed.endpoint.not_before >= NOW + 60_000);
    let taken = judged_with(&first, &status(200), hint(2_000), working());
    assert_eq!(taken.verdict, Verdict::Delivered);
    assert!(taken.endpoint.not_before >= NOW + 2_000);
    let unreadable = Hint { is_unreadable: true, ..Hint::default() };
    assert_eq!(judged_with(&first, &status(503), unreadable, working()).endpoint.unreadable_hints, 1);
}

#[test]
fn a_short_word_does_not_shorten_the_schedule() {
    let retry = judged_with(&attempt(Level::Error, 2, 2), &status(503), hint(0), working());
    assert!(matches!(retry.verdict, Verdict::Retry(at) if at >= NOW + 3_600));
}

#[test]
fn refused_credentials_hold_the_endpoint_for_longer_each_time() {
    let held = |endpoint| match judged(Level::Info, 0, &status(401), endpoint).endpoint.breaker {
        Breaker::Held(Probe { at, number, .. }) => (at - NOW, number),
        other => panic!("{other:?}"),
    };
    let again = |number| {
        let probe = Probe { at: NOW, number, is_held: true };
        Endpoint { breaker: Breaker::HalfOpen(probe), ..Endpoint::default() }
    };
    assert_eq!(held(working()), (300_000, 0));
    assert_eq!(held(half_open(40)), (300_000, 0), "an outage before it is another matter");
    assert_eq!((held(again(0)), held(again(40))), ((600_000, 1), (3_600_000, 41)));
    assert_eq!(judged(Level::Info, 0, &status(401), working()).verdict, Verdict::Park);
    let again =
        Endpoint { breaker: Breaker::Held(Probe { at: NOW + 5, number: 0, is_held: true }), ..working() };
    assert_eq!(held(again), (5, 0), "those that were under way say nothing new");
}

#[test]
fn what_is_gone_stays_gone() {
    let gone = judged(Level::Info, 0, &status(410), working());
    assert_eq!((gone.verdict, gone.endpoint.breaker), (Verdict::Park, Breaker::Gone));
    assert_eq!(judged(Level::Info, 0, &status(200), gone.endpoint).endpoint.breaker, Breaker::Gone);
}

#[test]
fn who_asks_for_less_lets_go_of_nothing_that_somebody_has_to_see_to() {
    let held = Breaker::Held(Probe { at: NOW + 5, number: 0, is_held: true });
    for breaker in [held, Breaker::Gone] {
        let endpoint = Endpoint { breaker, ..working() };
        assert_eq!(judged(Level::Info, 0, &status(429), endpoint).endpoint.breaker, breaker);
    }
}

#[test]
fn where_nothing_is_parked_what_is_held_or_gone_keeps_nobody() {
    let policy = Policy { park: false, ..Policy::default() };
    let probe = Probe { at: NOW + 5, number: 0, is_held: true };
    for breaker in [Breaker::Held(probe), Breaker::Gone] {
        let endpoint = Endpoint { breaker, ..working() };
        let admission = endpoint.admit(&attempt(Level::Info, 0, 0), &policy, 10_000, NOW);
        assert!(matches!(admission, Admission::Send(_)), "{breaker:?}: {admission:?}");
    }
}

#[test]
fn what_may_have_arrived_is_sent_again_as_the_settings_and_the_service_allow() {
    let outcome = Outcome::Failed(Transport::TimeoutAfterSend);
    for (retry_ambiguous, knows_repeats, is_retried) in
        [(true, false, true), (false, true, true), (false, false, false)]
    {
        let policy = Policy { retry_ambiguous, ..Policy::default() };
        let understood = Understood {
            outcome: &outcome,
            class: Class::Ambiguous,
            hint: Hint::default(),
            knows_repeats,
            refuses_markup: false,
        };
        let judgement = judge(&policy, &attempt(Level::Error, 0, 0), &understood, working(), NOW, 7);
        assert_eq!(matches!(judgement.verdict, Verdict::Retry(_)), is_retried);
        assert_eq!(judgement.endpoint.consecutive_failures, 1);
    }
}

#[test]
fn where_nothing_is_parked_the_limits_end_everything() {
    let policy = Policy { park: false, ..Policy::default() };
    let verdict = |number, code, endpoint| {
        let outcome = status(code);
        let understood = Understood {
            outcome: &outcome,
            class: class(&outcome),
            hint: Hint::default(),
            knows_repeats: false,
            refuses_markup: false,
        };
        judge(&policy, &attempt(Level::Info, number, number), &understood, endpoint, NOW, 7).verdict
    };
    assert!(matches!(verdict(0, 503, half_open(0)), Verdict::Retry(_)));
    for (number, code) in [(1, 503), (0, 401), (0, 410)] {
        assert!(matches!(verdict(number, code, Endpoint::default()), Verdict::Dead(_)), "{code}");
    }
    assert!(matches!(verdict(0, 429, working()), Verdict::Retry(_)));
    assert!(matches!(verdict(1, 429, working()), Verdict::Dead(_)));
}

#[test]
fn one_message_that_is_refused_for_itself_holds_nobody_up() {
    let judgement = judged(Level::Info, 1, &status(403), working());
    assert!(matches!(judgement.verdict, Verdict::Dead(_)), "{:?}", judgement.verdict);
    assert_eq!(judgement.endpoint.breaker, Breaker::Closed);
}

#[test]
fn who_says_at_once_and_then_the_same_again_is_not_believed() {
    let mut endpoint = Endpoint::default();
    for wait in [1_000_u64, 2_000, 4_000] {
        endpoint = judged_with(&attempt(Level::Info, 0, 0), &status(429), hint(0), endpoint).endpoint;
        assert!((endpoint.not_before - NOW).abs_diff(wait) <= wait / 10, "{wait}");
    }
}

#[test]
fn what_is_broken_in_the_file_keeps_nothing_waiting_for_ever() {
    let probe = Probe { at: u64::MAX, number: u32::MAX, is_held: true };
    for breaker in [Breaker::Open(probe), Breaker::HalfOpen(probe), Breaker::Held(probe)] {
        let pace = crate::pace::Pace { interval_us: u64::MAX, next_us: u64::MAX, ..Default::default() };
        let endpoint = Endpoint { breaker, pace, ..Endpoint::default() };
        let Admission::Wait(until) =
            endpoint.admit(&attempt(Level::Info, 0, 0), &Policy::default(), 10_000, NOW)
        else {
            panic!("sent")
        };
        assert!(until <= NOW + 3_600_000, "{breaker:?}: {}", until - NOW);
    }
}

// === for any input ===

fn endpoints() -> impl Strategy<Value = Endpoint> {
    let probe = (any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(at, number, is_held)| Probe {
        at,
        number,
        is_held,
    });
    let breaker = (0_u8..5, probe).prop_map(|(which, probe)| match which {
        0 => Breaker::Closed,
        1 => Breaker::Open(probe),
        2 => Breaker::HalfOpen(probe),
        3 => Breaker::Held(probe),
        _ => Breaker::Gone,
    });
    let instants = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<u64>>());
    (breaker, instants, any::<u32>(), any::<u32>(), any::<bool>()).prop_map(
        |(breaker, (updated, not_before, credited, since, last_success), spent_milli, count, is_draining)| {
            let pace = crate::pace::Pace {
                is_draining,
                next_us: not_before,
                interval_us: credited,
                since,
                successes: count,
                throttled: updated,
                in_a_row: count,
            };
            Endpoint {
                updated,
                not_before,
                budget: Budget { spent_milli, credited },
                breaker,
                consecutive_failures: count,
                last_success,
                pace,
                recent: Recent { since, successes: count, failures: spent_milli, ..Recent::default() },
                ..Endpoint::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn a_retry_is_never_now_and_no_wait_is_in_the_past(
        endpoint in endpoints(), number: u32, sent: u32, began: u64, first_tried: u64, code: u16, entropy: u64,
        now in 0..u64::MAX, wait: Option<u64>, level in prop::sample::select(Level::ALL.as_slice()),
    ) {
        let outcome = status(code);
        let hint = Hint { wait, ..Hint::default() };
        let attempt = Attempt { number, sent, queued_at: first_tried, first_tried, began, level, is_plain: false };
        let understood = Understood { outcome: &outcome, class: class(&outcome), hint, knows_repeats: false, refuses_markup: false };
        let judgement = judge(&Policy::default(), &attempt, &understood, endpoint, now, entropy);
        if let Verdict::Retry(at) = judgement.verdict {
            prop_assert!(at > now);
        }
        prop_assert!(judgement.endpoint.budget.spent_milli <= CAP_MILLI);
        match judgement.endpoint.admit(&attempt, &Policy::default(), 10_000, now) {
            Admission::Wait(at) | Admission::Later(at) => prop_assert!(at > now),
            Admission::Send(endpoint) => {
                prop_assert!(endpoint.budget.spent_milli <= CAP_MILLI);
                // What is parked does not turn in circles.
                prop_assert!(judgement.verdict != Verdict::Park || matches!(judgement.endpoint.breaker, Breaker::Open(_) | Breaker::Held(_) | Breaker::HalfOpen(_)));
            }
        }
    }
}

/// One endpoint under random arrivals and outcomes, by the rules of a host: what is sent is bounded by what
/// came, whatever it answers.
fn attempts(script: &[(u8, u64)], seconds: u64) -> (u64, u64, u64) {
    use std::collections::VecDeque;
    let (mut endpoint, mut now) = (Endpoint::default(), NOW);
    let (mut fresh, mut retries): (VecDeque<Attempt>, Vec<(u64, Attempt)>) = (VecDeque::new(), Vec::new());
    let (mut arrived, mut sent, mut paid_back) = (0, 0, 0);
    for (n, (outcome, gap)) in script.iter().cycle().take(2_000).enumerate() {
        now += gap * seconds;
        if n % 3 == 0 {
            arrived += 1;
            fresh.push_back(Attempt { queued_at: now, ..attempt(Level::Fatal, 0, 0) });
        }
        let due = retries.iter().position(|(due, _)| *due <= now);
        let Some(mut next) = fresh.front().copied().or_else(|| due.map(|n| retries[n].1)) else { continue };
        next.began = now;
        let Admission::Send(admitted) = endpoint.admit(&next, &Policy::default(), 10_000, now) else {
            continue;
        };
        if next.is_first() {
            fresh.pop_front();
        } else {
            retries.remove(due.unwrap());
        }
        sent += 1;
        let outcome = match outcome % 4 {
            0 => status(200),
            1 => status(429),
            _ => status(503),
        };
        let understood = Understood {
            outcome: &outcome,
            class: class(&outcome),
            hint: Hint::default(),
            knows_repeats: false,
            refuses_markup: false,
        };
        let judgement = judge(&Policy::default(), &next, &understood, admitted, now, n as u64);
        endpoint = judgement.endpoint;
        let was_paid = !next.is_first() || admitted.breaker != Breaker::Closed;
        paid_back += u64::from(judgement.class == Class::Delivered && was_paid);
        let again = Attempt { sent: next.sent + 1, ..next };
        match judgement.verdict {
            Verdict::Retry(at) => retries.push((at, Attempt { number: next.number + 1, ..again })),
            Verdict::Park => retries.push((now, again)),
            Verdict::Delivered | Verdict::Dead(_) => {}
        }
    }
    (arrived * 1_200 + 10_000 + (now - NOW) / 30, sent * 1_000, paid_back * 1_000)
}

proptest! {
    #[test]
    fn attempts_are_bounded_by_arrivals_the_cap_and_the_trickle(
        script in prop::collection::vec((any::<u8>(), 0_u64..2_000), 1..60), seconds in 1_u64..30,
    ) {
        let (bound, sent, paid_back) = attempts(&script, seconds);
        prop_assert!(sent <= bound + paid_back, "{sent} of {bound} and {paid_back}");
    }
}
