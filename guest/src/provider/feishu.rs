//! Feishu and Lark, a custom bot of a group: <https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>.
//! Lark is Feishu on a host of its own.
//!
//! Markdown is a card: the title is its header, in a colour for the level, and the text is lark_md, of few marks
//! (see [`crate::markup::dialect::LARK`]); `format: plain` is a text message. A request has at most 20 KB, which
//! here are 20 000 bytes, because the page does not say which they are; a limit of the header is not documented,
//! and is 250 characters here. A bot takes 100 messages a minute and 5 a second.
//!
//! With a `secret`, each attempt is signed, which Feishu takes for an hour: an HMAC-SHA256 over nothing, whose key
//! is the time and the secret.
//!
//! What Feishu refuses has status 200 too, and a `code`: 11232 and, of the whole platform, 99991400 are too many
//! messages, 19021 is a wrong signature; that 19001 is a token of no bot is not on the page. The older
//! `StatusCode` is not read. It has no idempotency key. The wait is in `x-ogw-ratelimit-reset`, in seconds
//! (<https://open.feishu.cn/document/server-docs/api-call-guide/frequency-control>), with a status of 4xx.

use std::marker::PhantomData;

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{LARK, PLAIN, UNTAGGED};
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, json_length, object};
use crate::provider::{Occasion, Provider};
use crate::request::{Atom, Escape, Hmac, KeyForm, Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The bot's token: what stands behind `/hook/` in the URL of its webhook.
        token: Secret,
        /// The secret of its signature verification, where that is on.
        secret: Option<Secret>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A bot of Feishu.
pub type Feishu = Bot<China>;

/// A bot of Lark.
pub type Lark = Bot<World>;

/// A bot of either.
pub struct Bot<S: Site> {
    settings: Settings,
    overflow: Overflow,
    site: PhantomData<S>,
}

/// What the two differ in.
pub trait Site: 'static {
    /// See [`Provider::NAME`].
    const NAME: &'static str;
    /// See [`Provider::SUMMARY`].
    const SUMMARY: &'static str;
    /// See [`Provider::EXAMPLE`].
    const EXAMPLE: &'static str;
    /// See [`Provider::URLS`].
    const URLS: Urls;
    /// Where requests go.
    const ORIGIN: &'static str;
}

/// Where Feishu is.
pub enum China {}

/// Where Lark is.
pub enum World {}

impl Site for China {
    const NAME: &'static str = "feishu";
    const SUMMARY: &'static str = "Feishu, a custom bot of a group";
    const EXAMPLE: &'static str = "\
- name: feishu
  provider: feishu
  token: ${FEISHU_TOKEN}
- name: feishu-signed
  provider: feishu
  token: ${FEISHU_TOKEN}
  secret: ${FEISHU_SECRET}
";
    const URLS: Urls =
        Urls { apprise: &["feishu"], apprise_form: "feishu://token", shoutrrr: &[], shoutrrr_form: "" };
    const ORIGIN: &'static str = "https://open.feishu.cn";
}

impl Site for World {
    const NAME: &'static str = "lark";
    const SUMMARY: &'static str = "Lark, a custom bot of a group";
    const EXAMPLE: &'static str = "\
- name: lark
  provider: lark
  token: ${LARK_TOKEN}
- name: lark-signed
  provider: lark
  token: ${LARK_TOKEN}
  secret: ${LARK_SECRET}
";
    const URLS: Urls = Urls {
        apprise: &["lark"],
        apprise_form: "lark://token",
        shoutrrr: &["lark"],
        shoutrrr_form: "lark://open.larksuite.com/token?secret=…",
    };
    const ORIGIN: &'static str = "https://open.larksuite.com";
}

const TITLE: Limit = Limit::characters(250);
const MESSAGE: Limit = Limit::bytes(20_000);

/// Room for the names of a message's members and for a signature.
const MEMBERS: usize = 400;

const ANSWER: Answer = Answer {
    at: "/code",
    success: "0",
    reason: "/code",
    meanings: &[
        ("11232", Class::Throttled),
        ("99991400", Class::Throttled),
        ("19001", Class::Credentials),
        ("19021", Class::Credentials),
    ],
};

