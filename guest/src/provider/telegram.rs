//! Telegram, as a bot: <https://core.telegram.org/bots/api#sendmessage>.
//!
//! A text has 1 to 4096 characters "after entities parsing"; it is held to that before, as it is sent, and in
//! UTF-16 code units, in which Telegram counts the places of its entities: so it is never too long, whatever is
//! counted. Text is HTML of few tags (<https://core.telegram.org/bots/api#html-style>); `format: plain` sends
//! it without any.
//!
//! Telegram says that a message is wrong with status 400, and how long to wait in the body
//! (<https://core.telegram.org/bots/api#responseparameters>). It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::hint::{self, Unit};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::TELEGRAM;
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{Setting, settings};
use crate::settings::{BaseUrl, PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The bot's token, as @BotFather gave it.
        token: Secret,
        /// Where the bot writes: the id of a chat, or `@name` of a public channel or group.
        chat: Chat,
        /// The id of the topic to write in, in a group that has topics.
        topic: Option<u64>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// Whether messages come without a sound, for all levels or by level; of others: trace and debug do.
        silent: Option<PerLevel<bool>>,
        /// Whether the first link of a message is shown with a preview: not, unless this says so.
        preview: bool = false,
        /// The URL of a Bot API server of your own.
        url: Option<BaseUrl>,
    }
}

/// A chat: its id, or its name.
struct Chat(Value);

impl Setting for Chat {
    fn schema() -> Value {
        json!({ "anyOf": [{ "type": "integer" }, { "type": "string", "minLength": 1 }] })
    }

    fn read(value: &Value) -> Option<Self> {
        (value.is_i64() || value.is_string()).then(|| Self(value.clone()))
    }
}

/// A chat that a bot writes to.
pub struct Telegram {
    url: Vec<Segment>,
    chat: Value,
    topic: Value,
    format: Format,
    silent: PerLevel<bool>,
    preview: bool,
    overflow: Overflow,
}

const TEXT: Limit = Limit::utf16(4096);

const ANSWER: Answer = Answer { at: "/ok", success: "true", reason: "/error_code", meanings: &[] };

impl Provider for Telegram {
    const NAME: &'static str = "telegram";
    const SUMMARY: &'static str = "Telegram, as a bot";
    const EXAMPLE: &'static str = "\
- name: telegram
  provider: telegram
  token: ${TELEGRAM_TOKEN}
  chat: -1001234567890
";
    const AUTH: &'static str = "token";
    const DIALECT: &'static str = "HTML";
    const URLS: Urls = Urls {
        apprise: &["tgram"],
        apprise_form: "tgram://token/chat:topic",
        shoutrrr: &["telegram"],
        shoutrrr_form: "telegram://token@telegram?chats=@channel,-100…",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.telegram.org"];
    const LIMITS: &'static [Bound] = &[Bound::text("text", &["/text"], TEXT)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        let mut url = match &settings.url {
            Some(url) => url.join("bot"),
            None => vec!["https://api.telegram.org/bot".into()],
        };
        // A token has a `:`, which everybody sends as it is.
        url.push(settings.token.segment(Escape::Verbatim));
        url.push("/sendMessage".into());
        let defaults = PerLevel::from_fn(|level| level <= Level::Debug);
        Some(Self {
            url,
            chat: settings.chat.0,
            topic: json!(settings.topic),
            format: settings.format,
            silent: settings.silent.map_or(defaults.clone(), |silent| silent.over(&defaults)),
            preview: settings.preview,
            overflow,
        })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (token, mut chats) = match url.dialect {
            UrlDialect::Apprise => {
                let token = url.take_host("the bot's token")?;
                let token = token.strip_prefix("bot").unwrap_or(&token);
                let is_number = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_digit());
                if !token.split_once(':').is_some_and(|(id, secret)| is_number(id) && !secret.is_empty()) {
                    let hint = "write it as @BotFather gave it";
                    return Err(wrong("host", "is no bot's token, which is a number, `:` and more", hint));
                }
                (token.to_owned(), url.rest())
            }
            UrlDialect::Shoutrrr => {
                url.take_host("the word `telegram`")?;
                let number = url.required_user("the bot's token")?;
                let secret = url
                    .password()
                    .ok_or_else(|| wrong("password", "is missing: a token has a `:` in it", ""))?;
                (format!("{number}:{secret}"), url.list(&["chats", "channels"]))
            }
        };
        if url.is(UrlDialect::Apprise) {
            chats.extend(url.list(&["to"]));
        }
        if chats.is_empty() {
            let part = if url.is(UrlDialect::Apprise) { "path" } else { "?chats" };
            return Err(wrong(
                part,
                "is missing: a chat belongs there",
                "write its id, or `@name` of a channel",
            ));
        }
        let topic = url.option(&["topic", "thread"]);
        let silent = match url.flag(&["silent"])? {
            None => url.flag(&["notification"])?.map(|sound| !sound),
            silent => silent,
        };
        let preview = url.flag(&["preview"])?;
        let target = |chat: String| {
            let (chat, own_topic) = chat
                .split_once(':')
                .map_or((chat.as_str(), None), |(chat, topic)| (chat, Some(topic.to_owned())));
            let topic = match own_topic.or_else(|| topic.clone()) {
                None => Value::Null,
                Some(topic) => topic
                    .parse::<u64>()
                    .map(Value::from)
                    .map_err(|_| wrong("path", "has a topic that is no number", "write it as `chat:42`"))?,
            };
            let chat = chat.parse::<i64>().map_or_else(
                |_| Value::from(if chat.starts_with('@') { chat.to_owned() } else { format!("@{chat}") }),
                Value::from,
            );
            Ok(settings([
                ("token", token.as_str().into()),
                ("chat", chat),
                ("topic", topic),
                ("silent", json!(silent)),
                ("preview", json!(preview)),
            ]))
        };
        chats.into_iter().map(target).collect()
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.format);
        let text = Text::of(notification, format);
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let is_html = format == Format::Markdown;
        let request = |part: String| {
            let message = Object::default()
                .with("chat_id", self.chat.clone())
                .with("message_thread_id", self.topic.clone())
                .with("text", part)
                .with_text("parse_mode", if is_html { "HTML" } else { "" })
                .with("disable_notification", self.silent.get(notification.level))
                .with("link_preview_options", json!({ "is_disabled": !self.preview }));
            message.into(Request::post(self.url.clone()))
        };
        let parts = text.parts(format.of(&TELEGRAM), TEXT, self.overflow);
        Ok(each(parts, &request))
    }

    /// 403: the bot was blocked or thrown out; a 404 is what a token gets that is none.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        match reply.status {
            403 => Some(Class::Permanent),
            404 => Some(Class::Credentials),
            _ => ANSWER.classify(reply),
        }
    }

    /// `Bad Request: can't parse entities: …`.
    fn refuses_markup(&self, reply: &Reply) -> bool {
        reply.status == 400 && said(reply).is_some_and(|said| said.contains("can't parse entities"))
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        hint::in_json(reply, "/parameters/retry_after", Unit::Seconds)
    }
}

