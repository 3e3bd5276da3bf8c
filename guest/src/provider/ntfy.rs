//! ntfy, <https://docs.ntfy.sh/publish/#publish-as-json>: a message as JSON to the root of the server.
//!
//! JSON, because the headers of the other form can hold neither a line break nor, in every client, UTF-8.
//!
//! Limits: a topic is 1 to 64 of `A-Z a-z 0-9 _ -`; a message is 4096 bytes by default, which a server can
//! set (<https://docs.ntfy.sh/config/#message-limits>). A longer one becomes an attachment where the server
//! keeps attachments, and is refused where it does not; JSON of more than twice that limit is always
//! refused, with status 413. Because only the server knows its limits, nothing is cut here unless `overflow`
//! says so, and then at the default. ntfy splits tags
//! at commas, and cuts white space off both ends of a title and a message.
//!
//! The notification's id is the message's sequence id, where it fits: from ntfy 2.16 on, a message that comes
//! twice replaces itself on a phone (<https://docs.ntfy.sh/publish/#updating-deleting-notifications>). Older
//! servers leave the header alone.

use serde_json::{Map, Value, json};

use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::COMMONMARK;
use crate::notification::{Format, Level, Notification};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, number_or_word, settings, wrong};
use crate::settings::declare::{Setting, Within, one_of, settings};
use crate::settings::{BaseUrl, PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the server, without the topic.
        url: BaseUrl,
        /// The topic to publish to: 1 to 64 letters, digits, `_` and `-`.
        #[length(1, 64)]
        #[pattern("^[-_A-Za-z0-9]+$")]
        topic: String,
        /// An access token, for a topic that is not open to all.
        token: Option<Secret>,
        /// A user's name, where there is no token.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// How messages are written: markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The priority, for all levels or by level: 1 to 5, or min, low, default, high, max, urgent; of others:
        /// fatal 5, error 4, warn 3, info 2, debug and trace 1.
        priority: Option<PerLevel<Priority>>,
        /// Tags of every message, before those of the notification. ntfy shows some as emoji.
        tags: Vec<String>,
    }
}

/// How loud a message is: a number from 1 to 5, or one of ntfy's names for it.
#[derive(Clone, Copy)]
struct Priority(u64);

/// ntfy's names, and what they stand for.
const PRIORITIES: [(&str, u64); 6] =
    [("min", 1), ("low", 2), ("default", 3), ("high", 4), ("max", 5), ("urgent", 5)];

impl Setting for Priority {
    fn schema() -> Value {
        json!({ "anyOf": [Within::<1, 5>::schema(), one_of(&PRIORITIES.map(|(name, _)| name))] })
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(name) => PRIORITIES.iter().find(|(known, _)| known == name).map(|(_, n)| Self(*n)),
            other => other.as_u64().filter(|number| (1..=5).contains(number)).map(Self),
        }
    }
}

/// A topic of an ntfy server.
pub struct Ntfy {
    url: Vec<Segment>,
    authorization: Option<Vec<Segment>>,
    topic: String,
    format: Format,
    priority: PerLevel<Priority>,
    tags: Vec<String>,
    overflow: Overflow,
}

const MESSAGE: Limit = Limit::bytes(4096);

/// How long a sequence id can be, in characters.
const LONGEST_ID: usize = 64;

