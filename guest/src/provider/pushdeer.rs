//! PushDeer, of its makers or self-hosted: <https://github.com/easychen/pushdeer>.
//!
//! `text` is the title, and `desp` the text below it, which is markdown, or by `format: plain` not. Without a title,
//! its place has the first line of the text. Limits are not documented.
//!
//! What PushDeer refuses has status 200 too, and a `code`, as its code says
//! (<https://github.com/easychen/pushdeer/blob/main/api/app/Http/Helpers.php>): 80403 is a login, 80501 an argument,
//! 80502 another server. A push that reached no device has code 0 and an empty `result`: its key is nobody's, or
//! its user has no device. It has no idempotency key, and limits no rate that is documented.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::COMMONMARK;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Form;
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The push key.
        key: Secret,
        /// The URL of a server of your own.
        url: Option<BaseUrl>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A user of PushDeer.
pub struct PushDeer {
    settings: Settings,
}

const ANSWER: Answer = Answer {
    at: "/code",
    success: "0",
    reason: "/code",
    meanings: &[("80403", Class::Credentials), ("80502", Class::Transient)],
};

impl Provider for PushDeer {
    const NAME: &'static str = "pushdeer";
    const SUMMARY: &'static str = "PushDeer, of its makers or self-hosted";
    const EXAMPLE: &'static str = "\
- name: pushdeer
  provider: pushdeer
  key: ${PUSHDEER_KEY}
- name: pushdeer-own
  provider: pushdeer
  url: https://pushdeer.example.com
  key: ${PUSHDEER_OWN_KEY}
";
    const AUTH: &'static str = "key";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["pushdeer", "pushdeers"],
        apprise_form: "pushdeers://host/key or pushdeer://key",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api2.pushdeer.com"];

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        if url.entries() == 0 {
            return Ok(vec![settings([("key", url.take_host("the push key")?.into())])]);
        }
        let key = url.last_entry("the push key")?;
        let base = url.base(url.scheme == "pushdeers")?;
        Ok(vec![settings([("url", base.into()), ("key", key.into())])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, url, format } = &self.settings;
        let format = occasion.format(*format);
        let text = Text::of_body(&notification.body, format).linked(notification.link.as_deref());
        let kind = if format == Format::Markdown { "markdown" } else { "text" };
        let url = match url {
            Some(url) => url.join("message/push"),
            None => vec!["https://api2.pushdeer.com/message/push".into()],
        };
        let form = Form::default()
            .with_secret("pushkey", key)
            .with("text", &Text::title_of(notification, format))
            .with_text("desp", &text.write(format.of(&COMMONMARK)))
            .with("type", kind);
        Ok(vec![form.into(Request::post(url))])
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let result = body.pointer("/content/result");
        let is_nobody = result.is_some_and(|result| *result == json!([]) || *result == json!(false));
        match ANSWER.classify(reply) {
            Some(Class::Delivered) if is_nobody => Some(Class::Credentials),
            class => class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{open, problems, request, target_of, wrong_part};
    use crate::request::{Escape, Segment};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "p/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    /// The form behind the key.
    fn sent(settings: &Value, notification: &Notification) -> String {
        match request(&open::<PushDeer>(with(settings)), notification).body.as_slice() {
            [Segment::Text(_), Segment::Secret { .. }, Segment::Text(after)] => after.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_is_a_form_with_a_title_and_markdown() {
        let mut down = notification(Level::Error, "a & b", Body::Text("**x**".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<PushDeer>(with(&json!({}))), &down);
        assert_eq!(request.url, ["https://api2.pushdeer.com/message/push".into()]);
        let key = Segment::Secret { name: "p/key".into(), escape: Escape::Percent };
        let rest = "&text=a+%26+b&desp=**x**%0A%0A%3Chttps%3A%2F%2Fx.example%2F%3E&type=markdown";
        assert_eq!(request.body, ["pushkey=".into(), key, rest.into()]);
    }

    #[test]
    fn a_server_of_ones_own_has_a_path() {
        let settings = with(&json!({ "url": "http://p.example:8800/deer/" }));
        let sent = request(&open::<PushDeer>(settings), &notification(Level::Info, "t", items(&[])));
        assert_eq!(sent.url, ["http://p.example:8800/deer/message/push".into()]);
    }

    #[test]
    fn plain_text_is_text_and_a_title_is_never_missing() {
        let plain = json!({ "format": "plain" });
        let one = notification(Level::Info, "t", Body::Text("*a*".into()));
        assert_eq!(sent(&plain, &one), "&text=t&desp=*a*&type=text");
        let untitled = notification(Level::Info, "", Body::Text("# *one*\n\ntwo".into()));
        assert_eq!(sent(&json!({}), &untitled), "&text=one&desp=%23+*one*%0A%0Atwo&type=markdown");
        let empty = notification(Level::Warn, "", items(&[]));
        assert_eq!(sent(&json!({}), &empty), "&text=warn&type=markdown");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(problems::<PushDeer>(json!({}))[0].contains("key"));
        assert!(problems::<PushDeer>(with(&json!({ "url": "p.example" })))[0].starts_with("/url"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<PushDeer>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"code":0,"content":{"result":["{\"counts\":1}"]}}"#, Some(Class::Delivered)),
            (200, r#"{"code":0,"content":{"result":[]}}"#, Some(Class::Credentials)),
            (200, r#"{"code":0,"content":{"result":false}}"#, Some(Class::Credentials)),
            (200, r#"{"code":80403,"error":"auth"}"#, Some(Class::Credentials)),
            (200, r#"{"code":80501,"error":"args"}"#, Some(Class::Permanent)),
            (200, r#"{"code":80502,"error":"remote"}"#, Some(Class::Transient)),
            (200, "<html>", Some(Class::Ambiguous)),
            (500, "<html>", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        for (url, settings) in [
            ("pushdeer://PDU1abc", json!({ "key": "PDU1abc" })),
            ("pushdeers://PDU1abc/?format=text", json!({ "key": "PDU1abc", "format": "plain" })),
            ("pushdeer://p.example/PDU1", json!({ "url": "http://p.example", "key": "PDU1" })),
            ("pushdeers://p.example:8443/PDU1", json!({ "url": "https://p.example:8443", "key": "PDU1" })),
            (
                "pushdeers://p.example/a%20b/%C3%A9%2F%40",
                json!({ "url": "https://p.example/a%20b", "key": "é/@" }),
            ),
            (
                "pushdeer://u:p@p.example/k",
                json!({ "url": "http://p.example", "key": "k", "left out": ["user: this kind of URL has no use for it", "password: this kind of URL has no use for it"] }),
            ),
        ] {
            assert_eq!(target_of::<PushDeer>(url), settings, "{url}");
        }
        for (url, part) in [
            ("pushdeer://", "host"),
            ("pushdeers://p.example:0/k", "port"),
            ("pushdeers://p%20x/k", "host"),
            ("pushdeer:///k", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
