//! Apprise API, a server that passes messages on: <https://github.com/caronc/apprise-api>, the operation
//! `POST /notify/{key}`.
//!
//! The limits are those of the services that the server has under the key, which nobody but it knows: what is
//! longer is its `overflow` to treat. A body is CommonMark and said to be; `format: plain` says that it is text.
//! The key goes into the path, which every version of the server reads, where Apprise itself has put it into a
//! header since 2.3.
//!
//! The server answers 204 where it has nothing under the key, and 424 where at least one of its services failed:
//! the others may have shown the message. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::COMMONMARK;
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request, Segment};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{choices, settings};
use crate::settings::{BaseUrl, PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the server, with the path that it is served under, if any.
        url: BaseUrl,
        /// The key that the server has its configuration under.
        key: Secret,
        /// The user to log in as, where a proxy or the server wants one.
        user: Option<String>,
        /// The password of that user, or one without a user.
        password: Option<Secret>,
        /// Which of the services under the key get messages: those with one of these tags, separated by commas, or
        /// with all, separated by spaces; all services, unless this is set.
        tag: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// What a message is for Apprise, for all levels or by level: info, success, warning or failure; of others:
        /// fatal and error failure, warn warning, info, debug and trace info.
        kind: Option<PerLevel<Kind>>,
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Kind {
        Info = "info",
        Success = "success",
        Warning = "warning",
        Failure = "failure",
    }
}

/// A configuration of an Apprise API server.
pub struct Apprise {
    url: Vec<Segment>,
    authorization: Option<Vec<Segment>>,
    tag: Option<String>,
    format: Format,
    kind: PerLevel<Kind>,
}

impl Provider for Apprise {
    const NAME: &'static str = "apprise";
    const SUMMARY: &'static str = "an Apprise API server, and all that it passes messages on to";
    const EXAMPLE: &'static str = "\
- name: apprise
  provider: apprise
  url: https://apprise.example.com
  key: ${APPRISE_KEY}
  tag: ops
";
    const AUTH: &'static str = "key, and user and password";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["apprise", "apprises"],
        apprise_form: "apprises://user:password@host/path/key?tags=ops",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const OVERFLOW: Overflow = Overflow::Upstream;

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let before = problems.len();
        let Settings { url, key, user, password, tag, format, kind } = settings;
        // A server can have a password and no users.
        let user = user.or_else(|| password.is_some().then(String::new));
        let authorization = authorization::value(None, user.as_deref(), password.as_ref(), at, problems);
        let mut url = url.join("notify/");
        url.push(key.segment(Escape::Percent));
        let defaults = PerLevel::from_fn(default_kind);
        let kind = kind.map_or(defaults.clone(), |kind| kind.over(&defaults));
        (problems.len() == before).then_some(Self { url, authorization, tag, format, kind })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_tls = url.scheme == "apprises";
        let (part, key) = match url.option(&["token"]).or_else(|| url.option(&["to"])) {
            Some(key) => ("?token", key),
            None => ("path", url.last_entry("the key of the configuration")?),
        };
        let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if key.is_empty() || !key.chars().all(is_of_key) {
            let hint = "a key has letters, digits, `_` and `-`";
            return Err(wrong(part, "is no key of a configuration", hint));
        }
        let base = url.base(is_tls)?;
        // How a message gets to the server, which makes no difference to it.
        url.option(&["method"]);
        url.option(&["version", "v"]);
        Ok(vec![settings([
            ("url", base.into()),
            ("key", key.into()),
            ("user", json!(url.user())),
            ("password", json!(url.password())),
            ("tag", url.value(&["tags"])),
        ])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.format);
        let text = Text::of(notification, format).linked(notification.link.as_deref());
        let message = Object::default()
            .with_text("title", notification.title.trim())
            .with("body", text.write(format.of(&COMMONMARK)))
            .with("type", self.kind.find(notification.level).map(|kind| kind.name()))
            .with("format", if format == Format::Markdown { "markdown" } else { "text" })
            .with("tag", self.tag.as_deref());
        let mut request = Request::post(self.url.clone()).header("accept", vec!["application/json".into()]);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.clone());
        }
        Ok(vec![message.into(request)])
    }

    /// 204: there is nothing under the key; 424: a service failed, and others may not have.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        match reply.status {
            204 => Some(Class::Permanent),
            424 => Some(Class::Ambiguous),
            _ => None,
        }
    }
}

