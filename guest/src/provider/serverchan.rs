//! ServerChan (Server酱): Turbo, <https://sct.ftqq.com/>, and ServerChan³,
//! <https://doc2.ft07.com/serverchan3/server/api>.
//!
//! A title is needed and has at most 32 characters: in which unit is not documented, so that they are UTF-16 code
//! units here, of which no reading has more. One that is longer is cut, and stands whole in front of the text. The
//! text has at most 32 KB, here 32 000 bytes, and is markdown, which cannot be turned off.
//!
//! The answer is `"code": 0`; what else there is, is not documented. Clients have seen 40001 for a key that is wrong
//! and for a day's messages that are used up, which its text tells apart, with status 400, and 429 for too many
//! requests from one address. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::COMMONMARK;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Form, each};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The SendKey.
        key: Secret,
        /// Of ServerChan³, what its API URL has in front of the key: `https://UID.push.ft07.com/send`; else Turbo.
        url: Option<BaseUrl>,
        /// The numbers of one or two of Turbo's channels, as `9|66`: those of the account, unless this is set.
        channel: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A user of ServerChan.
pub struct ServerChan {
    settings: Settings,
    overflow: Overflow,
}

const TITLE: Limit = Limit::utf16(32);
const TEXT: Limit = Limit::bytes(32_000);

const ANSWER: Answer = Answer { at: "/code", success: "0", reason: "/code", meanings: &[] };

