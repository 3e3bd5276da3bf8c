//! One receiver that misbehaves beside one that does not, through the whole dispatcher: what the first does takes
//! bounded time and memory, and the second gets its notifications meanwhile.

use std::time::Duration;

use nuncio::contract::{Level, Notification};
use nuncio::event::Happened;
use nuncio::store::State;

use crate::scripted::{Answer, Receiver, Then, endless_body, hang_before_reading, raw, reply};
use crate::stage::Stage;

/// The timeout of a target that sets none.
const TIMEOUT: Duration = Duration::from_secs(10);

/// When a misbehaving receiver's part is over.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// By itself, whatever the time.
    Itself,
    /// At the deadline of the attempt.
    AtTheDeadline,
}

/// Sends a notification to a receiver that does this once and then replies 200, and to a healthy one. Returns what
/// became of it at the first, when all is over.
async fn beside_a_healthy_one(scheme: &str, answer: Answer, ends: Ends) -> (State, u32) {
    let (hostile, healthy) = (Receiver::start([answer, reply(200)]), Receiver::start([reply(200)]));
    let stage = Stage::start(&format!(
        "targets:\n  - {{name: hostile, provider: ntfy, url: \"{}\", topic: t}}\n  - {{name: healthy, provider: ntfy, \
         url: \"{}\", topic: t}}\n",
        hostile.url("/").replace("http", scheme),
        healthy.url("/")
    ));
    let mut events = stage.nuncio.events();
    let id = stage.hand_in(Notification::new(Level::Error, "first")).await.id;
    hostile.until("connection", |seen| seen.connections == 1).await;
    stage.hand_in(Notification::new(Level::Error, "second").to("healthy")).await;
    // The clock stands still: the healthy one waits for nobody's deadline.
    let mut delivered = 0;
    while delivered < 2 {
        let event = events.recv().await.expect("nothing is missed");
        let arrived = matches!(event.happened, Happened::Delivered { .. });
        delivered += usize::from(arrived && event.target == "healthy");
    }
    match ends {
        Ends::Itself => {
            stage.drive().await;
        }
        Ends::AtTheDeadline => {
            assert_eq!(stage.nuncio.stats().await.expect("it runs").in_flight, 1);
            stage.drive_past(TIMEOUT).await;
        }
    }
    assert_eq!(stage.nuncio.stats().await.expect("it runs").in_flight, 0);
    let deliveries = stage.deliveries(&id).await;
    let hostile = deliveries.iter().find(|delivery| &*delivery.target == "hostile").unwrap();
    (hostile.progress.state, hostile.progress.attempts)
}

#[tokio::test]
async fn headers_that_come_byte_by_byte_end_at_the_deadline() {
    for beginning in ["H", "HTTP/1.1 200 OK\r\nx-slow: a"] {
        let end = beside_a_healthy_one("http", raw(beginning).then(Then::Hang), Ends::AtTheDeadline).await;
        assert_eq!(end, (State::Delivered, 2), "{beginning}");
    }
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_ends_at_the_deadline_and_the_status_counts() {
    let slow = raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na").then(Then::Hang);
    assert_eq!(beside_a_healthy_one("http", slow, Ends::AtTheDeadline).await, (State::Delivered, 1));
}

#[tokio::test]
async fn interim_replies_without_end_are_left_at_the_deadline() {
    let flood = raw("").then(Then::Repeat("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".into()));
    assert_eq!(beside_a_healthy_one("http", flood, Ends::AtTheDeadline).await, (State::Delivered, 2));
}

#[tokio::test]
async fn a_tls_handshake_without_end_is_left_at_the_deadline() {
    let (state, attempts) = beside_a_healthy_one("https", hang_before_reading(), Ends::AtTheDeadline).await;
    // What comes after it speaks no TLS, for as long as the delivery may wait.
    assert!(state == State::Dead && attempts > 1, "{state:?} after {attempts}");
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    assert_eq!(beside_a_healthy_one("http", endless_body(), Ends::Itself).await, (State::Delivered, 1));
}

#[tokio::test]
async fn ten_megabytes_of_headers_are_cut_off() {
    let one = format!("x-flood: {}\r\n", "x".repeat(10 * 1024));
    for flood in ["x".repeat(10 << 20), one.repeat(1024)] {
        let head = raw(format!("HTTP/1.1 200 OK\r\nx-long: {flood}\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!(beside_a_healthy_one("http", head, Ends::Itself).await, (State::Delivered, 2));
    }
}

#[tokio::test]
async fn a_connection_that_closes_too_early_is_made_again() {
    for beginning in ["", "HTTP/1.1 200 OK\r\nx-half: a"] {
        assert_eq!(beside_a_healthy_one("http", raw(beginning), Ends::Itself).await, (State::Delivered, 2));
    }
}

#[tokio::test]
async fn a_body_that_claims_to_be_packed_is_not_unpacked() {
    let bomb = reply(200).header("content-encoding", "gzip").body(vec![0x1f; 64 * 1024]);
    assert_eq!(beside_a_healthy_one("http", bomb, Ends::Itself).await, (State::Delivered, 1));
}

#[tokio::test]
async fn a_connection_that_was_closed_while_nobody_used_it_costs_no_attempt() {
    let receiver = Receiver::start([reply(200).then(Then::Close), reply(200)]);
    let stage = Stage::start(&format!(
        "targets: [{{name: phone, provider: ntfy, url: \"{}\", topic: t}}]",
        receiver.url("/")
    ));
    for n in 1..=2 {
        let id = stage.hand_in(Notification::new(Level::Error, format!("n {n}"))).await.id;
        stage.drive().await;
        assert_eq!(stage.end(&id).await, (State::Delivered, 1));
        receiver.until("closed connection", |seen| seen.closed == 1).await;
    }
}
