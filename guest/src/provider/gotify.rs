//! Gotify, <https://gotify.net/api-docs>: the operation `createMessage`.
//!
//! `message` must not be empty; a limit of its length is not documented. Extras are documented at
//! <https://gotify.net/docs/msgextras>. A message without `priority` has the default of its application, so
//! that every message here has one. The token goes into a header, never into the query, and its form is the
//! server's business: it changed with Gotify 3.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::notification::{Format, Level, Notification};
use crate::payload::{Object, object};
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, number_or_word, settings};
use crate::settings::declare::{Within, settings};
use crate::settings::{BaseUrl, PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the server, with the path that it is served under, if any.
        url: BaseUrl,
        /// The token of the application that the messages belong to.
        token: Secret,
        /// How messages are written: markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The priority from 0 to 10, for all levels or by level; of others: fatal 8, error 5, warn 2, info,
        /// debug and trace 0. Gotify's app makes no sound below 4.
        priority: Option<PerLevel<Priority>>,
    }
}

/// An application of a Gotify server.
pub struct Gotify {
    url: Vec<Segment>,
    authorization: Vec<Segment>,
    format: Format,
    priority: PerLevel<Priority>,
}

/// A priority.
type Priority = Within<0, 10>;

impl Provider for Gotify {
    const NAME: &'static str = "gotify";
    const SUMMARY: &'static str = "Gotify, a self-hosted push server";
    const EXAMPLE: &'static str = "\
- name: phone
  provider: gotify
  url: https://gotify.example.com
  token: ${GOTIFY_TOKEN}
  priority:
    warn: 4
    error: 8
";
    const AUTH: &'static str = "token";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["gotify", "gotifys"],
        apprise_form: "gotifys://host/path/token?priority=high",
        shoutrrr: &["gotify"],
        shoutrrr_form: "gotify://host/path/token?priority=5",
    };

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        let defaults = PerLevel::from_fn(default_priority);
        Some(Self {
            url: settings.url.join("message"),
            authorization: settings.token.bearer(),
            format: settings.format,
            priority: settings.priority.map_or(defaults.clone(), |priority| priority.over(&defaults)),
        })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_tls = match url.dialect {
            UrlDialect::Apprise => url.scheme == "gotifys",
            UrlDialect::Shoutrrr => !url.flag(&["disabletls"])?.unwrap_or(false),
        };
        let token = match url.option(if url.is(UrlDialect::Shoutrrr) { &["token"] } else { &[] }) {
            None => url.last_entry("the application's token")?,
            Some(token) => {
                // The path is then that of the operation.
                url.last_entry("the path `message`")?;
                token
            }
        };
        let base = url.base(is_tls)?;
        let priority = match url.option(&["priority"]) {
            None => Value::Null,
            // What is below 0 in shoutrrr's URLs makes no sound either.
            Some(text) if url.is(UrlDialect::Shoutrrr) && ["-1", "-2"].contains(&text.trim()) => 0.into(),
            Some(text) => url_priority(&text)?,
        };
        // The token is always sent in a header.
        url.flag(&["useheader"])?;
        Ok(vec![settings([("url", base.into()), ("token", token.into()), ("priority", priority)])])
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        ["date", "disabletls", "extras", "insecureskipverify", "title", "token", "useheader"]
            .iter()
            .any(|name| url.has_option(name))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.format);
        let is_markdown = format == Format::Markdown;
        let click = notification.link.as_ref().map(|link| json!({ "click": { "url": link } }));
        let extras = object([
            ("client::display", json!(is_markdown.then(|| json!({ "contentType": "text/markdown" })))),
            ("client::notification", json!(click)),
        ]);
        let has_extras = is_markdown || click.is_some();
        let message = Object::default()
            .with("title", notification.title.as_str())
            .with("message", notification.message(format))
            .with("priority", self.priority.get(notification.level).0)
            .with("extras", has_extras.then_some(extras));
        let request = Request::post(self.url.clone()).header("authorization", self.authorization.clone());
        Ok(vec![message.into(request)])
    }
}

