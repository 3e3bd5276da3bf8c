//! What is asked about several deliveries at once is as if each had been asked about alone.

use std::time::Duration;

use bytes::Bytes;
use nuncio::Builder;
use nuncio::contract::{Breaker, Level, Notification, Outcome, Reply, Transport};
use nuncio::egress::route::Route;
use nuncio::egress::{Egress, Exchange, Exchanging};
use nuncio::store::{Progress, State};

use super::{TRIES, rogue, start_as, target};
use crate::scripted::{Receiver, reply};
use crate::stage::Stage;

/// How many notifications are handed in together: more than are under way at once.
const MANY: usize = 9;

/// Answers every request at once with what was sent, so that all that begins together lands together.
struct Echo;

impl Egress for Echo {
    fn send(&self, request: http::Request<Bytes>, _: &Route, _: Duration) -> Exchanging<'_> {
        let reply = Reply { status: 200, head: String::new(), body: request.into_body().into() };
        let outcome = match reply.body.as_slice() {
            b"lost" => Outcome::Failed(Transport::Reset),
            _ => Outcome::Reply(reply),
        };
        Box::pin(std::future::ready(Exchange { outcome, detail: None }))
    }
}

fn echoing(builder: Builder) -> Builder {
    builder.egress(Echo)
}

/// Hands in many to a target that goes wrong in some way, and says what became of each and how often time moved.
async fn ends(mode: &str, titles: [&str; MANY]) -> (Vec<Progress>, Vec<Duration>) {
    let (_, progress, waits) = stage_of(mode, titles).await;
    (progress, waits)
}

async fn stage_of(mode: &str, titles: [&str; MANY]) -> (Stage, Vec<Progress>, Vec<Duration>) {
    let receiver = Receiver::start([reply(200)]);
    let stage = start_as(&rogue(), &[target(mode, &receiver)], echoing);
    let (mut tickets, mut ids) = (Vec::new(), Vec::new());
    for title in titles {
        tickets.push(stage.nuncio.notify(Notification::new(Level::Info, title)).expect("there is room"));
    }
    for ticket in tickets {
        ids.push(ticket.accepted().await.expect("it is accepted").id);
    }
    let waits = stage.drive().await;
    let progress = each(&stage, &ids).await;
    (stage, progress, waits)
}

async fn each(stage: &Stage, ids: &[String]) -> Vec<Progress> {
    let mut progress = Vec::new();
    for id in ids {
        progress.extend(stage.deliveries(id).await.into_iter().map(|delivery| delivery.progress));
    }
    assert_eq!(progress.len(), ids.len());
    progress
}

fn states(progress: &[Progress]) -> Vec<(State, u32)> {
    progress.iter().map(|progress| (progress.state, progress.attempts)).collect()
}

#[tokio::test]
async fn what_lands_together_is_judged_together_and_each_has_its_own() {
    let (stage, progress, waits) = stage_of("tells-how-many", ["x"; MANY]).await;
    assert_eq!((states(&progress), waits), (vec![(State::Delivered, 1); MANY], vec![]));
    // The first is asked about alone, and then twice as many each time, of as many as may be under way.
    let details: Vec<&str> = progress.iter().map(|progress| progress.detail.as_str()).collect();
    assert!(details.contains(&"4"), "{details:?}");
    assert_eq!(stage.nuncio.targets().await.unwrap()[0].health.endpoint.unreadable_hints, 4);
    let (progress, waits) = ends("ok", ["x", "lost", "x", "x", "lost", "x", "x", "x", "x"]).await;
    let attempts = [1, 2, 1, 1, 2, 1, 1, 1, 1];
    assert_eq!(progress.iter().map(|progress| progress.attempts).collect::<Vec<_>>(), attempts);
    let is_dead = |n: usize| states(&progress)[n].0 == State::Dead;
    assert!((0..MANY).all(|n| is_dead(n) == (attempts[n] == 2)), "{progress:?}");
    assert_eq!(waits, [Duration::from_secs(1)]);
}