fn default_kind(level: Level) -> Kind {
    match level {
        Level::Trace | Level::Debug | Level::Info => Kind::Info,
        Level::Warn => Kind::Warning,
        Level::Error | Level::Fatal => Kind::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{body, header, open, problems, request, target_of, wrong_part};
    use crate::request::Atom;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": "https://a.example/sub/", "key": { "$secret": "a/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_posted_under_its_key() {
        let mut down = notification(Level::Error, "a *b*", items(&["x_y_"]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Apprise>(with(&json!({ "tag": "ops, web" }))), &down);
        let key = Segment::Secret { name: "a/key".into(), escape: Escape::Percent };
        assert_eq!(request.url, ["https://a.example/sub/notify/".into(), key]);
        assert_eq!((header(&request, "authorization"), request.head.headers().len()), (None, 2));
        assert_eq!(
            body(&request),
            r#"{"title":"a *b*","body":"* x_y\\_\n\n<https://x.example/>","type":"failure","format":"markdown","tag":"ops, web"}"#
        );
    }

    #[test]
    fn a_plain_message_and_one_who_logs_in() {
        let settings = json!({
            "format": "plain", "kind": { "info": "success" }, "user": "u", "password": { "$secret": "a/p" },
        });
        let text = notification(Level::Info, " ", Body::Text("*a*".into()));
        let request = request(&open::<Apprise>(with(&settings)), &text);
        assert_eq!(body(&request), r#"{"body":"*a*","type":"success","format":"text"}"#);
        let login = |user: &str| Segment::Base64(vec![Atom::Text(user.into()), Atom::Secret("a/p".into())]);
        assert_eq!(header(&request, "authorization").unwrap()[1], login("u:"));
        let alone = open::<Apprise>(with(&json!({ "password": { "$secret": "a/p" } })));
        assert_eq!(alone.authorization.unwrap()[1], login(":"));
        for (wrong, at) in [(json!({ "user": "u" }), "/user"), (json!({ "kind": "error" }), "/kind")] {
            let found = problems::<Apprise>(with(&wrong));
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, settings) in [
            ("apprise://host/key", json!({ "url": "http://host", "key": "key" })),
            (
                "apprises://u%40v:p%2F%C3%A9@host:8443/a%20b/c/key-1?tags=x,y",
                json!({ "url": "https://host:8443/a%20b/c", "key": "key-1", "user": "u@v", "password": "p/é", "tag": "x,y" }),
            ),
            (
                "apprise://:pass@[::1]:8000/key?method=json&version=1",
                json!({ "url": "http://[::1]:8000", "key": "key", "password": "pass" }),
            ),
            ("apprises://host/path?token=key_2", json!({ "url": "https://host/path", "key": "key_2" })),
            (
                "apprises://host?to=key&v=2&format=text",
                json!({ "url": "https://host", "key": "key", "format": "plain" }),
            ),
            (
                "apprise://host/key?+X-Token=x",
                json!({ "url": "http://host", "key": "key", "left out": ["?+X-Token: there is no such setting here"] }),
            ),
        ] {
            assert_eq!(target_of::<Apprise>(url), settings, "{url}");
        }
        for (url, part) in [
            ("apprise://host", "path"),
            ("apprise://host/a.b", "path"),
            ("apprise://host?token=a%2Fb", "?token"),
            ("apprise:///key", "host"),
            ("apprise://host:99999/key", "port"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        for (status, class) in [
            (200, None),
            (204, Some(Class::Permanent)),
            (406, None),
            (424, Some(Class::Ambiguous)),
            (500, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: vec![] };
            assert_eq!(Provider::classify(&open::<Apprise>(with(&json!({}))), &reply), class, "{status}");
        }
    }
}