/// The priorities of GoDoxy's `gotify.go`.
fn default_priority(level: Level) -> Priority {
    Within(match level {
        Level::Trace | Level::Debug | Level::Info => 0,
        Level::Warn => 2,
        Level::Error => 5,
        Level::Fatal => 8,
    })
}

/// A number, or Apprise's word for one.
fn url_priority(text: &str) -> Result<Value, UrlProblem> {
    let words = [("low", 0), ("moderate", 3), ("normal", 5), ("high", 8), ("emergency", 10)];
    number_or_word(text, "?priority", &words, 0..=10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{fields, items, notification};
    use crate::provider::tests::{
        body, header, notifications, open, problems, request, target_of, wrong_part,
    };

    fn settings() -> Value {
        json!({ "url": "https://push.example", "token": { "$secret": "phone/token" } })
    }

    fn with(key: &str, value: Value) -> Gotify {
        let mut settings = settings();
        settings[key] = value;
        open(settings)
    }

    fn sent(target: &Gotify, notification: &Notification) -> Value {
        serde_json::from_str(&body(&request(target, notification))).unwrap()
    }

    #[test]
    fn a_notification_is_one_message() {
        let down = fields(&[("Service Name", "web"), ("Detail", "no \"route\"")]);
        let request =
            request(&open::<Gotify>(settings()), &notification(Level::Warn, "❌ web is down", down));
        assert_eq!(request.method.name(), "POST");
        assert_eq!(request.url, [Segment::from("https://push.example/message")]);
        assert_eq!(header(&request, "content-type"), Some(&["application/json".into()][..]));
        let secret =
            <Secret as crate::settings::declare::Setting>::read(&json!({ "$secret": "phone/token" }))
                .unwrap();
        assert_eq!(header(&request, "authorization"), Some(&secret.bearer()[..]));
        assert_eq!(
            body(&request),
            r#####"{"title":"❌ web is down","message":"#### Service Name\nweb\n#### Detail\nno \"route\"\n","priority":2,"extras":{"client::display":{"contentType":"text/markdown"}}}"#####
        );
    }

    #[test]
    fn plain_text_says_nothing_about_markdown() {
        let plain = with("format", json!("plain"));
        let renewed = notification(Level::Info, "Renewed", items(&["a.example", "b.example"]));
        assert_eq!(
            body(&request(&plain, &renewed)),
            r#"{"title":"Renewed","message":"a.example\nb.example","priority":0}"#
        );
    }

    #[test]
    fn a_link_opens_on_click() {
        let mut linked = notification(Level::Info, "t", Body::Text("b".into()));
        linked.link = Some("https://status.example/web?a=1&b=2".into());
        let extras = json!({
            "client::display": { "contentType": "text/markdown" },
            "client::notification": { "click": { "url": "https://status.example/web?a=1&b=2" } },
        });
        assert_eq!(sent(&open(settings()), &linked)["extras"], extras);
    }

    // GoDoxy defect 1.7.7: a slash at the end of the URL made it `//message`.
    #[test]
    fn a_slash_at_the_end_of_the_url_makes_no_difference() {
        for (url, message) in [
            ("https://push.example/", "https://push.example/message"),
            ("https://push.example//", "https://push.example/message"),
            ("http://10.0.0.2:8080/gotify/", "http://10.0.0.2:8080/gotify/message"),
        ] {
            let request =
                request(&with("url", json!(url)), &notification(Level::Info, "t", Body::Text("b".into())));
            assert_eq!(request.url, [Segment::from(message)]);
        }
    }

    #[test]
    fn every_level_has_a_priority_always_sent() {
        let priority = |level| {
            sent(&open(settings()), &notification(level, "t", Body::Text("b".into())))["priority"].clone()
        };
        assert_eq!(Level::ALL.map(priority), [0, 0, 0, 2, 5, 8].map(Value::from));
    }

    // GoDoxy defect 1.7.14: "Service went down" is a warning, and a warning made no sound.
    #[test]
    fn priorities_are_set_for_all_levels_or_by_level() {
        for (setting, expected) in [
            (json!(7), [7; 6]),
            (json!({ "warn": 6, "trace": 1 }), [1, 0, 0, 6, 5, 8]),
            (json!({}), [0, 0, 0, 2, 5, 8]),
        ] {
            let target = with("priority", setting);
            let priority =
                |level| sent(&target, &notification(level, "t", Body::Text("b".into())))["priority"].clone();
            assert_eq!(Level::ALL.map(priority), expected.map(Value::from));
        }
    }

    #[test]
    fn what_gotify_refuses_is_refused_at_once() {
        let found = |key: &str, value: Value| {
            let mut settings = settings();
            settings[key] = value;
            problems::<Gotify>(settings)
        };
        assert_eq!(found("priority", json!(11)), ["/priority: 11 is out of range (allowed is from 0 to 10)"]);
        assert_eq!(found("priority", json!({ "warn": -1 })).len(), 1);
        assert_eq!(found("format", json!("html")).len(), 1);
        assert_eq!(found("url", json!("push.example")).len(), 1);
        // GoDoxy took a missing token until its commit 3e73be60.
        let missing = problems::<Gotify>(json!({ "url": "https://push.example" }));
        assert!(missing[0].contains("`token` is missing"), "{missing:?}");
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, base, more) in [
            ("gotify://host/TOKEN", "http://host", json!({})),
            ("gotifys://host:8443/TOKEN/", "https://host:8443", json!({})),
            ("gotifys://host/a%20b/c/TOKEN", "https://host/a%20b/c", json!({})),
            ("gotifys://[::1]:80/TOKEN?priority=high", "https://[::1]:80", json!({ "priority": 8 })),
            (
                "gotifys://host/TOKEN?priority=10&format=text",
                "https://host",
                json!({ "priority": 10, "format": "plain" }),
            ),
            (
                "gotifys://ann:pw@host/TOKEN?image=no",
                "https://host",
                json!({ "left out": ["user: this kind of URL has no use for it", "password: this kind of URL has no use for it", "?image: there is no such setting here"] }),
            ),
            ("gotify://host/TOKEN?disabletls=no", "https://host", json!({})),
            ("gotify://host:80/TOKEN?disabletls=yes", "http://host:80", json!({})),
            (
                "gotify://host/a/b/TOKEN?useheader=yes&priority=-2",
                "https://host/a/b",
                json!({ "priority": 0 }),
            ),
            ("gotify://host/message?token=TOKEN", "https://host", json!({})),
            (
                "gotify://host:443/a/message?token=TOKEN&priority=1",
                "https://host:443/a",
                json!({ "priority": 1 }),
            ),
            (
                "gotify://host/TOKEN?title=Great+News",
                "https://host",
                json!({ "left out": ["?title: there is no such setting here"] }),
            ),
        ] {
            let mut expected = json!({ "url": base, "token": "TOKEN" });
            expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(target_of::<Gotify>(url), expected, "{url}");
        }
        for (url, part) in [
            ("gotify://host", "path"),
            ("gotify:///TOKEN", "host"),
            ("gotifys://host/TOKEN?priority=11", "?priority"),
            ("gotifys://host/TOKEN?priority=-1", "?priority"),
            ("gotify://host:x/TOKEN", "port"),
            ("gotify://host/TOKEN?disabletls=perhaps", "?disabletls"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_arrives_as_it_is(notification in notifications()) {
            let target = open::<Gotify>(settings());
            let sent = sent(&target, &notification);
            prop_assert_eq!(&sent["title"], &json!(notification.title));
            prop_assert_eq!(&sent["message"], &json!(notification.message(Format::Markdown)));
            prop_assert!(!sent["message"].as_str().unwrap().is_empty());
        }
    }
}
