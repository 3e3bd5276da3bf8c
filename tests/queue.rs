//! What waits: restarts, repeats, bounds, age, steering, clocks that jump.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use nuncio::clock::Clock;
use nuncio::contract::{Level, Notification};
use nuncio::store::{
    DeliveryKey, Done, Entry, Health, Limits, MemoryStore, Operation, Page, Query, Reader, Record,
    SqliteStore, State, Store, StoreError, Usage,
};
use nuncio::{Builder, NotifyError, Steer, Steered};

use crate::scripted::{Received, Receiver, hang, reply};
use crate::stage::{BEGINNING, Stage};

pub const HOUR: Duration = Duration::from_secs(60 * 60);

pub fn ntfy(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("  - {{name: {name}, provider: ntfy, url: \"{}\", topic: t{more}}}\n", receiver.url("/"))
}

pub fn one_target(receiver: &Receiver, more: &str) -> String {
    format!("targets:\n{}", ntfy("phone", receiver, more))
}

pub fn titled(title: impl Into<String>) -> Notification {
    Notification::new(Level::Warn, title)
}

/// The titles that a receiver was sent, in the order they came.
pub fn titles(receiver: &Receiver) -> Vec<String> {
    let title = |request: &Received| request.json()["message"].as_str().expect("a message").to_owned();
    receiver.seen().requests.iter().map(title).collect()
}

pub fn text(n: usize) -> Notification {
    Notification { title: String::new(), ..titled("") }.text(format!("n {n}"))
}

pub async fn keys(stage: &Stage, query: Query) -> Vec<DeliveryKey> {
    stage.nuncio.list(query).await.expect("it can be read").entries.iter().map(|entry| entry.key).collect()
}

// === restarts ===

#[tokio::test]
async fn what_was_accepted_is_delivered_after_a_restart_in_the_order_in_which_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let (hanging, healthy) = (Receiver::start([hang()]), Receiver::start([reply(200)]));
    let store = || SqliteStore::open(&path).unwrap();
    let stage =
        Stage::start_with(&one_target(&hanging, ", concurrency: 1"), |builder| builder.store(store()));
    for n in 0..2_500 {
        stage.hand_in(text(n)).await;
    }
    // The first one is in flight and will be sent again.
    hanging.next().await;
    stage.nuncio.shutdown(Duration::ZERO).await.expect("it ran");

    let another = |builder: Builder| builder.store(store()).seed(8);
    let stage = Stage::start_with(&one_target(&healthy, ", concurrency: 1"), another);
    // What is accepted before all is read comes after it all the same.
    stage.hand_in(text(2_500)).await;
    stage.drive().await;
    let expected: Vec<String> = (0..=2_500).map(|n| format!("n {n}")).collect();
    assert_eq!(titles(&healthy), expected);
}

#[tokio::test]
async fn a_retry_keeps_its_place_in_time_and_its_count_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let receiver = Receiver::start([reply(503)]);
    let retry = "retry: {interval: 10s, jitter: 0, park: false}";
    let yaml = format!("{retry}\n{}", one_target(&receiver, ""));
    let start = || Stage::start_with(&yaml, |builder| builder.store(SqliteStore::open(&path).unwrap()));
    let stage = start();
    let id = stage.hand_in(titled("x")).await.id;
    assert_eq!(stage.step().await, Some(Duration::from_secs(10)));
    stage.nuncio.idle().await;
    assert_eq!(stage.deliveries(&id).await[0].progress.attempts, 2);
    stage.nuncio.shutdown(Duration::ZERO).await.expect("it ran");

    // The second stage's clock begins anew, ten seconds before the second attempt was made.
    let stage = start();
    assert_eq!(stage.step().await, Some(Duration::from_secs(20)), "no later than it was to wait");
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Dead, 3));
    let progress = &stage.deliveries(&id).await[0].progress;
    assert_eq!(progress.reply.as_ref().map(|reply| reply.status), Some(503));
    assert_eq!(progress.first_tried_at, Some(BEGINNING));
}