#[tokio::test]
async fn a_guest_that_breaks_off_at_several_is_asked_about_each() {
    for mode in [
        "route-traps-at-several",
        "route-loops-at-several",
        "routes-none-of-several",
        "admit-traps-at-several",
        "judge-traps-at-several",
        "judges-none-of-several",
    ] {
        let (progress, waits) = ends(mode, ["x"; MANY]).await;
        assert_eq!((states(&progress), waits), (vec![(State::Delivered, 1); MANY], vec![]), "{mode}");
    }
}

#[tokio::test]
async fn a_message_that_the_guest_breaks_off_at_takes_no_other_with_it() {
    let (progress, waits) =
        ends("judge-traps-at-one", ["x", "x", "x", "poison", "x", "x", "x", "x", "x"]).await;
    let delivered = progress.iter().filter(|progress| progress.state == State::Delivered);
    assert_eq!(delivered.count(), MANY - 1);
    assert_eq!(progress[3].state, State::Dead);
    assert!(progress[3].detail.starts_with("guest-trap: "), "{}", progress[3].detail);
    assert_eq!(waits.len(), TRIES - 1);
}

#[tokio::test]
async fn a_guest_that_breaks_off_at_many_notifications_is_asked_about_half_as_many_from_then_on() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start_as(&rogue(), &[target("routes-up-to-four", &receiver)], echoing);
    let mut together = Vec::new();
    for _ in 0..4 {
        let hand_in = |_| stage.nuncio.notify(Notification::new(Level::Info, "x")).unwrap();
        let tickets: Vec<_> = (0..MANY).map(hand_in).collect();
        let mut alone = 0;
        for ticket in tickets {
            alone += ticket.accepted().await.unwrap().targets.len();
        }
        together.push(MANY - alone);
    }
    // Of 16, of 8 and of one, of which it breaks off at 9 and at 8; then of 4, 4 and one.
    assert_eq!(together, [0, 0, 8, 8]);
}

#[tokio::test]
async fn a_notification_that_the_guest_cannot_route_is_refused_and_no_other_with_it() {
    for (mode, poison, error) in [
        ("route-traps-at-one", Some(3), "the guest broke off: "),
        ("routes-none", None, "it said of 0 notifications where they go, and was asked of 1"),
        ("routes-twice", None, "it said of 2 notifications where they go, and was asked of 1"),
    ] {
        let receiver = Receiver::start([reply(200)]);
        let stage = start_as(&rogue(), &[target(mode, &receiver)], echoing);
        let title = |n| if Some(n) == poison { "poison" } else { "x" };
        let hand_in = |n| stage.nuncio.notify(Notification::new(Level::Info, title(n))).unwrap();
        let tickets: Vec<_> = (0..MANY).map(hand_in).collect();
        for (ticket, n) in tickets.into_iter().zip(0..) {
            let accepted = ticket.accepted().await;
            if poison.is_none_or(|poison| poison == n) {
                let said = accepted.unwrap_err().to_string();
                assert!(said.contains(error), "{mode}: {said}");
            } else {
                assert_eq!(accepted.unwrap().targets.len(), 1, "{mode}");
            }
        }
        stage.drive().await;
        let stats = stage.nuncio.stats().await.unwrap();
        let accepted = if poison.is_some() { MANY as u64 - 1 } else { 0 };
        assert_eq!((stats.accepted, stats.delivered), (accepted, accepted), "{mode}");
    }
}

#[tokio::test]
async fn as_many_judgements_as_outcomes_or_none_counts() {
    for mode in ["judges-none", "judges-twice"] {
        let (progress, _) = ends(mode, ["x"; MANY]).await;
        let is_invalid = |progress: &Progress| progress.detail.starts_with("guest-invalid: it gave ");
        assert!(
            progress.iter().all(|progress| progress.state == State::Dead && is_invalid(progress)),
            "{mode}: {progress:?}"
        );
    }
}

#[tokio::test]
async fn an_admission_that_makes_no_sense_holds_nothing_back_for_ever() {
    let later = Duration::from_millis(1);
    for (mode, step) in [
        ("waits-for-no-reason", Some(later)),
        ("holds-what-is-no-retry", Some(later)),
        ("admits-more-than-there-are", None),
    ] {
        let (progress, waits) = ends(mode, ["x"; MANY]).await;
        assert_eq!(states(&progress), vec![(State::Delivered, 1); MANY], "{mode}");
        assert!(waits.iter().all(|wait| Some(*wait) == step) && waits.len() <= 5, "{mode}: {waits:?}");
    }
}

