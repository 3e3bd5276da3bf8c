//! The HTTP client against receivers that behave, and receivers that do not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nuncio::clock::ManualClock;
use nuncio::contract::{Outcome, Reply, Transport};
use nuncio::egress::route::Route;
use nuncio::egress::{Egress as _, Exchange, HttpEgress, MAX_REPLY};

use crate::scripted::{
    Answer, Receiver, Then, answering, close_after_reading, endless_body, hang, hang_before_reading, raw,
    reply,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// An egress whose deadlines come only when the test says so.
fn egress() -> (HttpEgress, ManualClock) {
    let clock = ManualClock::at(0);
    (HttpEgress::new(Arc::new(clock.clone())), clock)
}

fn request(method: &str, url: &str, body: impl Into<Bytes>) -> http::Request<Bytes> {
    http::Request::builder().method(method).uri(url).body(body.into()).unwrap()
}

/// The way of a target whose own URL this is.
fn way(url: &str) -> Route {
    let mut route = Route::default();
    route.name(url::Url::parse(url).unwrap().origin());
    route
}

fn named(receiver: &Receiver) -> Route {
    way(&receiver.url("/"))
}

/// What comes of a POST to a receiver that does this, without any deadline.
async fn answer_to(answer: Answer) -> Exchange {
    let receiver = Receiver::start([answer]);
    egress().0.send(request("POST", &receiver.url("/hook"), "hi"), &named(&receiver), TIMEOUT).await
}

/// What comes of a POST whose deadline comes when the receiver has it, and what it then sent has arrived.
async fn answer_in_time(answer: Answer) -> Exchange {
    let (receiver, (egress, clock)) = (Receiver::start([answer]), egress());
    let route = named(&receiver);
    let sending = egress.send(request("POST", &receiver.url("/hook"), "hi"), &route, TIMEOUT);
    let deadline = async {
        receiver.next().await;
        exchange_elsewhere().await;
        clock.advance(TIMEOUT);
    };
    let exchange = tokio::join!(sending, deadline).0;
    receiver.until("closed connection", |seen| seen.closed == 1).await;
    exchange
}

/// Takes a few turns of the network, so that everybody has seen what was on its way before.
async fn exchange_elsewhere() {
    assert_eq!(replied(answer_to(reply(200)).await).status, 200);
}

#[track_caller]
fn replied(exchange: Exchange) -> Reply {
    match exchange.outcome {
        Outcome::Reply(reply) => reply,
        Outcome::Failed(transport) => panic!("{transport:?}: {:?}", exchange.detail),
    }
}

#[track_caller]
fn assert_failed(exchange: Exchange, transport: Transport) {
    assert_eq!(exchange.outcome, Outcome::Failed(transport), "{:?}", exchange.detail);
    assert!(!exchange.detail.unwrap().contains("hook"));
}

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    let (receiver, (egress, _)) = (Receiver::start([reply(200).body("ok"), reply(204)]), egress());
    for (path, status) in [("/a?b=c", 200), ("/d", 204), ("/e", 204)] {
        let exchange =
            egress.send(request("POST", &receiver.url(path), "hi"), &named(&receiver), TIMEOUT).await;
        assert_eq!((&exchange.detail, replied(exchange.clone()).status), (&None, status));
        assert_eq!(receiver.next().await.path, path);
    }
    assert_eq!(receiver.seen().connections, 1);
}

#[tokio::test]
async fn a_connection_that_the_receiver_closed_is_not_used_again() {
    let (receiver, (egress, _)) = (Receiver::start([reply(200).then(Then::Close), reply(200)]), egress());
    for path in ["/1", "/2"] {
        assert_eq!(
            replied(
                egress.send(request("POST", &receiver.url(path), "hi"), &named(&receiver), TIMEOUT).await
            )
            .status,
            200
        );
        receiver.until("closed connection", |seen| seen.closed == 1).await;
        exchange_elsewhere().await;
    }
    assert_eq!(receiver.seen().connections, 2);
}

#[tokio::test]
async fn a_request_frames_its_body_and_nothing_where_there_is_none() {
    let receiver = Receiver::start(answering(|request| reply(200).body(request.method.clone())));
    let (egress, _) = egress();
    for (method, body, length) in [
        ("GET", "", None),
        ("HEAD", "", None),
        ("DELETE", "", None),
        ("POST", "", Some("0")),
        ("PUT", "", Some("0")),
        ("POST", "{\"a\":1}", Some("7")),
    ] {
        let mut sent = request(method, &receiver.url("/"), body);
        sent.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let answer = replied(egress.send(sent, &named(&receiver), TIMEOUT).await);
        assert_eq!(answer.body, if method == "HEAD" { "" } else { method }.as_bytes());
        let received = receiver.next().await;
        assert_eq!((received.method.as_str(), received.header("content-length")), (method, length));
        assert_eq!((received.header("transfer-encoding"), received.header("accept-encoding")), (None, None));
        assert_eq!(received.header("host"), receiver.url("").strip_prefix("http://"));
        assert_eq!(received.body, body);
    }
    assert_eq!(receiver.seen().requests[5].json()["a"], 1);
}

