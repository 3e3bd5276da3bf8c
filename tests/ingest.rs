//! The daemon: what it takes, what it refuses, and how it ends.

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::daemon::Daemon;
use crate::scripted::{Receiver, hang, reply};

fn targets(receiver: &Receiver) -> String {
    format!("targets:\n  - {{name: phone, provider: ntfy, url: \"{}\", topic: t}}\n", receiver.url("/"))
}

#[tokio::test]
async fn a_notification_is_taken_delivered_and_found_again() {
    let receiver = Receiver::start([reply(200)]);
    let daemon = Daemon::start(&targets(&receiver), "taken.yml", &[]).await;
    let answer = daemon.post(br#"{"level":"warn","title":"Disk","body":{"Free":"1 %"},"tags":["db"]}"#).await;
    assert_eq!(answer.status, 202);
    let id = answer.json["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.json, serde_json::json!({ "id": id, "targets": ["phone"] }));
    receiver.next().await;
    let mut found = daemon.get(&format!("/v1/notifications/{id}")).await;
    while found.json["deliveries"][0]["state"] != "delivered" {
        assert_eq!((found.status, found.json["deliveries"][0]["target"].as_str()), (200, Some("phone")));
        found = daemon.get(&format!("/v1/notifications/{id}")).await;
    }
    assert_eq!(found.json["deliveries"][0]["attempts"], 1);
    let health = daemon.get("/healthz").await;
    assert_eq!((health.status, health.json["status"].as_str()), (200, Some("ok")));
    assert_eq!((health.json["accepted"].as_u64(), health.json["delivered"].as_u64()), (Some(1), Some(1)));
    assert_eq!(daemon.terminate().await, (Some(0), "nuncio has stopped; nothing was left".to_owned()));
}

#[tokio::test]
async fn a_name_that_no_target_has_is_in_the_answer() {
    let receiver = Receiver::start([reply(200)]);
    let daemon = Daemon::start(&targets(&receiver), "unknown.yml", &[]).await;
    // Lists are for those with a token.
    assert_eq!(daemon.get("/v1/notifications").await.status, 401);
    let answer = daemon.post(br#"{"title":"x","to":["phone","fone"]}"#).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json["unknown"][0]["target"], "fone");
    receiver.next().await;
}

#[tokio::test]
async fn wrong_input_is_refused_with_what_is_wrong_and_what_to_do() {
    let receiver = Receiver::start([reply(200)]);
    let daemon = Daemon::start(&targets(&receiver), "wrong.yml", &[]).await;
    let deep = "[".repeat(100_000);
    let bodies: [(&[u8], &str); 20] = [
        (b"", "cannot be read as JSON"),
        (b"{", "cannot be read as JSON"),
        (b"nonsense", "cannot be read as JSON"),
        (b"[]", "expected a notification, found a list"),
        (b"\"text\"", "expected a notification, found text"),
        (b"null", "expected a notification, found nothing"),
        (b"{}", "says nothing"),
        (br#"{"title":""}"#, "says nothing"),
        (br#"{"title":"x","levle":"warn"}"#, "unknown key `levle`"),
        (br#"{"title":"x","level":"loud"}"#, "no level is called `loud`"),
        (br#"{"title":"x","level":3}"#, "expected a level, found a number"),
        (br#"{"title":["x"]}"#, "/title: expected text, found a list"),
        (br##"{"title":"x","color":"#ff00"}"##, "no colour"),
        (br#"{"title":"x","color":16777216}"#, "no colour"),
        (br#"{"title":"x","to":[1]}"#, "/to/0: expected text"),
        (br#"{"title":"x","tags":{"a":1}}"#, "/tags: expected text, found a mapping"),
        (br#"{"title":"x","link":"javascript:alert(1)"}"#, "no http or https URL"),
        (br#"{"body":[{"name":"a"}]}"#, "/body/0: expected a field"),
        (b"{\"title\":\"\xff\"}", "not UTF-8"),
        (deep.as_bytes(), "cannot be read as JSON"),
    ];
    for (body, says) in bodies {
        let answer = daemon.post(body).await;
        let shown = String::from_utf8_lossy(body.get(..60).unwrap_or(body)).into_owned();
        assert_eq!(answer.status, 400, "{shown}");
        let error = &answer.json["error"];
        assert_eq!(error["code"], "invalid-notification", "{shown}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(says), "{shown}: {message}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{shown}");
    }
    let answer = daemon.post(&vec![b' '; (256 << 10) + 1]).await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (413, Some("too-large")));
    let answer = daemon.post_with("content-type: text/plain\r\n", b"{\"title\":\"x\"}").await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (415, Some("unsupported-media-type")));
    let answer = daemon.get("/v1/notifications/none").await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (404, Some("unknown-notification")));
    let answer = daemon.get("/elsewhere").await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (404, Some("not-found")));
    let answer = daemon.get("/v1/steer").await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (405, Some("method-not-allowed")));
    let huge = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(64 << 10));
    assert_eq!(daemon.exchange(huge.as_bytes()).await.status, 431);
    assert!(receiver.seen().requests.is_empty());
    assert_eq!(daemon.post(br#"{"title":"still there"}"#).await.status, 202);
}

#[tokio::test]
async fn every_answer_tells_browsers_to_make_nothing_of_it() {
    let receiver = Receiver::start([reply(200)]);
    let yaml = targets(&receiver) + "server:\n  tokens: [correct-horse-battery]\n";
    let daemon = Daemon::start(&yaml, "headers.yml", &[]).await;
    let preflight = "OPTIONS /v1/notifications HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n";
    for (answer, status) in [
        (daemon.get("/healthz").await, 200),
        (daemon.get("/elsewhere").await, 404),
        (daemon.get("/v1/steer").await, 405),
        (daemon.post(b"{}").await, 401),
        (daemon.exchange(preflight.as_bytes()).await, 405),
    ] {
        assert_eq!(answer.status, status, "{}", answer.head);
        for header in [
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.head.contains(header), "{status}: no {header} in {}", answer.head);
        }
        assert!(!answer.head.contains("access-control-"), "{}", answer.head);
    }
}

#[tokio::test]
async fn more_headers_than_anybody_needs_are_refused() {
    let receiver = Receiver::start([reply(200)]);
    let daemon = Daemon::start(&targets(&receiver), "many-headers.yml", &[]).await;
    // Host and Connection are two more.
    for (count, status) in [(62, 200), (63, 431)] {
        let headers: String = (0..count).map(|n| format!("x-{n}: y\r\n")).collect();
        let head = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        assert_eq!(daemon.exchange(head.as_bytes()).await.status, status, "{count}");
    }
}

#[tokio::test]
async fn a_token_is_needed_where_one_is_set() {
    let receiver = Receiver::start([reply(200)]);
    let yaml = targets(&receiver) + "server:\n  tokens: [correct-horse-battery, another-token-entirely]\n";
    let daemon = Daemon::start(&yaml, "token.yml", &[]).await;
    let body = br#"{"title":"x"}"#;
    for wrong in [
        "",
        "authorization: Bearer wrong\r\n",
        "authorization: Basic correct-horse-battery\r\n",
        "authorization: Bearer \r\n",
    ] {
        let answer = daemon.post_with(&format!("content-type: application/json\r\n{wrong}"), body).await;
        assert_eq!(
            (answer.status, answer.json["error"]["code"].as_str()),
            (401, Some("unauthorized")),
            "{wrong}"
        );
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    }
    for right in ["correct-horse-battery", "another-token-entirely"] {
        let headers = format!("content-type: application/json\r\nauthorization: Bearer {right}\r\n");
        assert_eq!(daemon.post_with(&headers, body).await.status, 202);
    }
    assert_eq!(daemon.get("/v1/notifications/x").await.status, 401);
    let get = |path: &str, token: &str| {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        head.into_bytes()
    };
    let token = "correct-horse-battery";
    let first = daemon.exchange(&get("/v1/notifications?limit=1", token)).await;
    let next = first.json["next"].as_str().expect("there is another page").to_owned();
    let second = daemon.exchange(&get(&format!("/v1/notifications?after={next}&target=phone"), token)).await;
    for page in [&first, &second] {
        assert_eq!((page.status, page.json["notifications"].as_array().map(Vec::len)), (200, Some(1)));
        assert_eq!(page.json["notifications"][0]["deliveries"][0]["target"], "phone");
    }
    assert!(second.json["next"].is_null());
    for (query, says) in [
        ("state=gone", "no state is called `gone`"),
        ("level=loud", "no level is called `loud`"),
        ("since=yesterday", "is no time"),
        ("after=x", "no place in a list"),
        ("limit=0", "no size of a page"),
        ("sort=up", "unknown parameter `sort`"),
    ] {
        let answer = daemon.exchange(&get(&format!("/v1/notifications?{query}"), token)).await;
        let message = answer.json["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && message.contains(says), "{query}: {message}");
    }
    assert_eq!(daemon.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_web_page_that_leads_its_own_name_here_is_refused() {
    let receiver = Receiver::start([reply(200)]);
    let daemon = Daemon::start(&targets(&receiver), "rebound.yml", &[]).await;
    let body = br#"{"title":"x"}"#;
    for (host, status) in [
        ("evil.example", 403),
        ("evil.example:7711", 403),
        ("localhost:7711", 202),
        ("127.0.0.1", 202),
        ("[::1]:7711", 202),
    ] {
        let head = format!(
            "POST /v1/notifications HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(daemon.exchange(&[head.as_bytes(), body].concat()).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_full_queue_answers_429_with_retry_after_and_keeps_what_it_has() {
    let receiver = Receiver::start([hang()]);
    let daemon = Daemon::start(&targets(&receiver), "full.yml", &[]).await;
    let body = serde_json::json!({ "title": "x", "body": "y".repeat(250 << 10) }).to_string();
    let mut accepted = 0;
    let refused = loop {
        let answer = daemon.post(body.as_bytes()).await;
        if answer.status != 202 {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 300, "the queue has no bound");
    };
    assert_eq!((refused.status, refused.json["error"]["code"].as_str()), (429, Some("queue-full")));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    let health = daemon.get("/healthz").await;
    let kept = health.json["waiting"].as_u64().unwrap() + health.json["in_flight"].as_u64().unwrap();
    assert_eq!(kept, accepted);
}

#[tokio::test]
async fn standard_input_is_taken_line_by_line_and_its_end_ends_the_daemon() {
    let receiver = Receiver::start([reply(200)]);
    let mut daemon = Daemon::start(&targets(&receiver), "lines.yml", &["--stdin"]).await;
    let mut input = daemon.child.stdin.take().expect("it has an input");
    let long = "x".repeat(600 << 10);
    let lines = format!("{{\"title\":\"one\"}}\n\nnonsense\n{{\"title\":\"{long}\"}}\n{{\"title\":\"two\"}}");
    input.write_all(lines.as_bytes()).await.expect("it reads");
    drop(input);
    let said_of = async |daemon: &mut Daemon, what: &str| {
        let line = daemon.said.recv().await.expect("it says something");
        assert!(line.contains(what), "{line}");
    };
    said_of(&mut daemon, "line 3: this cannot be read as JSON").await;
    said_of(&mut daemon, "line 4 has more than").await;
    assert_eq!(daemon.end().await, (Some(0), "nuncio has stopped; nothing was left".to_owned()));
    let titles: Vec<Value> =
        receiver.seen().requests.iter().map(|request| request.json()["message"].clone()).collect();
    assert_eq!(titles, ["one", "two"]);
}

#[tokio::test]
async fn sigterm_says_what_was_left() {
    let receiver = Receiver::start([hang()]);
    let daemon = Daemon::start(&targets(&receiver), "left.yml", &["--grace", "100ms"]).await;
    assert_eq!(daemon.post(br#"{"title":"x"}"#).await.status, 202);
    receiver.next().await;
    let (code, last) = daemon.terminate().await;
    assert_eq!(code, Some(0));
    assert!(last.contains("0 waiting, 1 broken off under way"), "{last}");
}