#[tokio::test]
async fn what_is_not_admitted_of_several_waits_and_the_others_go() {
    let (stage, progress, waits) = stage_of("admits-half", ["x"; MANY]).await;
    // The guest is asked again after the next judgement, and holds less than a second each time.
    assert_eq!((states(&progress), waits), (vec![(State::Delivered, 1); MANY], vec![]));
    let admitted = stage.nuncio.targets().await.unwrap()[0].health.endpoint.unreadable_hints;
    assert_eq!(usize::try_from(admitted), Ok(MANY), "nothing went that was not admitted");
}

#[tokio::test]
async fn a_guest_that_is_too_slow_for_several_is_asked_about_fewer_from_then_on() {
    let (progress, waits) = ends("slow-at-several", ["x"; MANY]).await;
    assert_eq!((states(&progress), waits), (vec![(State::Delivered, 1); MANY], vec![]));
}

#[tokio::test]
async fn a_target_that_the_component_lists_twice_is_one() {
    let receiver = Receiver::start([reply(200)]);
    let stage = start_as(&rogue(), &[target("is-there-twice", &receiver)], |builder| builder);
    let receipt = stage.hand_in(Notification::new(Level::Info, "x")).await;
    assert!(stage.drive().await.is_empty());
    assert_eq!((receipt.targets.len(), stage.end(&receipt.id).await), (1, (State::Delivered, 1)));
    assert_eq!(receiver.seen().requests.len(), 1);
}

/// Answers every request at once with the status that was sent.
struct Statuses;

impl Egress for Statuses {
    fn send(&self, request: http::Request<Bytes>, _: &Route, _: Duration) -> Exchanging<'_> {
        let status = std::str::from_utf8(request.body()).unwrap().parse().unwrap();
        let outcome = Outcome::Reply(Reply { status, head: String::new(), body: vec![] });
        Box::pin(std::future::ready(Exchange { outcome, detail: None }))
    }
}

#[tokio::test]
async fn an_endpoint_is_spoken_of_in_the_words_that_made_it_what_it_is() {
    let target = "{name: a, provider: webhook, url: \"http://a/\", payload: $title, mime_type: text/plain}";
    let stage = Stage::start_with(&format!("targets: [{target}]"), |builder| builder.egress(Statuses));
    stage.hand_in(Notification::new(Level::Info, "200")).await;
    stage.drive().await;
    let tickets = ["401", "503"].map(|status| stage.nuncio.notify(Notification::new(Level::Info, status)));
    for ticket in tickets {
        ticket.expect("there is room").accepted().await.expect("it is accepted");
    }
    stage.nuncio.idle().await;
    let health = stage.nuncio.targets().await.unwrap().remove(0).health;
    assert!(matches!(health.endpoint.breaker, Breaker::Held(_)), "{health:?}");
    assert_eq!(health.last_error.map(|(_, detail)| detail).as_deref(), Some("status 401"));
}

/// Panics at what it is to send, once.
struct Panicking(std::sync::atomic::AtomicBool);

impl Egress for Panicking {
    fn send(&self, request: http::Request<Bytes>, route: &Route, timeout: Duration) -> Exchanging<'_> {
        assert!(self.0.swap(true, std::sync::atomic::Ordering::Relaxed), "as it should");
        Echo.send(request, route, timeout)
    }
}

#[tokio::test]
async fn an_attempt_that_panics_is_made_again() {
    let receiver = Receiver::start([reply(200)]);
    let egress = Panicking(false.into());
    let stage = start_as(&rogue(), &[target("ok", &receiver)], |builder| builder.egress(egress));
    let id = stage.hand_in(Notification::new(Level::Info, "x")).await.id;
    assert_eq!(stage.drive().await, [Duration::from_secs(1)]);
    assert_eq!(stage.end(&id).await, (State::Delivered, 1));
}
