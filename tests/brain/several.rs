//! What is asked about several deliveries at once is as if each had been asked about alone.

use std::time::Duration;

use bytes::Bytes;
use nuncio::Builder;
use nuncio::contract::{Level, Notification, Outcome, Reply, Transport};
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
    (each(&stage, &ids).await, waits)
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
    let (progress, waits) = ends("tells-how-many", ["x"; MANY]).await;
    assert_eq!((states(&progress), waits), (vec![(State::Delivered, 1); MANY], vec![]));
    // The first is asked about alone, and then as many as may be under way.
    let details: Vec<&str> = progress.iter().map(|progress| progress.detail.as_str()).collect();
    assert!(details.contains(&"4"), "{details:?}");
    let (progress, waits) = ends("ok", ["x", "lost", "x", "x", "lost", "x", "x", "x", "x"]).await;
    let attempts = [1, 2, 1, 1, 2, 1, 1, 1, 1];
    assert_eq!(progress.iter().map(|progress| progress.attempts).collect::<Vec<_>>(), attempts);
    let is_dead = |n: usize| states(&progress)[n].0 == State::Dead;
    assert!((0..MANY).all(|n| is_dead(n) == (attempts[n] == 2)), "{progress:?}");
    assert_eq!(waits, [Duration::from_secs(1)]);
}

#[tokio::test]
async fn a_guest_that_breaks_off_at_several_is_asked_about_each() {
    for mode in ["judge-traps-at-several", "judges-none-of-several", "admit-traps-at-several"] {
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