/// A store that shows what was accepted before it says so: the first list waits for a record, and the commit of
/// the record for a word.
struct Early {
    store: MemoryStore,
    shown: mpsc::Sender<()>,
    say: mpsc::Receiver<()>,
    list: Mutex<Option<mpsc::Receiver<()>>>,
}

struct LateReader(MemoryStore, Option<mpsc::Receiver<()>>);

impl Store for Early {
    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<Done>, StoreError> {
        let done = self.store.commit(operations);
        if operations.iter().any(|operation| matches!(operation, Operation::Accept(_))) {
            self.shown.send(()).unwrap();
            self.say.recv().unwrap();
        }
        done
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(LateReader(self.store.clone(), self.list.lock().unwrap().take()))
    }

    fn waits(&self) -> bool {
        true
    }
}

impl Reader for LateReader {
    fn list(&mut self, query: &Query) -> Result<Page, StoreError> {
        self.1.take().inspect(|wait| wait.recv().unwrap());
        self.0.list(query)
    }

    fn notification(&mut self, record: u64) -> Result<Option<Arc<Notification>>, StoreError> {
        self.0.notification(record)
    }

    fn find(&mut self, id: &str) -> Result<Option<Record>, StoreError> {
        self.0.find(id)
    }

    fn entries(&mut self, keys: &[DeliveryKey]) -> Result<Vec<Entry>, StoreError> {
        self.0.entries(keys)
    }

    fn count(&mut self, query: &Query) -> Result<u64, StoreError> {
        self.0.count(query)
    }

    fn usage(&mut self) -> Result<Usage, StoreError> {
        self.0.usage()
    }

    fn healths(&mut self) -> Result<Vec<Health>, StoreError> {
        self.0.healths()
    }
}

#[tokio::test]
async fn what_is_found_before_it_is_said_to_be_accepted_is_sent_once() {
    let receiver = Receiver::start([reply(200)]);
    let ((shown, wait), (word, say)) = (mpsc::channel(), mpsc::channel());
    let store = Early { store: MemoryStore::default(), shown, say, list: Mutex::new(Some(wait)) };
    let stage = Stage::start_with(&one_target(&receiver, ""), |builder| builder.store(store));
    let ticket = stage.nuncio.notify(titled("x")).expect("there is room");
    // It was found as what was there at the start, and is sent already.
    receiver.next().await;
    word.send(()).unwrap();
    let id = ticket.accepted().await.expect("it is accepted").id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 1));
    assert_eq!(receiver.seen().requests.len(), 1);
}

// === repeats ===

#[tokio::test]
async fn a_repeated_hand_in_is_one_notification() {
    let receiver = Receiver::start([reply(200)]);
    let stage = Stage::start(&one_target(&receiver, ""));
    let hand_in = async |key: &str, notification: Notification| {
        stage.nuncio.notify_once(key, notification).expect("there is room").accepted().await
    };
    let first = hand_in("order-17", titled("x")).await.unwrap();
    stage.drive().await;
    let again = hand_in("order-17", titled("x")).await.unwrap();
    assert_eq!((again.id, again.is_repeat, again.targets.len()), (first.id.clone(), true, 0));
    let other = hand_in("order-17", titled("y")).await;
    assert!(matches!(other, Err(NotifyError::Store(StoreError::Reused(id))) if id == first.id));
    assert!(matches!(stage.nuncio.notify_once("two\nlines", titled("x")), Err(NotifyError::InvalidId)));
    let ours = Notification { id: "nuncio-alert-1".into(), ..titled("x") };
    assert!(matches!(stage.nuncio.notify(ours), Err(NotifyError::InvalidId)));
    // A day after its end, and some seconds, nobody knows it any more.
    stage.clock.advance(24 * HOUR + Duration::from_secs(10));
    stage.nuncio.idle().await;
    assert!(!hand_in("order-17", titled("y")).await.unwrap().is_repeat);
    stage.drive().await;
    assert_eq!(receiver.seen().requests.len(), 2);
}