impl<S: Site> Provider for Bot<S> {
    const NAME: &'static str = S::NAME;
    const SUMMARY: &'static str = S::SUMMARY;
    const EXAMPLE: &'static str = S::EXAMPLE;
    const AUTH: &'static str = "token, and a secret for signatures";
    const DIALECT: &'static str = "lark_md";
    const URLS: Urls = S::URLS;
    const ORIGINS: &'static [&'static str] = &[S::ORIGIN];
    const LIMITS: &'static [Bound] =
        &[Bound::text("title", &["/card/header/title/content"], TITLE), Bound::body("message", MESSAGE)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow, site: PhantomData })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        from_url(url)
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        // In Apprise's URLs a token stands there, which has no dot.
        url.host().contains('.') || url.host().is_empty() && url.entries() > 0
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        Ok(format(&self.settings, self.overflow, S::ORIGIN, notification, occasion))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        let wait = reply.header("x-ogw-ratelimit-reset").filter(|_| reply.status >= 400)?;
        wait.trim().parse::<u64>().ok()?.checked_mul(1000)
    }
}

fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
    let mut provider = Value::Null;
    let token = match url.dialect {
        UrlDialect::Apprise => match url.option(&["token"]) {
            Some(token) => token,
            None => url.take_host("the bot's token")?,
        },
        UrlDialect::Shoutrrr => {
            match url.host() {
                "" | "open.larksuite.com" => {}
                "open.feishu.cn" => provider = "feishu".into(),
                _ => {
                    let hint = "write `open.larksuite.com` or `open.feishu.cn`";
                    return Err(wrong("host", "is neither Lark's nor Feishu's", hint));
                }
            }
            url.take_host("").ok();
            url.entry("the bot's token")?
        }
    };
    Ok(vec![settings([("provider", provider), ("token", token.into()), ("secret", url.value(&["secret"]))])])
}

fn format(
    settings: &Settings,
    overflow: Overflow,
    origin: &str,
    notification: &Notification,
    occasion: &Occasion,
) -> Vec<Request> {
    let format = occasion.format(settings.format);
    let text = Text::of(notification, format).linked(notification.link.as_deref());
    let has_header = !Text::of_body(&notification.body, format).is_blank();
    let (text, header, dialect) = match format {
        Format::Plain => (text.titled(&notification.title), Value::Null, &UNTAGGED),
        Format::Markdown => {
            let title = if has_header { Text::plain(&notification.title) } else { Text::default() };
            (text, header(&title.fit(&PLAIN, overflow.limit(TITLE)), notification.level), &LARK)
        }
    };
    let used = header.to_string().len().saturating_add(MEMBERS);
    let length = |part: &Text| json_length(&part.write(dialect));
    let parts = text.split(MESSAGE.less(used).most, overflow, &length);
    let request = |part: &Text| {
        let mut url = vec![format!("{origin}/open-apis/bot/v2/hook/").into()];
        url.push(settings.token.segment(Escape::Percent));
        let mut message = Object::default();
        if let Some(secret) = &settings.secret {
            let now = (occasion.now / 1000).to_string();
            let signature = signature(&now, secret);
            message = message.with("timestamp", now).with_segment("sign", signature);
        }
        let part = part.write(dialect);
        let message = match format {
            Format::Plain => message.with("msg_type", "text").with("content", json!({ "text": part })),
            Format::Markdown => {
                let text = json!({ "tag": "div", "text": { "tag": "lark_md", "content": part } });
                let card = object([
                    ("config", json!({ "wide_screen_mode": true })),
                    ("header", header.clone()),
                    ("elements", json!([text])),
                ]);
                message.with("msg_type", "interactive").with("card", card)
            }
        };
        message.into(Request::post(url))
    };
    parts.iter().map(request).collect()
}

/// The header of a card; null where there is no title.
fn header(title: &str, level: Level) -> Value {
    let color = match level {
        Level::Trace | Level::Debug => "grey",
        Level::Info => "blue",
        Level::Warn => "orange",
        Level::Error => "red",
        Level::Fatal => "carmine",
    };
    match title.trim().is_empty() {
        true => Value::Null,
        false => json!({ "title": { "tag": "plain_text", "content": title }, "template": color }),
    }
}