impl Provider for ServerChan {
    const NAME: &'static str = "serverchan";
    const SUMMARY: &'static str = "ServerChan, to WeChat and other channels";
    const EXAMPLE: &'static str = "\
- name: serverchan
  provider: serverchan
  key: ${SERVERCHAN_KEY}
- name: serverchan3
  provider: serverchan
  url: https://1234.push.ft07.com/send
  key: ${SERVERCHAN3_KEY}
";
    const AUTH: &'static str = "key";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls =
        Urls { apprise: &["schan"], apprise_form: "schan://key", shoutrrr: &[], shoutrrr_form: "" };
    const ORIGINS: &'static [&'static str] = &["https://sctapi.ftqq.com"];
    const LIMITS: &'static [Bound] =
        &[Bound::text("title", &["/title"], TITLE), Bound::text("text", &["/desp"], TEXT)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let key = url.take_host("the SendKey")?;
        // A key of ServerChan³ begins with `sctp`, the user's number and `t`.
        let number = key.strip_prefix("sctp").and_then(|rest| rest.split_once('t')).map(|(number, _)| number);
        let number = number.filter(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
        let base = number.map(|number| format!("https://{number}.push.ft07.com/send"));
        Ok(vec![settings([("url", json!(base)), ("key", key.into())])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, url, channel, format } = &self.settings;
        let format = occasion.format(*format);
        let mut text = Text::of_body(&notification.body, format);
        let whole = Text::title_of(notification, format);
        let title = self.overflow.limit(TITLE).cut(&whole);
        if title != notification.title.trim() {
            text = text.titled(&notification.title);
        }
        let text = text.linked(notification.link.as_deref());
        let request = |part: String| {
            let mut url = match url {
                Some(url) => url.join(""),
                None => vec!["https://sctapi.ftqq.com/".into()],
            };
            url.extend([key.segment(Escape::Percent), ".send".into()]);
            let form = Form::default().with("title", &title).with_text("desp", &part);
            form.with_text("channel", channel.as_deref().unwrap_or_default()).into(Request::post(url))
        };
        Ok(each(text.parts(&COMMONMARK, TEXT, self.overflow), &request))
    }

    /// 40001 says `超过当天的发送次数限制`, a day's messages are used up, or what is wrong with the key.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = body.get("message").and_then(Value::as_str).unwrap_or_default();
        match body.get("code").and_then(Value::as_i64) {
            Some(40_001) if said.contains("次数") => Some(Class::Throttled),
            Some(40_001) => Some(Class::Credentials),
            _ => ANSWER.classify(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::notification;
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, open, problems, request, requests, target_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "s/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn sent(settings: &Value, title: &str, text: &str) -> String {
        let one = notification(Level::Info, title, Body::Text(text.into()));
        body(&request(&open::<ServerChan>(with(settings)), &one))
    }

    #[test]
    fn a_message_is_a_form_and_the_key_is_in_the_path() {
        let mut down = notification(Level::Error, "a & b", Body::Text("**x**".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<ServerChan>(with(&json!({ "channel": "9|66" }))), &down);
        let key = Segment::Secret { name: "s/key".into(), escape: Escape::Percent };
        assert_eq!(request.url, ["https://sctapi.ftqq.com/".into(), key, ".send".into()]);
        assert_eq!(
            body(&request),
            "title=a+%26+b&desp=**x**%0A%0A%3Chttps%3A%2F%2Fx.example%2F%3E&channel=9%7C66"
        );
    }

    #[test]
    fn the_third_has_a_host_for_each_user() {
        let settings = json!({ "url": "https://7.push.ft07.com/send", "format": "plain" });
        let one = notification(Level::Info, "t", Body::Text("*a*".into()));
        let request = request(&open::<ServerChan>(with(&settings)), &one);
        assert_eq!(request.url[0], "https://7.push.ft07.com/send/".into());
        assert_eq!(body(&request), "title=t&desp=%5C*a%5C*");
    }

    #[test]
    fn a_title_is_never_missing_and_stands_whole_in_the_text_where_it_is_cut() {
        assert_eq!(sent(&json!({}), "", "**one**\n\ntwo"), "title=one&desp=**one**%0A%0Atwo");
        assert_eq!(sent(&json!({}), "", ""), "title=info");
        let title = "x".repeat(32);
        assert_eq!(sent(&json!({}), &title, "b"), format!("title={title}&desp=b"));
        let title = "x".repeat(33);
        assert_eq!(
            sent(&json!({}), &title, "b"),
            format!("title={}%E2%80%A6&desp=**{title}**%0A%0Ab", "x".repeat(31))
        );
    }

    #[test]
    fn long_text_is_several_messages() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(6401)));
        let sent = requests(&open::<ServerChan>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 2);
        assert!(body(&sent[1]).starts_with("title=t&desp=2%2F2"), "{:?}", sent[1]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(problems::<ServerChan>(json!({}))[0].contains("key"));
        assert!(problems::<ServerChan>(with(&json!({ "url": "ft07.com" })))[0].starts_with("/url"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<ServerChan>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"code":0,"message":"","data":{"errno":0}}"#, Some(Class::Delivered)),
            (400, r#"{"code":40001,"message":"[AUTH]超过当天的发送次数限制[5]"}"#, Some(Class::Throttled)),
            (400, r#"{"code":40001,"message":"[AUTH]错误的Key"}"#, Some(Class::Credentials)),
            (200, r#"{"code":10001,"message":"[INPUT]bad"}"#, Some(Class::Permanent)),
            (429, "<html>", None),
            (200, "<html>", Some(Class::Ambiguous)),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        for (url, settings) in [
            ("schan://SCT1abc", json!({ "key": "SCT1abc" })),
            ("schan://SCT1abc/", json!({ "key": "SCT1abc" })),
            ("schan://sctp12tabc", json!({ "url": "https://12.push.ft07.com/send", "key": "sctp12tabc" })),
            ("schan://a%20%C3%A9%2F", json!({ "key": "a é/" })),
            (
                "schan://abc?format=text&overflow=split",
                json!({ "key": "abc", "format": "plain", "overflow": "split" }),
            ),
            ("schan://sctptabc", json!({ "key": "sctptabc" })),
            (
                "schan://u@abc/x",
                json!({ "key": "abc", "left out": ["user: this kind of URL has no use for it", "path: this kind of URL has no use for it"] }),
            ),
        ] {
            assert_eq!(target_of::<ServerChan>(url), settings, "{url}");
        }
        for (url, part) in [("schan://", "host"), ("schan://a:99999", "port"), ("schan://%80", "host")] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