// === bounds ===

#[tokio::test]
async fn a_full_queue_refuses_but_takes_what_is_serious_until_it_is_really_full() {
    let receiver = Receiver::start([hang()]);
    let yaml = format!("queue: {{max_messages: 10, reserve_for: fatal}}\n{}", one_target(&receiver, ""));
    let stage = Stage::start(&yaml);
    let hand_in = async |level| {
        let notification = Notification::new(level, "x");
        stage.nuncio.notify(notification).expect("the buffer has room").accepted().await
    };
    for _ in 0..9 {
        assert!(hand_in(Level::Info).await.is_ok());
    }
    assert!(matches!(hand_in(Level::Error).await, Err(NotifyError::Store(StoreError::Full))));
    assert!(hand_in(Level::Fatal).await.is_ok());
    assert!(matches!(hand_in(Level::Fatal).await, Err(NotifyError::Store(StoreError::Full))));
}

#[tokio::test]
async fn what_has_waited_too_long_is_dead_with_what_the_receiver_said_last() {
    let receiver = Receiver::start([reply(429).header("retry-after", "3600").body("later")]);
    let stage = Stage::start(&one_target(&receiver, ", retry: {max_age: 10m}"));
    let first = stage.hand_in(titled("tried")).await.id;
    stage.nuncio.idle().await;
    let second = stage.hand_in(titled("never tried")).await.id;
    let waits = stage.drive().await;
    assert_eq!(waits.iter().sum::<Duration>(), Duration::from_secs(600));
    let tried = &stage.deliveries(&first).await[0].progress;
    assert_eq!((tried.state, tried.attempts), (State::Dead, 1));
    assert!(
        tried.detail.starts_with("expired: not delivered within 10m; the last was: status 429"),
        "{tried:?}"
    );
    assert_eq!(tried.reply.as_ref().map(|reply| reply.body.as_str()), Some("later"));
    let untried = &stage.deliveries(&second).await[0].progress;
    assert_eq!((untried.state, untried.attempts), (State::Dead, 0));
    assert_eq!(receiver.seen().requests.len(), 1);
}

#[tokio::test]
async fn what_was_queued_while_the_clock_was_wrong_is_tried_before_it_is_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let (hanging, receiver) = (Receiver::start([hang()]), Receiver::start([reply(503), reply(200)]));
    let store = || SqliteStore::open(&path).unwrap();
    let stage = Stage::start_with(&one_target(&hanging, ""), |builder| builder.store(store()));
    // A board that boots without a clock of its own.
    stage.clock.set(1_000);
    let id = stage.hand_in(titled("x")).await.id;
    stage.nuncio.shutdown(Duration::ZERO).await.expect("it ran");
    let stage = Stage::start_with(&one_target(&receiver, ""), |builder| builder.store(store()));
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Delivered, 2));
}

#[tokio::test]
async fn the_clock_set_back_over_a_restart_neither_reorders_nor_stalls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let (hanging, healthy) = (Receiver::start([hang()]), Receiver::start([reply(200)]));
    let store = || SqliteStore::open(&path).unwrap();
    let stage = Stage::start_with(&one_target(&hanging, ", concurrency: 1"), |b| b.store(store()));
    for n in 0..4 {
        if n == 2 {
            stage.clock.set(BEGINNING - 3_600_000);
        }
        stage.hand_in(text(n)).await;
    }
    stage.nuncio.shutdown(Duration::ZERO).await.expect("it ran");
    let stage = Stage::start_with(&one_target(&healthy, ", concurrency: 1"), |b| b.store(store()));
    assert!(stage.drive().await.is_empty(), "nothing waits");
    assert_eq!(titles(&healthy), ["n 0", "n 1", "n 2", "n 3"]);
}