/// The key is the time in seconds, a line break and the secret; nothing is signed with it.
fn signature(now: &str, secret: &Secret) -> Segment {
    let key = vec![Atom::Text(format!("{now}\n")), secret.atom()];
    Segment::HmacSha256(Hmac { key, key_form: KeyForm::Text, message: Vec::new(), hex: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{fields, notification};
    use crate::outcome::Head;
    use crate::provider::tests::{
        OCCASION, body, open, problems, request, requests, target_of, targets_of, wrong_part,
    };

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "token": { "$secret": "f/token" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn sent(request: &Request) -> Value {
        serde_json::from_str(&body(request)).unwrap()
    }

    #[test]
    fn a_message_is_a_card_in_a_colour() {
        let mut down = notification(Level::Error, "web *down*", Body::Text("**x** <at id=all> a*b".into()));
        down.link = Some("https://x.example/?a=1&b=2".into());
        let request = request(&open::<Feishu>(with(&json!({}))), &down);
        let token = Segment::Secret { name: "f/token".into(), escape: Escape::Percent };
        assert_eq!(request.url, ["https://open.feishu.cn/open-apis/bot/v2/hook/".into(), token]);
        assert_eq!(
            body(&request),
            r#"{"msg_type":"interactive","card":{"config":{"wide_screen_mode":true},"header":{"title":{"tag":"plain_text","content":"web *down*"},"template":"red"},"elements":[{"tag":"div","text":{"tag":"lark_md","content":"**x** &#60;at id=all&#62; a&#42;b\n\n[https://x.example/?a=1&#38;b=2](https://x.example/?a=1&b=2)"}}]}}"#
        );
    }

    #[test]
    fn plain_text_is_a_text_message_that_mentions_nobody() {
        let text = notification(Level::Info, "t", Body::Text("*a* <at user_id=\"all\">".into()));
        let request = request(&open::<Lark>(with(&json!({ "format": "plain" }))), &text);
        assert_eq!(request.url[0], "https://open.larksuite.com/open-apis/bot/v2/hook/".into());
        assert_eq!(
            body(&request),
            "{\"msg_type\":\"text\",\"content\":{\"text\":\"t\\n\\n*a* <\u{200b}at user_id=\\\"all\\\">\"}}"
        );
    }

    #[test]
    fn a_title_alone_is_the_text() {
        let card = sent(&request(
            &open::<Feishu>(with(&json!({}))),
            &notification(Level::Info, "t", Body::Text(String::new())),
        ));
        assert_eq!(card["card"].get("header"), None);
        assert_eq!(card["card"]["elements"][0]["text"]["content"], "t");
    }

    #[test]
    fn a_signature_is_over_nothing_with_the_time_in_its_key() {
        let settings = with(&json!({ "secret": { "$secret": "f/secret" } }));
        let signed =
            request(&open::<Feishu>(settings), &notification(Level::Info, "t", fields(&[("a", "b")])));
        let key = vec![Atom::Text("1700000052\n".into()), Atom::Secret("f/secret".into())];
        let sign = Hmac { key, key_form: KeyForm::Text, message: vec![], hex: false };
        let [Segment::Text(before), Segment::HmacSha256(found), Segment::Text(after)] =
            signed.body.as_slice()
        else {
            panic!("{:?}", signed.body)
        };
        assert_eq!(OCCASION.now / 1000, 1_700_000_052);
        assert_eq!((before.as_str(), found), (r#"{"timestamp":"1700000052","sign":""#, &sign));
        assert!(after.starts_with(r#"","msg_type":"interactive""#), "{after}");
    }

    #[test]
    fn long_text_is_several_cards_with_one_header() {
        let long = notification(Level::Info, "t", Body::Text("\"word\" ".repeat(4000)));
        let sent: Vec<Value> =
            requests(&open::<Feishu>(with(&json!({}))), &long).iter().map(super::tests::sent).collect();
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|card| card["card"]["header"]["title"]["content"] == "t"));
        let text = &sent[1]["card"]["elements"][0]["text"]["content"];
        assert!(text.as_str().unwrap().starts_with("2/2\n\"word\""), "{text}");
    }

    #[test]
    fn a_header_is_cut_where_it_is_too_long() {
        for (length, end) in [(250, "x"), (251, "…")] {
            let long = notification(Level::Info, &"x".repeat(length), Body::Text("b".into()));
            let card = sent(&request(&open::<Feishu>(with(&json!({}))), &long));
            let title = card["card"]["header"]["title"]["content"].as_str().unwrap();
            assert!(title.chars().count() == 250 && title.ends_with(end), "{title}");
        }
    }

    #[test]
    fn a_bot_has_a_token() {
        assert!(problems::<Feishu>(json!({}))[0].contains("token"));
        assert!(problems::<Lark>(with(&json!({ "format": "html" })))[0].starts_with("/format"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Feishu>(with(&json!({})));
        let reply = |status, body: &str, headers: &[(&str, &str)]| Reply {
            status,
            head: Head::of(headers.iter().copied()),
            body: body.into(),
        };
        for (status, body, class) in [
            (200, r#"{"code":0,"msg":"success","data":{}}"#, Some(Class::Delivered)),
            (200, r#"{"code":9499,"msg":"Bad Request"}"#, Some(Class::Permanent)),
            (200, r#"{"code":11232,"msg":"frequency limited"}"#, Some(Class::Throttled)),
            (400, r#"{"code":99991400}"#, Some(Class::Throttled)),
            (200, r#"{"code":19001}"#, Some(Class::Credentials)),
            (200, r#"{"code":19021}"#, Some(Class::Credentials)),
            (200, r#"{"code":19024,"msg":"Key Words Not Found"}"#, Some(Class::Permanent)),
            (200, "<html>", Some(Class::Ambiguous)),
            (502, "<html>", None),
        ] {
            assert_eq!(Provider::classify(&target, &reply(status, body, &[])), class, "{body}");
        }
        let reset = [("x-ogw-ratelimit-reset", "52")];
        assert_eq!(Provider::hint(&target, &reply(429, "{}", &reset)), Some(52_000));
        assert_eq!(Provider::hint(&target, &reply(200, "{}", &reset)), None);
        assert_eq!(Provider::hint(&target, &reply(429, "{}", &[("x-ogw-ratelimit-reset", "soon")])), None);
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, settings) in [
            ("feishu://abc-DEF", json!({ "token": "abc-DEF" })),
            ("feishu://abc/?format=text", json!({ "token": "abc", "format": "plain" })),
            ("feishu://?token=abc", json!({ "token": "abc" })),
            ("feishu://a%20b%C3%A9", json!({ "token": "a bé" })),
            (
                "feishu://abc?overflow=split&secret=s",
                json!({ "token": "abc", "secret": "s", "overflow": "split" }),
            ),
            (
                "feishu://abc/x",
                json!({ "token": "abc", "left out": ["path: this kind of URL has no use for it"] }),
            ),
            ("lark://open.feishu.cn/abc?secret=s", json!({ "token": "abc", "secret": "s" })),
        ] {
            assert_eq!(target_of::<Feishu>(url), settings, "{url}");
        }
        for (url, settings) in [
            ("lark://abc", json!({ "token": "abc" })),
            (
                "lark://abc/?token=def",
                json!({ "token": "def", "left out": ["host: this kind of URL has no use for it"] }),
            ),
            ("lark://open.larksuite.com/abc", json!({ "token": "abc" })),
            ("lark://open.larksuite.com/abc?secret=a%2Fb%40c", json!({ "token": "abc", "secret": "a/b@c" })),
            ("lark:///abc?secret=s", json!({ "token": "abc", "secret": "s" })),
            (
                "lark://open.larksuite.com/abc?title=t&link=l",
                json!({ "token": "abc", "left out": ["?title: there is no such setting here", "?link: there is no such setting here"] }),
            ),
        ] {
            assert_eq!(target_of::<Lark>(url), settings, "{url}");
        }
        let shoutrrr = targets_of::<Lark>("lark://open.larksuite.com/a%C3%A9", Some(UrlDialect::Shoutrrr));
        assert_eq!(shoutrrr, [json!({ "token": "aé" })]);
        for (url, part) in [
            ("feishu://", "host"),
            ("lark://", "host"),
            ("lark://open.larksuite.com", "path"),
            ("lark://open.example.com/abc", "host"),
            ("feishu://%ff", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
