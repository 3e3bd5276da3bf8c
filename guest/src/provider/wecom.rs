//! WeCom (WeChat Work), the bot of a group: <https://developer.work.weixin.qq.com/document/path/91770>.
//!
//! A message is markdown of few marks (see [`crate::markup::dialect::WECOM`]), of at most 4096 bytes, or by
//! `format: plain` a text of at most 2048. Markdown cannot mention everybody, nor anybody by telephone number: a
//! target that mentions sends plain text. A bot takes 20 messages a minute.
//!
//! What WeCom refuses has status 200 too, and an `errcode`
//! (<https://developer.work.weixin.qq.com/document/path/90455>): 45009 and 45033 are too many requests, -1 is a busy
//! system, 93000 is a key of no bot. It has no idempotency key, and how long to wait is not documented.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{UNTAGGED, WECOM};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each_numbered, object};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The bot's key: what stands behind `key=` in the URL of its webhook.
        key: Secret,
        /// The user ids of members to mention, or `@all`; messages are plain text then.
        users: Vec<String>,
        /// The telephone numbers of members to mention, or `@all`; messages are plain text then.
        mobiles: Vec<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A bot of WeCom.
pub struct WeCom {
    settings: Settings,
    overflow: Overflow,
}

const TEXT: Limit = Limit::bytes(2048);
const MARKDOWN: Limit = Limit::bytes(4096);

const ANSWER: Answer = Answer {
    at: "/errcode",
    success: "0",
    reason: "/errcode",
    meanings: &[
        ("-1", Class::Transient),
        ("45009", Class::Throttled),
        ("45033", Class::Throttled),
        ("93000", Class::Credentials),
    ],
};