impl Provider for Ntfy {
    const NAME: &'static str = "ntfy";
    const SUMMARY: &'static str = "ntfy, ntfy.sh or self-hosted";
    const EXAMPLE: &'static str = "\
- name: alerts
  provider: ntfy
  url: https://ntfy.sh
  topic: my-alerts-k2bhi7
  token: ${NTFY_TOKEN}
  tags: [house]
";
    const AUTH: &'static str = "none, token, or user and password";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["ntfy", "ntfys"],
        apprise_form: "ntfys://user:password@host/topic",
        shoutrrr: &["ntfy"],
        shoutrrr_form: "ntfy://user:password@host/topic?scheme=https",
    };

    // Since 2.16, by the sequence id (https://docs.ntfy.sh/publish/#updating-notifications).
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[Bound::text("text", &["/message"], MESSAGE)];
    const OVERFLOW: Overflow = Overflow::Upstream;

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        if let Some(wrong) = settings.topic.chars().find(|c| !is_of_topic(*c)) {
            let hint = match wrong {
                '/' | ':' => "write the topic's name alone, and the server into `url`",
                _ => "allowed are letters, digits, `_` and `-`",
            };
            problems.value(&at.at("topic"), format!("`{wrong}` cannot be in a topic"), hint);
        }
        let (user, password) = (settings.user.as_deref(), settings.password.as_ref());
        let authorization = authorization::value(settings.token.as_ref(), user, password, at, problems);
        let defaults = PerLevel::from_fn(default_priority);
        (problems.len() == before).then(|| Self {
            url: settings.url.join(""),
            authorization,
            topic: settings.topic,
            format: settings.format,
            priority: settings.priority.map_or(defaults.clone(), |priority| priority.over(&defaults)),
            tags: settings.tags,
            overflow,
        })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_of_apprise = url.is(UrlDialect::Apprise);
        let is_tls = match is_of_apprise {
            true => url.scheme == "ntfys",
            false => {
                url.option(&["scheme"]).is_none_or(|scheme| scheme != "http")
                    && !url.flag(&["disabletls"])?.unwrap_or(false)
            }
        };
        let named = if is_of_apprise { url.list(&["to"]) } else { Vec::new() };
        // Without a topic behind it, what stands in the host's place is a topic of ntfy.sh.
        let is_cloud = is_of_apprise
            && (url.option(&["mode"]).is_some_and(|mode| mode.eq_ignore_ascii_case("cloud"))
                || url.entries() == 0 && named.is_empty());
        let (base, mut topics) = match is_cloud {
            true => ("https://ntfy.sh".to_owned(), vec![url.take_host("a topic")?]),
            false => (url.origin(is_tls)?, Vec::new()),
        };
        topics.extend(url.rest());
        topics.extend(named);
        if topics.is_empty() {
            return Err(wrong(
                "path",
                "is missing: a topic belongs there",
                "write it as `ntfy://host/topic`",
            ));
        }
        let (user, password) = (url.user(), url.password());
        let by_option = if is_of_apprise { url.option(&["token"]) } else { None };
        let wants_token =
            is_of_apprise && url.option(&["auth"]).is_some_and(|auth| auth.eq_ignore_ascii_case("token"));
        let (token, user, password) = match (by_option, user, password) {
            (Some(token), _, _) => (Some(token), None, None),
            (None, None, Some(token)) => (Some(token), None, None),
            (None, Some(user), None) if is_of_apprise && (wants_token || user.starts_with("tk_")) => {
                (Some(user), None, None)
            }
            (None, user, password) => (None, user, password),
        };
        let priority = match url.option(&["priority"]) {
            None => Value::Null,
            Some(text) => url_priority(&text)?,
        };
        let tags = url.list(&["tags", "xtags"]);
        let target = |topic: String| {
            settings([
                ("url", base.as_str().into()),
                ("topic", topic.into()),
                ("token", json!(token)),
                ("user", json!(user)),
                ("password", json!(password)),
                ("priority", priority.clone()),
                ("tags", if tags.is_empty() { Value::Null } else { json!(tags) }),
            ])
        };
        Ok(topics.into_iter().map(target).collect())
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        ["scheme", "disabletls"].iter().any(|name| url.has_option(name))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let mut tags: Vec<&str> = Vec::new();
        for tag in self.tags.iter().chain(&notification.tags) {
            if !tags.contains(&tag.as_str()) {
                tags.push(tag);
            }
        }
        let (level, format) = (notification.level, occasion.format(self.format));
        let whole = notification.message(format);
        let parts = match self.overflow {
            Overflow::Split | Overflow::Truncate if !MESSAGE.fits(&whole) => {
                let text = Text::of(notification, format);
                text.parts(format.of(&COMMONMARK), MESSAGE, self.overflow)
            }
            _ => vec![whole],
        };
        let request = |(n, message): (usize, String)| {
            let priority = self.priority.find(level).copied().unwrap_or(default_priority(level));
            let message = Object::default()
                .with("topic", self.topic.as_str())
                .with_text("title", &notification.title)
                .with("message", message)
                .with("priority", priority.0)
                .with("tags", (!tags.is_empty()).then(|| tags.clone()))
                .with("click", notification.link.clone())
                .with("markdown", (format == Format::Markdown).then_some(true));
            let mut request = Request::new("POST", self.url.clone());
            // Each part has its own, or else it would take the place of the one before.
            let id = if n == 0 { notification.id.clone() } else { format!("{}-{n}", notification.id) };
            if (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_of_topic) {
                request = request.header("x-sequence-id", vec![id.into()]);
            }
            if let Some(authorization) = &self.authorization {
                request = request.header("authorization", authorization.clone());
            }
            message.into(request)
        };
        Ok(parts.into_iter().enumerate().map(request).collect())
    }
}

/// Those of GoDoxy's `ntfy.go`, with `fatal` above `error` also where it stands for a panic.
fn default_priority(level: Level) -> Priority {
    Priority(match level {
        Level::Trace | Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
        Level::Fatal => 5,
    })
}

/// Whether a topic may have it, or a sequence id.
fn is_of_topic(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// A number, or a word that Apprise or ntfy has for one.
fn url_priority(text: &str) -> Result<Value, UrlProblem> {
    let words = [
        ("min", 1),
        ("low", 2),
        ("moderate", 2),
        ("default", 3),
        ("normal", 3),
        ("high", 4),
        ("max", 5),
        ("emergency", 5),
        ("urgent", 5),
    ];
    number_or_word(text, "?priority", &words, 1..=5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{body, header, notifications, open, problems, request};
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
        assert_eq!((request.method, request.url), ("POST", vec!["https://ntfy.example/".into()]));
        let header = |name: &str, value: &str| (name.to_owned(), vec![value.into()]);
        let json = header("content-type", "application/json");
        assert_eq!(request.headers, [header("x-sequence-id", &renewed.id), json]);
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
}