#[tokio::test]
async fn a_clock_set_forward_has_nothing_forgotten_before_its_time() {
    let receiver = Receiver::start([reply(400)]);
    let stage = Stage::start(&one_target(&receiver, ""));
    let id = stage.hand_in(titled("x")).await.id;
    stage.drive().await;
    stage.clock.set(BEGINNING + 40 * 86_400_000);
    stage.hand_in(titled("y")).await;
    stage.clock.advance(Duration::from_secs(120));
    stage.drive().await;
    assert_eq!(stage.end(&id).await.0, State::Dead);
    stage.clock.advance(30 * 24 * HOUR);
    stage.nuncio.idle().await;
    stage.nuncio.stats().await;
    assert!(stage.nuncio.find(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_somebody_broke_in_the_file_holds_up_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let (hanging, healthy) = (Receiver::start([hang()]), Receiver::start([reply(200)]));
    let store = || SqliteStore::open(&path).unwrap();
    let stage = Stage::start_with(&one_target(&hanging, ", concurrency: 1"), |b| b.store(store()));
    for n in 0..3 {
        stage.hand_in(text(n)).await;
    }
    stage.nuncio.shutdown(Duration::ZERO).await.expect("it ran");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE notification SET level = 'loud' WHERE seq = 2", []).unwrap();
    connection.execute("UPDATE tally SET open = 0, bytes = 0", []).unwrap();
    let stage = Stage::start_with(&one_target(&healthy, ", concurrency: 1"), |b| b.store(store()).seed(8));
    stage.hand_in(text(3)).await;
    stage.drive().await;
    assert_eq!(titles(&healthy), ["n 0", "n 2", "n 3"]);
}

#[tokio::test]
async fn a_name_that_no_target_has_leaves_nothing_behind_but_a_dead_letter() {
    let receiver = Receiver::start([reply(200)]);
    let yaml = format!("queue: {{keep: 0s, keep_dead: 0s}}\n{}", one_target(&receiver, ""));
    let stage = Stage::start(&yaml);
    let id = stage.hand_in(titled("x").to("fone")).await.id;
    stage.nuncio.idle().await;
    stage.clock.advance(Duration::from_secs(1));
    stage.nuncio.idle().await;
    assert!(stage.nuncio.find(&id).await.unwrap().is_none());
}

// === steering ===

#[tokio::test]
async fn a_waiting_delivery_is_tried_now_or_dropped() {
    let receiver = Receiver::start([reply(503), reply(503), reply(200)]);
    let stage = Stage::start(&format!("retry: {{interval: 5m}}\n{}", one_target(&receiver, "")));
    let retried = stage.hand_in(titled("a")).await.id;
    let dropped = stage.hand_in(titled("b")).await.id;
    stage.nuncio.idle().await;
    let waiting = keys(&stage, Query::open()).await;
    let steered = stage.nuncio.steer(Steer::Retry, vec![waiting[0]]).await.unwrap();
    assert_eq!(steered, Steered { changed: 1, ..Steered::default() });
    stage.nuncio.idle().await;
    assert_eq!(stage.end(&retried).await, (State::Delivered, 2));
    let steered = stage.nuncio.steer(Steer::Drop, waiting.clone()).await.unwrap();
    assert_eq!(steered, Steered { changed: 1, unchanged: 1, ..Steered::default() });
    assert_eq!(stage.nuncio.idle().await, None, "nothing is left to wait for");
    let progress = &stage.deliveries(&dropped).await[0].progress;
    assert_eq!((progress.state, progress.attempts), (State::Dropped, 1));
    assert!(progress.detail.starts_with("dropped; the last was: status 503"), "{}", progress.detail);
    assert_eq!(stage.nuncio.stats().await.unwrap().dropped, 1);
}

#[tokio::test]
async fn what_is_under_way_is_left_alone() {
    let receiver = Receiver::start([hang()]);
    let stage = Stage::start(&one_target(&receiver, ""));
    stage.hand_in(titled("x")).await;
    receiver.next().await;
    let all = keys(&stage, Query::open()).await;
    for steer in [Steer::Drop, Steer::Retry, Steer::Replay] {
        let steered = stage.nuncio.steer(steer, all.clone()).await.unwrap();
        assert_eq!(steered, Steered { unchanged: 1, ..Steered::default() });
    }
}

#[tokio::test]
async fn a_dead_letter_is_replayed_as_if_it_had_just_come() {
    let receiver = Receiver::start([reply(400), reply(503), reply(503), reply(200)]);
    let stage = Stage::start(&one_target(&receiver, ", retry: {max_age: 1h}"));
    let id = stage.hand_in(titled("x")).await.id;
    stage.drive().await;
    assert_eq!(stage.end(&id).await, (State::Dead, 1));
    stage.clock.advance(2 * HOUR);
    let dead = keys(&stage, Query { states: vec![State::Dead], ..Query::default() }).await;
    // Two orders at once are one.
    let (one, two) = tokio::join!(
        stage.nuncio.steer(Steer::Replay, dead.clone()),
        stage.nuncio.steer(Steer::Replay, dead.clone())
    );
    assert_eq!(one.unwrap().changed + two.unwrap().changed, 1);
    stage.drive().await;
    // Its retries are counted anew, its age too, and its attempts go on.
    assert_eq!(stage.end(&id).await, (State::Delivered, 4));
    let missing = DeliveryKey { record: 99, n: 0 };
    assert_eq!(stage.nuncio.steer(Steer::Replay, vec![missing]).await.unwrap().unchanged, 1);
}

// === notices ===

#[tokio::test]
async fn the_first_death_is_told_once_and_never_to_the_target_itself() {
    let (failing, ops) = (Receiver::start([reply(400)]), Receiver::start([reply(200), reply(400)]));
    let yaml = format!(
        "alerts_to: [ops, phone]\ntargets:\n{}{}",
        ntfy("phone", &failing, ""),
        ntfy("ops", &ops, ", filter: {level: fatal}")
    );
    let stage = Stage::start(&yaml);
    for n in 0..3 {
        stage.hand_in(titled(format!("x {n}"))).await;
        stage.drive().await;
    }
    let told = ops.next().await.json();
    assert!(told["title"].as_str().unwrap().contains("phone"), "{told}");
    assert!(told["message"].as_str().unwrap().contains("status 400"), "{told}");
    assert_eq!((ops.seen().requests.len(), failing.seen().requests.len()), (1, 3));
    // An hour later there is another; it dies, and nobody is told of that.
    stage.clock.advance(HOUR);
    stage.hand_in(titled("later")).await;
    stage.drive().await;
    assert_eq!((ops.seen().requests.len(), failing.seen().requests.len()), (2, 4));
}

// === clocks that jump ===

#[tokio::test]
async fn a_wall_clock_that_jumps_neither_storms_nor_stalls() {
    for jump in [3_600_000_i64, -3_600_000, 10 * 365 * 86_400_000] {
        let receiver = Receiver::start([reply(503), reply(503), reply(200)]);
        let yaml = format!("retry: {{interval: 60s, jitter: 0}}\n{}", one_target(&receiver, ""));
        let stage = Stage::start(&yaml);
        let id = stage.hand_in(titled("x")).await.id;
        stage.nuncio.idle().await;
        stage.clock.set(BEGINNING.saturating_add_signed(jump));
        stage.nuncio.idle().await;
        assert_eq!(receiver.seen().requests.len(), 1, "a jump of {jump} ms started a retry");
        stage.clock.advance(Duration::from_secs(59));
        stage.nuncio.idle().await;
        assert_eq!(receiver.seen().requests.len(), 1);
        stage.clock.advance(Duration::from_secs(1));
        stage.nuncio.idle().await;
        assert_eq!(receiver.seen().requests.len(), 2, "a jump of {jump} ms held a retry up");
        stage.drive().await;
        assert_eq!(stage.end(&id).await, (State::Delivered, 3));
        // What people see is by the wall clock.
        let progress = &stage.deliveries(&id).await[0].progress;
        assert_eq!(progress.ended_at, Some(stage.clock.now()));
    }
}