#[tokio::test]
async fn a_redirect_is_a_reply() {
    let elsewhere = Receiver::start([reply(200)]);
    let answer = replied(answer_to(reply(302).header("Location", &elsewhere.url("/"))).await);
    assert_eq!((answer.status, elsewhere.seen().connections), (302, 0));
    assert!(answer.head.contains(&format!("location: {}\n", elsewhere.url("/"))), "{}", answer.head);
}

#[tokio::test]
async fn reply_headers_that_are_no_text_are_left_out() {
    let head = b"HTTP/1.1 200 OK\r\nX-B: 2\r\nX-Raw: \xff\r\nX-A: \xc3\xa4\r\n\r\n";
    let answer = replied(answer_to(raw(head.to_vec())).await);
    assert_eq!(answer.head, "x-b: 2\nx-a: ä\n");
}

#[tokio::test]
async fn of_an_endless_body_the_limit_is_read_and_the_connection_dropped() {
    let (receiver, (egress, _)) = (Receiver::start([endless_body()]), egress());
    let answer =
        replied(egress.send(request("GET", &receiver.url("/"), ""), &named(&receiver), TIMEOUT).await);
    assert_eq!((answer.status, answer.body.len()), (200, MAX_REPLY));
    receiver.until("closed connection", |seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_body_of_the_limit_is_whole() {
    let body = vec![b'x'; MAX_REPLY];
    assert_eq!(replied(answer_to(reply(200).body(body.clone())).await).body, body);
}

#[tokio::test]
async fn a_packed_body_is_kept_as_it_came() {
    // The beginning of 10 MiB of zeros, in gzip.
    let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &vec![0; MAX_REPLY]].concat();
    let answer = replied(answer_to(reply(200).header("content-encoding", "gzip").body(packed.clone())).await);
    assert_eq!(answer.body, packed[..MAX_REPLY]);
}

#[tokio::test]
async fn a_status_counts_though_its_body_breaks_off_or_is_late() {
    let beginning = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    let exchange = answer_to(raw(beginning)).await;
    assert_eq!(exchange.detail.as_deref(), Some("end of file before message length reached"));
    let answer = replied(exchange);
    assert_eq!((answer.status, answer.body.as_slice()), (200, "abc".as_bytes()));
    let exchange = answer_in_time(raw(beginning).then(Then::Hang)).await;
    assert_eq!(exchange.detail.as_deref(), Some("reply not complete in time"));
    assert_eq!(replied(exchange).status, 200);
}

#[tokio::test]
async fn a_reply_counts_though_the_request_was_not_read() {
    let receiver = Receiver::start([reply(413).body("too much").then(Then::HangBeforeBody)]);
    let sent = request("POST", &receiver.url("/"), vec![b'x'; 16 * 1024 * 1024]);
    let answer = replied(egress().0.send(sent, &named(&receiver), TIMEOUT).await);
    assert_eq!((answer.status, answer.body.as_slice()), (413, "too much".as_bytes()));
}

#[tokio::test]
async fn a_deadline_after_sending_leaves_open_whether_it_arrived() {
    assert_failed(answer_in_time(hang()).await, Transport::TimeoutAfterSend);
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_open_whether_the_request_arrived() {
    assert_failed(answer_to(close_after_reading()).await, Transport::Reset);
    assert_failed(answer_to(raw("")).await, Transport::Reset);
    assert_failed(answer_to(raw("SSH-2.0-OpenSSH\r\n")).await, Transport::Reset);
}

#[tokio::test]
async fn interim_replies_without_end_meet_the_deadline() {
    let flood = raw("").then(Then::Repeat("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".into()));
    assert_failed(answer_in_time(flood).await, Transport::TimeoutAfterSend);
}

#[tokio::test]
async fn headers_without_end_are_cut_off_before_any_deadline() {
    for flood in [format!("x-flood: {}\r\n", "x".repeat(10 * 1024)), "x".into(), "a: b\r\n".into()] {
        let flood = raw("HTTP/1.1 200 OK\r\nx-long: ").then(Then::Repeat(flood.into()));
        assert_failed(answer_to(flood).await, Transport::Reset);
    }
}

#[tokio::test]
async fn a_long_head_is_read_and_one_far_beyond_the_limit_is_not() {
    let head = |length| raw(format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(length)));
    assert_eq!(replied(answer_to(head(60 * 1024)).await).status, 200);
    // The limit is for what has been read so far; one more read may go beyond it.
    assert_failed(answer_to(head(200 * 1024)).await, Transport::Reset);
}

#[tokio::test]
async fn https_to_a_port_that_speaks_http_is_a_failure_of_tls() {
    let receiver = Receiver::start([reply(200)]);
    let url = receiver.url("/hook").replace("http", "https");
    assert_failed(egress().0.send(request("POST", &url, "hi"), &way(&url), TIMEOUT).await, Transport::Tls);
    assert!(receiver.seen().requests.is_empty());
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_left_at_the_deadline() {
    let (receiver, (egress, clock)) = (Receiver::start([hang_before_reading()]), egress());
    let sent = request("POST", &receiver.url("/hook"), vec![b'x'; 16 * 1024 * 1024]);
    let route = named(&receiver);
    let sending = tokio::spawn(async move { egress.send(sent, &route, TIMEOUT).await });
    receiver.until("connection", |seen| seen.connections == 1).await;
    exchange_elsewhere().await;
    clock.advance(TIMEOUT);
    assert_failed(sending.await.unwrap(), Transport::TimeoutAfterSend);
}
