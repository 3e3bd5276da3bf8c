//! Simplepush: <https://simplepu.sh/guide/curl>, and for its old app <https://simplepush.io/api>.
//!
//! A message is a task, which stays in the app, as Apprise sends it. A content has at most 10 000 characters and
//! a title 500, as Apprise says of the server; the unit is not documented, so UTF-16 code units are counted, of
//! which no reading has more. For the old app the same is held to: its limits are not documented. Content is
//! Markdown, of which dialect is not documented; `format: plain` sends it as plain text, as the old app's always
//! is. Priorities are 1 to 5; 5 is an alert that breaks through silence.
//!
//! Encryption is left to others: a password would have to enter this code. That rules out organizations too,
//! whose messages their integration tokens encrypt. The old API answers `"status": "OK"`; the new one by its
//! status. Neither has an idempotency key that is documented.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{COMMONMARK, PLAIN};
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, number_or_word, settings, wrong};
use crate::settings::declare::{Within, settings};
use crate::settings::{PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The API token, as the app shows it in its settings; or else the old app's `key`.
        token: Option<Secret>,
        /// The key that the old app shows.
        key: Option<Secret>,
        /// The topic whose holders get the messages: your own devices, unless this is set.
        topic: Option<String>,
        /// The authentication token of the topic, where it has one.
        topic_token: Option<Secret>,
        /// Whether the holders of the topic share one task: each has one, unless this says so.
        shared: bool = false,
        /// A word that messages are sorted by in the app.
        tag: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The priority from 1 to 5, for all levels or by level; of others: fatal and error 4, warn and info 3,
        /// debug 2, trace 1.
        priority: Option<PerLevel<Priority>>,
        /// The old app's event, which says how it alerts.
        event: Option<String>,
    }
}

/// A priority.
type Priority = Within<1, 5>;

/// A receiver of Simplepush.
pub struct Simplepush {
    way: Way,
    settings: Settings,
    priority: PerLevel<Priority>,
    overflow: Overflow,
}

enum Way {
    Token(Secret),
    Key(Secret),
}

const TITLE: Limit = Limit::utf16(500);
const CONTENT: Limit = Limit::utf16(10_000);

const ANSWER: Answer = Answer { at: "/status", success: "\"OK\"", reason: "/status", meanings: &[] };