/// What Telegram says is wrong.
fn said(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    body.get("description")?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{body, open, problems, request, requests, targets_of, wrong_part};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "token": { "$secret": "t/token" }, "chat": -100 });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_html_and_the_token_is_in_the_path() {
        let mut renewed = notification(Level::Info, "Renewed <all>", items(&["a & b"]));
        renewed.link = Some("https://x.example/".into());
        let request = request(&open::<Telegram>(with(&json!({ "topic": 7 }))), &renewed);
        let token = Segment::Secret { name: "t/token".into(), escape: Escape::Verbatim };
        assert_eq!(request.url, ["https://api.telegram.org/bot".into(), token, "/sendMessage".into()]);
        assert_eq!(
            body(&request),
            r#"{"chat_id":-100,"message_thread_id":7,"text":"<b>Renewed &lt;all&gt;</b>\n\n• a &amp; b\n\n<a href=\"https://x.example/\">https://x.example/</a>","parse_mode":"HTML","disable_notification":false,"link_preview_options":{"is_disabled":true}}"#
        );
    }

    #[test]
    fn plain_text_has_no_mode_and_a_channel_has_a_name() {
        let settings = json!({ "chat": "@ops", "format": "plain", "silent": true, "preview": true, "url": "https://bots.example/" });
        assert_eq!(problems::<Telegram>(with(&settings)), [""; 0]);
        let text = notification(Level::Error, "t", Body::Text("*a* <b>".into()));
        let request = request(&open::<Telegram>(with(&settings)), &text);
        assert_eq!(request.url[0], Segment::from("https://bots.example/bot"));
        assert_eq!(
            body(&request),
            r#"{"chat_id":"@ops","text":"t\n\n*a* <b>","disable_notification":true,"link_preview_options":{"is_disabled":false}}"#
        );
        assert_eq!(problems::<Telegram>(with(&json!({ "chat": true }))).len(), 1);
    }

    #[test]
    fn long_text_is_split_at_telegrams_limit() {
        let long = notification(Level::Info, "t", Body::Text("<&> ".repeat(1000)));
        let sent = requests(&open::<Telegram>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 4, "an entity is four or five characters long");
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Telegram>(with(&json!({})));
        let reply = |status, body: &str| Reply { status, head: Default::default(), body: body.into() };
        for (status, body, class) in [
            (200, r#"{"ok":true,"result":{}}"#, Some(Class::Delivered)),
            (200, "<html>", Some(Class::Ambiguous)),
            (400, r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#, None),
            (401, r#"{"ok":false,"error_code":401}"#, None),
            (403, r#"{"ok":false,"description":"Forbidden: bot was blocked"}"#, Some(Class::Permanent)),
            (404, r#"{"ok":false,"description":"Not Found"}"#, Some(Class::Credentials)),
        ] {
            assert_eq!(Provider::classify(&target, &reply(status, body)), class, "{body}");
        }
        let slow = reply(429, r#"{"ok":false,"parameters":{"retry_after":3}}"#);
        assert_eq!(Provider::hint(&target, &slow), Some(3_000));
    }

    #[test]
    fn only_what_is_wrong_with_the_markup_is_said_of_it() {
        let target = open::<Telegram>(with(&json!({})));
        let refused = |status, said: &str| {
            let body = json!({ "ok": false, "error_code": status, "description": said }).to_string();
            Provider::refuses_markup(&target, &Reply { status, head: Default::default(), body: body.into() })
        };
        assert!(refused(
            400,
            "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3"
        ));
        assert!(!refused(400, "Bad Request: chat not found"));
        assert!(!refused(403, "Bad Request: can't parse entities"));
        let odd = Reply { status: 400, head: Default::default(), body: b"can't parse entities".to_vec() };
        assert!(!Provider::refuses_markup(&target, &odd));
        let plain = Occasion { now: 0, is_plain: true };
        let text = notification(Level::Info, "a", Body::Text("**b**".into()));
        let again = Provider::format(&target, &text, &plain).unwrap().remove(0);
        assert!(!body(&again).contains("parse_mode"), "{}", body(&again));
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let bot = |more: Value| {
            let mut target = json!({ "token": "12:a-b_c" });
            target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            target
        };
        for (url, expected) in [
            ("tgram://12:a-b_c/-100", vec![bot(json!({ "chat": -100 }))]),
            ("tgram://bot12%3Aa-b_c/42/", vec![bot(json!({ "chat": 42 }))]),
            (
                "tgram://12:a-b_c/@ops/ops2",
                vec![bot(json!({ "chat": "@ops" })), bot(json!({ "chat": "@ops2" }))],
            ),
            (
                "tgram://12:a-b_c/-100:7/42?topic=3",
                vec![bot(json!({ "chat": -100, "topic": 7 })), bot(json!({ "chat": 42, "topic": 3 }))],
            ),
            (
                "tgram://12:a-b_c?to=-100,@ops&thread=9",
                vec![bot(json!({ "chat": -100, "topic": 9 })), bot(json!({ "chat": "@ops", "topic": 9 }))],
            ),
            (
                "tgram://12:a-b_c/42?silent=yes&preview=no&format=text",
                vec![bot(json!({ "chat": 42, "silent": true, "preview": false, "format": "plain" }))],
            ),
            (
                "tgram://12:a-b_c/42?image=no",
                vec![bot(json!({ "chat": 42, "left out": ["?image: there is no such setting here"] }))],
            ),
            (
                "telegram://12:a-b_c@telegram?chats=@ops,-100",
                vec![bot(json!({ "chat": "@ops" })), bot(json!({ "chat": -100 }))],
            ),
            ("telegram://12:a-b_c@telegram/?channels=ops", vec![bot(json!({ "chat": "@ops" }))]),
            ("telegram://12:a-b_c@telegram?chats=-100:7", vec![bot(json!({ "chat": -100, "topic": 7 }))]),
            (
                "telegram://12:a-b_c@telegram?chats=42&notification=no",
                vec![bot(json!({ "chat": 42, "silent": true }))],
            ),
            (
                "telegram://12:a-b_c@telegram?chats=42&preview=yes&notification=yes",
                vec![bot(json!({ "chat": 42, "silent": false, "preview": true }))],
            ),
            (
                "telegram://12:a-b_c@telegram?chats=42&parsemode=HTML",
                vec![bot(json!({ "chat": 42, "left out": ["?parsemode: there is no such setting here"] }))],
            ),
        ] {
            assert_eq!(targets_of::<Telegram>(url, None), expected, "{url}");
        }
        for (url, part) in [
            ("tgram://", "host"),
            ("tgram://12:a-b_c", "path"),
            ("tgram://token/42", "host"),
            ("tgram://12:a-b_c/42:x", "path"),
            ("tgram://12:a-b_c/42?topic=x", "path"),
            ("tgram://12:a-b_c/42?silent=perhaps", "?silent"),
            ("telegram://12:a-b_c@telegram", "?chats"),
            ("telegram://12@telegram?chats=42", "password"),
            ("telegram://12:a-b_c@?chats=42", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
