//! Tests of ntfy.

use super::*;
use crate::notification::Body;
use crate::notification::tests::{items, notification};
use crate::provider::tests::{body, header, notifications, open, problems, request, targets_of, wrong_part};
use proptest::prelude::*;

fn with(more: &Value) -> Value {
    let mut settings = json!({ "url": "https://ntfy.example/", "topic": "alerts" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn sent(target: &Ntfy, notification: &Notification) -> Value {
    serde_json::from_str(&body(&request(target, notification))).unwrap()
}

fn text(level: Level) -> Notification {
    notification(level, "t", Body::Text("b".into()))
}

#[test]
fn a_notification_is_one_message_to_the_root() {
    let mut renewed = notification(Level::Info, "Renewed", items(&["a.example", "b.example"]));
    renewed.link = Some("https://status.example/".into());
    let request = request(&open::<Ntfy>(with(&json!({}))), &renewed);
    assert_eq!((request.method.name(), request.url), ("POST", vec!["https://ntfy.example/".into()]));
    let header = |name: &str, value: &str| (name.to_owned(), vec![value.into()]);
    let json = header("content-type", "application/json");
    assert_eq!(request.head.headers(), [header("x-sequence-id", &renewed.id), json]);
    assert_eq!(
        request.body,
        [Segment::from(
            r#"{"topic":"alerts","title":"Renewed","message":"* a.example\n* b.example\n","priority":2,"click":"https://status.example/","markdown":true}"#
        )]
    );
}

#[test]
fn plain_text_says_nothing_about_markdown_and_no_title_is_sent_empty() {
    let target = open::<Ntfy>(with(&json!({ "format": "plain" })));
    let untitled = notification(Level::Error, "", Body::Text("b".into()));
    assert_eq!(body(&request(&target, &untitled)), r#"{"topic":"alerts","message":"b","priority":4}"#);
}

#[test]
fn an_id_that_is_no_sequence_id_is_left_out() {
    for id in ["order.17", &"x".repeat(65), "a b"] {
        let odd = Notification { id: id.to_owned(), ..text(Level::Info) };
        assert_eq!(header(&request(&open::<Ntfy>(with(&json!({}))), &odd), "x-sequence-id"), None);
    }
}

// GoDoxy defect 1.7.8: a line break in a title was refused, as a header, until the retries ended.
#[test]
fn a_title_with_line_breaks_and_any_script_survives() {
    let title = "❌ web\r\nпропал \"сейчас\"";
    let sent = sent(&open(with(&json!({}))), &notification(Level::Info, title, Body::Text("b".into())));
    assert_eq!(sent["title"], title);
}

#[test]
fn priorities_are_numbers_or_names_for_all_levels_or_by_level() {
    for (setting, expected) in [
        (json!(null), [1, 1, 2, 3, 4, 5]),
        (json!("urgent"), [5; 6]),
        (json!(3), [3; 6]),
        (json!({ "warn": "high", "trace": 2 }), [2, 1, 2, 4, 4, 5]),
    ] {
        let target = open(with(&json!({ "priority": setting })));
        let priority = |level| sent(&target, &text(level))["priority"].clone();
        assert_eq!(Level::ALL.map(priority), expected.map(Value::from), "{setting}");
        assert_eq!(problems::<Ntfy>(with(&json!({ "priority": setting }))), [""; 0]);
    }
}

#[test]
fn the_targets_tags_come_first_and_none_twice() {
    let target = open(with(&json!({ "tags": ["house", "web"] })));
    let tagged = Notification { tags: vec!["web".into(), "warning".into()], ..text(Level::Info) };
    assert_eq!(sent(&target, &tagged)["tags"], json!(["house", "web", "warning"]));
}

#[test]
fn a_token_or_a_user_with_password_is_sent() {
    let (token, mut user) =
        (json!({ "$secret": "n" }), json!({ "user": "ann", "password": { "$secret": "n" } }));
    for (settings, scheme) in [(json!({ "token": token }), "Bearer "), (user.clone(), "Basic ")] {
        let request = request(&open::<Ntfy>(with(&settings)), &text(Level::Info));
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from(scheme));
    }
    user["token"] = token;
    assert_eq!(problems::<Ntfy>(with(&user)).len(), 1);
}

#[test]
fn what_ntfy_refuses_is_refused_at_once() {
    for (settings, problem) in [
        (json!({ "topic": "/alerts" }), "/topic: `/` cannot be in a topic"),
        (json!({ "topic": "my alerts" }), "/topic: ` ` cannot be in a topic"),
        (json!({ "topic": "" }), "/topic: must not be empty"),
        (json!({ "topic": "x".repeat(65) }), "/topic: has 65 characters; at most 64 are allowed"),
        (json!({ "priority": 0 }), "/priority: 0 is out of range (allowed is from 1 to 5)"),
        (json!({ "priority": "hihg" }), "/priority: `hihg` is none of min, low, default, high, max, "),
        (json!({ "priority": { "warn": 6 } }), "/priority/warn: 6 is out of range"),
        (json!({ "user": "ann" }), "/user: a user without a password"),
    ] {
        let found = problems::<Ntfy>(with(&settings));
        assert!(found.len() == 1 && found[0].starts_with(problem), "{found:?}");
    }
    assert_eq!(problems::<Ntfy>(with(&json!({ "topic": "x".repeat(64) }))), [""; 0]);
}

#[test]
fn urls_of_both_dialects_are_read() {
    let target = |more: Value| {
        let mut target = json!({ "url": "https://ntfy.sh", "topic": "t" });
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        target
    };
    let own = json!({ "url": "https://host" });
    for (url, expected) in [
        ("ntfy://t", vec![target(json!({}))]),
        ("ntfys://ntfy.sh/t/u", vec![target(json!({})), target(json!({ "topic": "u" }))]),
        ("ntfy://ntfy.sh/t", vec![target(json!({}))]),
        ("ntfy://t?mode=cloud&to=u", vec![target(json!({})), target(json!({ "topic": "u" }))]),
        ("ntfys://host/t", vec![target(own.clone())]),
        ("ntfy://host:8080/t", vec![target(json!({ "url": "http://host:8080" }))]),
        (
            "ntfys://ann:p%40w@host/t",
            vec![target(json!({ "url": "https://host", "user": "ann", "password": "p@w" }))],
        ),
        ("ntfys://tk_abc@host/t", vec![target(json!({ "url": "https://host", "token": "tk_abc" }))]),
        ("ntfys://abc@host/t?auth=token", vec![target(json!({ "url": "https://host", "token": "abc" }))]),
        ("ntfys://ann:abc@host/t?auth=token", vec![target(json!({ "url": "https://host", "token": "abc" }))]),
        (
            "ntfys://host?to=t&token=abc&mode=private",
            vec![target(json!({ "url": "https://host", "token": "abc" }))],
        ),
        (
            "ntfys://host/t?priority=emergency&xtags=a,b&format=text",
            vec![target(
                json!({ "url": "https://host", "priority": 5, "tags": ["a", "b"], "format": "plain" }),
            )],
        ),
        (
            "ntfys://host/t?delay=1h",
            vec![target(
                json!({ "url": "https://host", "left out": ["?delay: there is no such setting here"] }),
            )],
        ),
        ("ntfy://host/t?scheme=https", vec![target(own.clone())]),
        ("ntfy://host/t?scheme=http", vec![target(json!({ "url": "http://host" }))]),
        ("ntfy://host:81/t?disabletls=yes", vec![target(json!({ "url": "http://host:81" }))]),
        (
            "ntfy://ann:pw@host/t?scheme=https&priority=high&tags=a,b",
            vec![target(
                json!({ "url": "https://host", "user": "ann", "password": "pw", "priority": 4, "tags": ["a", "b"] }),
            )],
        ),
        (
            "ntfy://host/t?scheme=https&token=abc",
            vec![target(json!({ "url": "https://host", "token": "abc" }))],
        ),
        (
            "ntfy://:abc@host/t?cache=yes",
            vec![target(
                json!({ "url": "https://host", "token": "abc", "left out": ["?cache: there is no such setting here"] }),
            )],
        ),
        ("ntfy://host/t?markdown=no", vec![target(json!({ "url": "https://host", "format": "plain" }))]),
        ("ntfy://host/t?markdown=yes", vec![target(own)]),
    ] {
        assert_eq!(targets_of::<Ntfy>(url, None), expected, "{url}");
    }
    for (url, part) in [
        ("ntfy://", "host"),
        ("ntfy://ntfy.sh", "path"),
        ("ntfy://host?mode=private", "path"),
        ("ntfy://host/t?mode=public", "?mode"),
        ("ntfys://ann@host/t", "password"),
        ("ntfys://host/t?priority=9", "?priority"),
        ("ntfys://host/t?auth=none", "?auth"),
        ("ntfy://host?scheme=https", "path"),
        ("ntfy://host/t?scheme=https&priority=loud", "?priority"),
    ] {
        assert_eq!(wrong_part(url), part, "{url}");
    }
}

proptest! {
    #[test]
    fn any_text_arrives_as_it_is(notification in notifications()) {
        let target = open::<Ntfy>(with(&json!({})));
        let sent = sent(&target, &notification);
        prop_assert_eq!(sent["title"].as_str().unwrap_or_default(), notification.title.as_str());
        prop_assert_eq!(sent.get("title").is_some(), !notification.title.is_empty());
        prop_assert_eq!(&sent["message"], &json!(notification.message(Format::Markdown)));
        prop_assert!(!sent["message"].as_str().unwrap().is_empty());
    }
}