impl Provider for Simplepush {
    const NAME: &'static str = "simplepush";
    const SUMMARY: &'static str = "Simplepush, to your own devices or a topic";
    const EXAMPLE: &'static str = "\
- name: simplepush
  provider: simplepush
  token: ${SIMPLEPUSH_TOKEN}
  topic: ops
- name: simplepush-old
  provider: simplepush
  key: ${SIMPLEPUSH_KEY}
";
    const AUTH: &'static str = "token, or the old app's key";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["spush", "simplepush"],
        apprise_form: "spush://token/topic",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.simplepu.sh", "https://api-legacy.simplepu.sh"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("title", &["/title"], TITLE),
        Bound::text("text", &["/content"], CONTENT),
        Bound::text("old app's text", &["/msg"], CONTENT),
    ];

    type Settings = Settings;

    fn check(
        mut settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        let way = match (settings.token.take(), settings.key.take()) {
            (Some(token), None) => Way::Token(token),
            (None, Some(key)) => Way::Key(key),
            (Some(_), Some(_)) => {
                problems.value(&at.at("key"), "both `token` and `key` are set", "keep one of the two");
                return None;
            }
            (None, None) => {
                let hint = "add `token`, or `key` where the app is the old one";
                problems.value(at, "there is neither `token` nor `key`", hint);
                return None;
            }
        };
        let is_old = matches!(way, Way::Key(_));
        for (name, is_set, is_of_old) in [
            ("topic", settings.topic.is_some(), false),
            ("topic_token", settings.topic_token.is_some(), false),
            ("shared", settings.shared, false),
            ("tag", settings.tag.is_some(), false),
            ("priority", settings.priority.is_some(), false),
            ("event", settings.event.is_some(), true),
        ] {
            if is_set && is_of_old != is_old {
                let problem =
                    if is_old { "the old app has no such thing" } else { "only the old app has this" };
                problems.value(&at.at(name), problem, "leave it out");
            }
        }
        if settings.topic.is_none() && settings.topic_token.is_some() {
            problems.value(&at.at("topic_token"), "there is no topic that it is for", "add `topic`");
        }
        let defaults = PerLevel::from_fn(default_priority);
        let priority =
            settings.priority.clone().map_or(defaults.clone(), |priority| priority.over(&defaults));
        (problems.len() == before).then_some(Self { way, settings, priority, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        for (part, password) in [("user", url.user()), ("?password", url.option(&["password"]))] {
            if password.is_some() {
                let hint = "leave it out, and messages are sent as they are, over TLS";
                return Err(wrong(part, "is a password, and Nuncio does not encrypt", hint));
            }
        }
        let token = url.take_host("the API token")?;
        if token.starts_with("spi_") {
            let hint = "write the API token of a user, from the app's settings";
            return Err(wrong("host", "is an organization's token, and Nuncio does not encrypt", hint));
        }
        let mut topics = url.rest();
        topics.extend(url.list(&["to"]));
        if topics.iter().any(|topic| topic.starts_with('@')) || url.flag(&["broadcast"])? == Some(true) {
            let hint = "write the name of a topic";
            return Err(wrong("path", "names a member, which only an organization has", hint));
        }
        let priority = match url.option(&["priority"]) {
            None => Value::Null,
            Some(text) => url_priority(&text)?,
        };
        let shared = url.flag(&["shared"])?.filter(|shared| *shared);
        let tag = url.option(&["sptag"]);
        let topic_token = if topics.is_empty() { None } else { url.option(&["topic_auth_token"]) };
        let target = |topic: String| {
            settings([
                ("token", token.as_str().into()),
                ("topic", topic.into()),
                ("topic_token", json!(topic_token)),
                ("shared", json!(shared)),
                ("tag", json!(tag)),
                ("priority", priority.clone()),
            ])
        };
        let own = topics.is_empty().then(String::new);
        Ok(topics.into_iter().chain(own).map(target).collect())
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { topic, topic_token, shared, tag, event, .. } = &self.settings;
        let format = occasion.format(self.settings.format);
        let title = Text::plain(&notification.title).fit(&PLAIN, self.overflow.limit(TITLE));
        let text = Text::of(notification, format);
        match &self.way {
            Way::Token(token) => {
                let request = |content: String| {
                    let mut task = Object::default()
                        .with("topic", topic.as_deref())
                        .with("shared", shared.then_some(true))
                        .with_text("title", &title)
                        .with("content", content)
                        .with("contentFormat", if format == Format::Markdown { "markdown" } else { "plain" })
                        .with("priority", self.priority.find(notification.level).map(|priority| priority.0))
                        .with("tag", tag.as_deref())
                        .with("links", notification.link.as_ref().map(|link| json!([link])));
                    if let Some(topic_token) = topic_token {
                        task = task.with_secret("topicAuthToken", topic_token);
                    }
                    let request = Request::post(vec!["https://api.simplepu.sh/v1/tasks/json".into()]);
                    task.into(request.header("api-token", vec![token.segment(Escape::Verbatim)]))
                };
                let parts = text.parts(format.of(&COMMONMARK), CONTENT, self.overflow);
                Ok(each(parts, &request))
            }
            Way::Key(key) => {
                let request = |msg: String| {
                    let message = Object::default()
                        .with_secret("key", key)
                        .with_text("title", &title)
                        .with("msg", msg)
                        .with("event", event.as_deref());
                    message.into(Request::post(vec!["https://api-legacy.simplepu.sh/send".into()]))
                };
                let text = text.linked(notification.link.as_deref());
                Ok(each(text.parts(&PLAIN, CONTENT, self.overflow), &request))
            }
        }
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        match self.way {
            Way::Token(_) => None,
            Way::Key(_) => ANSWER.classify(reply),
        }
    }
}

fn default_priority(level: Level) -> Priority {
    Within(match level {
        Level::Trace => 1,
        Level::Debug => 2,
        Level::Info | Level::Warn => 3,
        Level::Error | Level::Fatal => 4,
    })
}

/// A number, or Apprise's word for one.
fn url_priority(text: &str) -> Result<Value, UrlProblem> {
    let words = [
        ("minimal", 1),
        ("low", 2),
        ("default", 3),
        ("normal", 3),
        ("high", 4),
        ("critical", 5),
        ("emergency", 5),
        ("max", 5),
    ];
    number_or_word(text, "?priority", &words, 1..=5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{
        body, header, open, problems, request, requests, target_of, targets_of, wrong_part,
    };
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "token": { "$secret": "s/token" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn old() -> Value {
        json!({ "key": { "$secret": "s/key" }, "event": "alarm" })
    }

    #[test]
    fn a_message_is_a_task_in_markdown() {
        let mut down = notification(Level::Error, "a *b*", items(&["x_y_", "z"]));
        down.link = Some("https://x.example/".into());
        let settings = json!({ "topic": "ops", "tag": "web", "shared": true });
        let request = request(&open::<Simplepush>(with(&settings)), &down);
        assert_eq!(request.url, [Segment::from("https://api.simplepu.sh/v1/tasks/json")]);
        let token = Segment::Secret { name: "s/token".into(), escape: Escape::Verbatim };
        assert_eq!(header(&request, "api-token").unwrap(), [token]);
        assert_eq!(
            body(&request),
            r#"{"topic":"ops","shared":true,"title":"a *b*","content":"* x_y\\_\n* z","contentFormat":"markdown","priority":4,"tag":"web","links":["https://x.example/"]}"#
        );
    }

    #[test]
    fn a_plain_message_and_a_topic_with_a_token() {
        let text = notification(Level::Warn, "", Body::Text("*a*".into()));
        let settings = json!({ "format": "plain", "priority": { "warn": 5 } });
        assert_eq!(
            body(&request(&open::<Simplepush>(with(&settings)), &text)),
            r#"{"content":"*a*","contentFormat":"plain","priority":5}"#
        );
        let settings = json!({ "topic": "ops", "topic_token": { "$secret": "s/topic" } });
        let request = request(&open::<Simplepush>(with(&settings)), &text);
        let token = Segment::Secret { name: "s/topic".into(), escape: Escape::Json };
        assert_eq!(request.body[1..], [token, "\"}".into()]);
    }

    #[test]
    fn the_old_app_has_a_key_and_plain_text() {
        let mut down = notification(Level::Info, "t", Body::Text("**a**".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Simplepush>(old()), &down);
        assert_eq!(request.url, [Segment::from("https://api-legacy.simplepu.sh/send")]);
        let key = Segment::Secret { name: "s/key".into(), escape: Escape::Json };
        let rest = r#"","title":"t","msg":"a\n\nhttps://x.example/","event":"alarm"}"#;
        assert_eq!(request.body, [r#"{"key":""#.into(), key, rest.into()]);
    }

    #[test]
    fn long_text_is_several_messages() {
        let long = notification(Level::Info, &"t".repeat(501), Body::Text("word ".repeat(3000)));
        let sent = requests(&open::<Simplepush>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 2);
        assert!(body(&sent[1]).contains(r#"t…","content":"2/2\n\nword"#));
        assert_eq!(requests(&open::<Simplepush>(old()), &long).len(), 2);
        for (more, count) in [("", 1), ("x", 2)] {
            let exact =
                notification(Level::Info, &("😀".repeat(250) + more), Body::Text("😀".repeat(5000) + more));
            let sent = requests(&open::<Simplepush>(with(&json!({}))), &exact);
            assert_eq!((sent.len(), body(&sent[0]).contains("…\",\"content")), (count, count == 2));
        }
    }

    #[test]
    fn one_of_the_two_apps_is_chosen() {
        let both = problems::<Simplepush>(with(&old()));
        assert!(both.len() == 1 && both[0].starts_with("/key: both"), "{both:?}");
        assert!(problems::<Simplepush>(json!({}))[0].starts_with(": there is neither"));
        for (settings, at) in [
            (with(&json!({ "event": "e" })), "/event: only the old app"),
            (with(&json!({ "topic_token": { "$secret": "t" } })), "/topic_token: there is no topic"),
            (with(&json!({ "priority": 0 })), "/priority"),
            (json!({ "key": { "$secret": "k" }, "topic": "ops" }), "/topic: the old app"),
            (json!({ "key": { "$secret": "k" }, "tag": "t" }), "/tag: the old app"),
            (json!({ "key": { "$secret": "k" }, "shared": true }), "/shared: the old app"),
        ] {
            let found = problems::<Simplepush>(settings);
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, settings) in [
            ("spush://token", json!({ "token": "token" })),
            ("simplepush://to%2Fken/", json!({ "token": "to/ken" })),
            ("spush://token/my%20topic", json!({ "token": "token", "topic": "my topic" })),
            (
                "spush://token/caf%C3%A9?priority=critical&sptag=web&format=text",
                json!({ "token": "token", "topic": "café", "tag": "web", "priority": 5, "format": "plain" }),
            ),
            (
                "spush://token/?to=ops&shared=yes&topic_auth_token=t%40t&broadcast=no",
                json!({ "token": "token", "topic": "ops", "topic_token": "t@t", "shared": true }),
            ),
            (
                "spush://token/?priority=2&links=https://x.example&critical_volume=0.5",
                json!({ "token": "token", "priority": 2, "left out": ["?links: there is no such setting here", "?critical_volume: there is no such setting here"] }),
            ),
        ] {
            assert_eq!(target_of::<Simplepush>(url), settings, "{url}");
        }
        let several = targets_of::<Simplepush>("spush://token/a/b?to=c,d", None);
        let topics: Vec<&Value> = several.iter().map(|target| &target["topic"]).collect();
        assert_eq!(topics, ["a", "b", "c", "d"]);
        for (url, part) in [
            ("spush://", "host"),
            ("spush://password@token/topic", "user"),
            ("spush://token/topic?password=x", "?password"),
            ("spush://spi_a.b/topic", "host"),
            ("spush://token/@member", "path"),
            ("spush://token?broadcast=yes", "path"),
            ("spush://token?priority=6", "?priority"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        for (settings, status, body, class) in [
            (with(&json!({})), 201, "{}", None),
            (with(&json!({})), 401, r#"{"error":"unauthorized","msg":"m"}"#, None),
            (old(), 200, r#"{"status":"OK"}"#, Some(Class::Delivered)),
            (
                old(),
                200,
                r#"{"status":"BadRequest","message":"Title or message too long"}"#,
                Some(Class::Permanent),
            ),
            (old(), 200, "<html>", Some(Class::Ambiguous)),
            (old(), 500, "", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&open::<Simplepush>(settings), &reply), class, "{body}");
        }
    }
}