impl Provider for WeCom {
    const NAME: &'static str = "wecom";
    const SUMMARY: &'static str = "WeCom (WeChat Work), the bot of a group";
    const EXAMPLE: &'static str = "\
- name: wecom
  provider: wecom
  key: ${WECOM_KEY}
- name: wecom-mentioning
  provider: wecom
  key: ${WECOM_KEY}
  users: [\"@all\"]
";
    const AUTH: &'static str = "key";
    const DIALECT: &'static str = "markdown of few marks";
    const URLS: Urls = Urls {
        apprise: &["wecombot"],
        apprise_form: "wecombot://key",
        shoutrrr: &["wecom"],
        shoutrrr_form: "wecom://key?mentioned_list=@all",
    };
    const ORIGINS: &'static [&'static str] = &["https://qyapi.weixin.qq.com"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("text", &["/text/content"], TEXT),
        Bound::text("markdown", &["/markdown/content"], MARKDOWN),
    ];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let key = match url.option(&["key"]) {
            Some(key) => key,
            None => url.take_host("the bot's key")?,
        };
        let list = |names: Vec<String>| if names.is_empty() { Value::Null } else { json!(names) };
        Ok(vec![settings([
            ("key", key.into()),
            ("users", list(url.list(&["mentioned_list"]))),
            ("mobiles", list(url.list(&["mentioned_mobile_list"]))),
        ])])
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        // Apprise has the scheme for Pushplus, whose tokens are no UUIDs, as these keys are.
        let is_uuid = url.host().len() == 36 && url.host().matches('-').count() == 4;
        is_uuid || ["mentioned_list", "mentioned_mobile_list"].iter().any(|name| url.has_option(name))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, users, mobiles, .. } = &self.settings;
        let mentions = !users.is_empty() || !mobiles.is_empty();
        let format = occasion.format(if mentions { Format::Plain } else { self.settings.format });
        let text = Text::of(notification, format);
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let (kind, dialect, limit) = match format {
            Format::Plain => ("text", &UNTAGGED, TEXT),
            Format::Markdown => ("markdown", &WECOM, MARKDOWN),
        };
        let list = |names: &[String]| if names.is_empty() { Value::Null } else { json!(names) };
        let request = |(n, part): (usize, String)| {
            // The first of several messages mentions for all.
            let (users, mobiles) = if n == 0 { (list(users), list(mobiles)) } else { Default::default() };
            let content = object([
                ("content", part.into()),
                ("mentioned_list", users),
                ("mentioned_mobile_list", mobiles),
            ]);
            let url = vec![
                "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=".into(),
                key.segment(Escape::Percent),
            ];
            let message = Object::default().with("msgtype", kind).with(kind, content);
            message.into(Request::post(url))
        };
        Ok(each_numbered(text.parts(dialect, limit, self.overflow), &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{
        body, open, problems, request, requests, target_of, targets_of, wrong_part,
    };
    use crate::request::Segment;
    use crate::service_url::UrlDialect;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "w/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_markdown_in_one_text() {
        let mut down = notification(Level::Warn, "web *down*", fields(&[("Service", "<@all> web")]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<WeCom>(with(&json!({}))), &down);
        let key = Segment::Secret { name: "w/key".into(), escape: Escape::Percent };
        assert_eq!(request.url, ["https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=".into(), key]);
        assert_eq!(
            body(&request),
            "{\"msgtype\":\"markdown\",\"markdown\":{\"content\":\"**web *\u{200b}down*\u{200b}**\\n\\n**Service**: <\u{200b}@all> web\\n\\n[https://x.example/](https://x.example/)\"}}"
        );
    }

    #[test]
    fn who_mentions_sends_plain_text() {
        let text = notification(Level::Info, "", Body::Text("**a** <@all>".into()));
        let plain = request(&open::<WeCom>(with(&json!({ "format": "plain" }))), &text);
        assert_eq!(body(&plain), "{\"msgtype\":\"text\",\"text\":{\"content\":\"**a** <\u{200b}@all>\"}}");
        let settings = json!({ "users": ["u1", "@all"], "mobiles": ["138"] });
        assert_eq!(
            body(&request(
                &open::<WeCom>(with(&settings)),
                &notification(Level::Info, "t", Body::Items(vec![]))
            )),
            r#"{"msgtype":"text","text":{"content":"t","mentioned_list":["u1","@all"],"mentioned_mobile_list":["138"]}}"#
        );
    }

    #[test]
    fn long_text_is_several_messages_of_which_the_first_mentions() {
        let text = |length| notification(Level::Info, "", Body::Text("x".repeat(length)));
        for (settings, most) in [(json!({}), 4096), (json!({ "users": ["@all"] }), 2048)] {
            let target = open::<WeCom>(with(&settings));
            assert_eq!(requests(&target, &text(most)).len(), 1);
            let sent = requests(&target, &text(most + 1));
            assert!(sent.len() == 2 && body(&sent[1]).contains("2/2\\nx"), "{sent:?}");
            assert!(!body(&sent[1]).contains("mentioned"));
        }
    }

    #[test]
    fn a_bot_has_a_key() {
        assert!(problems::<WeCom>(json!({}))[0].contains("key"));
        assert!(problems::<WeCom>(with(&json!({ "users": "@all" })))[0].starts_with("/users"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<WeCom>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"errcode":0,"errmsg":"ok"}"#, Some(Class::Delivered)),
            (200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, Some(Class::Throttled)),
            (200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, Some(Class::Credentials)),
            (200, r#"{"errcode":-1}"#, Some(Class::Transient)),
            (200, r#"{"errcode":40008}"#, Some(Class::Permanent)),
            (200, "ok", Some(Class::Ambiguous)),
            (502, "", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        const KEY: &str = "693a91f6-7000-4bc4-97a0-0ec2b1fa5aaa";
        for (url, more) in [
            ("wecombot://KEY", json!({})),
            ("wecombot://KEY/?format=text", json!({ "format": "plain" })),
            ("wecombot://?key=KEY", json!({})),
            ("wecombot://KEY?overflow=truncate", json!({ "overflow": "truncate" })),
            ("wecombot://KEY/a%20b", json!({ "left out": ["path: this kind of URL has no use for it"] })),
            ("wecom://KEY", json!({})),
            ("wecom://KEY?mentioned_list=@all", json!({ "users": ["@all"] })),
            (
                "wecom://KEY/?mentioned_list=u1,%40all&mentioned_mobile_list=138",
                json!({ "users": ["u1", "@all"], "mobiles": ["138"] }),
            ),
            (
                "wecom://x?key=KEY&mentioned_mobile_list=139",
                json!({ "mobiles": ["139"], "left out": ["host: this kind of URL has no use for it"] }),
            ),
        ] {
            let mut settings = json!({ "key": KEY });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(target_of::<WeCom>(&url.replace("KEY", KEY)), settings, "{url}");
        }
        let encoded = targets_of::<WeCom>("wecom://a%2Fb%C3%A9", Some(UrlDialect::Shoutrrr));
        assert_eq!(encoded, [json!({ "key": "a/bé" })]);
        for (url, part) in
            [("wecombot://", "host"), ("wecom://?mentioned_list=@all", "host"), ("wecombot://a:0", "port")]
        {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
