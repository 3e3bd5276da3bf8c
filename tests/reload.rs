//! Another configuration takes over: what is lost, repeated and kept by it.

use nuncio::Steer;
use std::time::Duration;

use nuncio::store::{Query, State};

use crate::queue::{HOUR, keys, ntfy, one_target, titled, titles};
use crate::scripted::{Receiver, hang, reply};
use crate::stage::{Stage, config};

#[tokio::test]
async fn a_new_configuration_loses_and_repeats_nothing() {
    let (old, new, other) =
        (Receiver::start([hang(), reply(503)]), Receiver::start([reply(200)]), Receiver::start([reply(200)]));
    let yaml = |receiver: &Receiver| {
        let more = ", concurrency: 1";
        format!("targets:\n{}{}", ntfy("phone", receiver, more), ntfy("desk", &other, ""))
    };
    let stage = Stage::start(&yaml(&old));
    let ids = [stage.hand_in(titled("under way")).await.id, stage.hand_in(titled("waiting")).await.id];
    old.next().await;
    stage.nuncio.reload(config(&yaml(&new))).await.unwrap();
    // What is under way ends as it began, and its retry goes where the new one says.
    stage.drive_past(Duration::from_secs(10)).await;
    for id in &ids {
        let states: Vec<State> = stage.deliveries(id).await.iter().map(|d| d.progress.state).collect();
        assert_eq!(states, [State::Delivered, State::Delivered]);
    }
    assert_eq!(
        (old.seen().requests.len(), new.seen().requests.len(), other.seen().requests.len()),
        (1, 2, 2)
    );
}

#[tokio::test]
async fn an_endpoint_whose_settings_change_is_a_new_one_and_a_shorter_memory_works_at_once() {
    let throttling = Receiver::start([reply(429).header("retry-after", "3600")]);
    let healthy = Receiver::start([reply(200)]);
    let stage = Stage::start(&one_target(&throttling, ""));
    let id = stage.hand_in(titled("x")).await.id;
    stage.nuncio.idle().await;
    stage.nuncio.reload(config(&one_target(&healthy, ""))).await.unwrap();
    // The message itself waits as it was told; the endpoint is free.
    stage.hand_in(titled("y")).await;
    stage.nuncio.idle().await;
    assert_eq!(titles(&healthy), ["y"]);
    let keys = keys(&stage, Query::open()).await;
    assert_eq!(stage.nuncio.steer(Steer::Retry, keys).await.unwrap().changed, 1);
    stage.nuncio.idle().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
    stage.clock.advance(HOUR);
    let yaml = format!("queue: {{keep: 1s}}\n{}", one_target(&healthy, ""));
    stage.nuncio.reload(config(&yaml)).await.unwrap();
    stage.nuncio.idle().await;
    assert!(stage.nuncio.find(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_waits_for_a_target_that_is_gone_waits_for_it_to_come_back() {
    let (failing, healthy) = (Receiver::start([reply(503)]), Receiver::start([reply(200)]));
    let with = |receiver: &Receiver, name: &str| format!("targets:\n{}", ntfy(name, receiver, ""));
    let stage = Stage::start(&with(&failing, "phone"));
    let id = stage.hand_in(titled("x")).await.id;
    stage.nuncio.idle().await;
    stage.nuncio.reload(config(&with(&healthy, "desk"))).await.unwrap();
    stage.clock.advance(HOUR);
    stage.nuncio.idle().await;
    assert_eq!(stage.end(&id).await, (State::Retrying, 1));
    stage.nuncio.reload(config(&with(&healthy, "phone"))).await.unwrap();
    stage.nuncio.idle().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
}

#[tokio::test]
async fn targets_in_another_order_get_what_is_theirs() {
    let [phone, desk, new] =
        [Receiver::start([hang(), reply(200)]), Receiver::start([reply(200)]), Receiver::start([reply(200)])];
    let (one, other) = (ntfy("phone", &phone, ", concurrency: 1"), ntfy("desk", &desk, ""));
    let stage = Stage::start(&format!("targets:\n{one}{other}"));
    let under_way = stage.hand_in(titled("under way").to("phone")).await.id;
    let waiting = stage.hand_in(titled("waiting").to("phone")).await.id;
    phone.next().await;
    let reordered = format!("targets:\n{}{other}{one}", ntfy("new", &new, ""));
    stage.nuncio.reload(config(&reordered)).await.unwrap();
    let last = stage.hand_in(titled("last")).await;
    assert_eq!(last.targets, ["new".into(), "desk".into(), "phone".into()]);
    stage.drive_past(Duration::from_secs(10)).await;
    assert_eq!(stage.end(&under_way).await, (State::Delivered, 2));
    assert_eq!(stage.end(&waiting).await, (State::Delivered, 1));
    let states: Vec<State> = stage.deliveries(&last.id).await.iter().map(|d| d.progress.state).collect();
    assert_eq!(states, [State::Delivered; 3]);
    assert_eq!((titles(&new), titles(&desk)), (vec!["last".to_owned()], vec!["last".to_owned()]));
    assert_eq!(phone.seen().requests.len(), 4);
}
