//! Zulip, as a bot: <https://zulip.com/api/send-message>.
//!
//! A message has at most 10 000 characters and a topic 60, in Unicode scalar values; both are settings of the
//! server's (`max_message_length`, `max_topic_length`), and what is longer, Zulip cuts off. Text is Zulip's own
//! Markdown (<https://zulip.com/help/format-your-message-using-markdown>), which has no escape: a zero-width
//! space at a mark is not documented to help, and changes nothing that is seen. There is no plain text for it, so
//! that `format: plain` is written so too.
//!
//! In a channel the title is the topic, and stands in the message as well where it was cut; where a target has a
//! topic of its own it stands in the message only. Zulip answers `"result": "success"`, and to too many requests
//! `retry-after` in seconds (<https://zulip.com/api/rest-error-handling>). It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::hint::{self, Unit};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{PLAIN, ZULIP};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Form, each};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{Setting, settings};
use crate::settings::{BaseUrl, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the organisation.
        url: BaseUrl,
        /// The bot's email address.
        user: String,
        /// The bot's API key.
        key: Secret,
        /// The name or the id of the channel to write in; or else `people`.
        channel: Option<Channel>,
        /// The topic to write in, in place of the title: 1 to 60 characters.
        #[length(1, 60)]
        topic: Option<String>,
        /// The email addresses of people to write to, in one conversation.
        people: Vec<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A channel: its name, or its id.
struct Channel(Value);

impl Setting for Channel {
    fn schema() -> Value {
        json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "minLength": 1 }] })
    }

    fn read(value: &Value) -> Option<Self> {
        (value.is_u64() || value.is_string()).then(|| Self(value.clone()))
    }
}

/// A channel or people of Zulip.
pub struct Zulip {
    settings: Settings,
    /// The channel, or the people, in JSON.
    to: String,
    overflow: Overflow,
}

const TOPIC: Limit = Limit::characters(60);
const CONTENT: Limit = Limit::characters(10_000);

const ANSWER: Answer = Answer {
    at: "/result",
    success: "\"success\"",
    reason: "/code",
    meanings: &[
        ("RATE_LIMIT_HIT", Class::Throttled),
        ("INVALID_API_KEY", Class::Credentials),
        ("UNAUTHORIZED", Class::Credentials),
        ("USER_DEACTIVATED", Class::Credentials),
        ("REALM_DEACTIVATED", Class::Credentials),
    ],
};

impl Provider for Zulip {
    const NAME: &'static str = "zulip";
    const SUMMARY: &'static str = "Zulip, as a bot, to a channel or to people";
    const EXAMPLE: &'static str = "\
- name: zulip
  provider: zulip
  url: https://example.zulipchat.com
  user: alerts-bot@example.zulipchat.com
  key: ${ZULIP_KEY}
  channel: ops
- name: zulip-people
  provider: zulip
  url: https://example.zulipchat.com
  user: alerts-bot@example.zulipchat.com
  key: ${ZULIP_KEY}
  people: [ann@example.org]
";
    const AUTH: &'static str = "user and API key";
    const DIALECT: &'static str = "Zulip's markdown";
    const URLS: Urls = Urls {
        apprise: &["zulip"],
        apprise_form: "zulip://bot@organisation/token/channel",
        shoutrrr: &["zulip"],
        shoutrrr_form: "zulip://bot%40mail:key@host?stream=channel&topic=…",
    };
    const LIMITS: &'static [Bound] =
        &[Bound::text("topic", &["/topic"], TOPIC), Bound::text("text", &["/content"], CONTENT)];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let to = match (&settings.channel, settings.people.as_slice()) {
            (Some(channel), []) => channel.0.to_string(),
            (None, [_, ..]) if settings.topic.is_none() => json!(settings.people).to_string(),
            (None, [_, ..]) => {
                problems.value(&at.at("topic"), "people have no topics", "leave it out");
                return None;
            }
            (Some(_), _) => {
                problems.value(&at.at("people"), "`channel` is set as well", "keep one of the two");
                return None;
            }
            (None, []) => {
                problems.value(at, "there is neither `channel` nor `people`", "add one of the two");
                return None;
            }
        };
        Some(Self { settings, to, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        match url.dialect {
            UrlDialect::Apprise => apprise(url),
            UrlDialect::Shoutrrr => shoutrrr(url),
        }
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        url.has_password() || url.has_option("stream") || url.has_option("topic")
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { url, user, key, channel, topic, .. } = &self.settings;
        let title = one_line(&notification.title);
        let cut = self.overflow.limit(TOPIC).cut(&title);
        let is_topic = channel.is_some() && topic.is_none() && cut == title;
        let text = Text::of(notification, occasion.format(self.settings.format));
        let text = text.titled(if is_topic { "" } else { &notification.title });
        let text = text.linked(notification.link.as_deref());
        let topic = match (channel, topic) {
            (None, _) => "",
            (_, Some(topic)) => topic,
            (_, None) if cut.is_empty() => notification.level.name(),
            (_, None) => &cut,
        };
        let kind = if channel.is_some() { "stream" } else { "private" };
        let request = |part: String| {
            let request = Request::post(url.join("api/v1/messages"));
            Form::default()
                .with("type", kind)
                .with("to", &self.to)
                .with_text("topic", topic)
                .with("content", &part)
                .into(request.header("authorization", key.basic(user)))
        };
        Ok(each(text.parts(&ZULIP, CONTENT, self.overflow), &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        hint::in_json(reply, "/retry-after", Unit::Seconds)
    }
}

/// A title without line breaks and what else a topic must not have; nothing where there is nothing to read.
fn one_line(title: &str) -> String {
    let title = Text::plain(title);
    if title.is_blank() {
        return String::new();
    }
    let title = title.write(&PLAIN);
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn apprise(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
    let bot = url.required_user("the bot's name")?;
    let bot = bot.strip_suffix("-bot").unwrap_or(&bot).to_owned();
    let organisation = url.take_host("the organisation")?;
    let host = match organisation.contains('.') {
        true => organisation,
        false => [&organisation, ".zulipchat.com"].concat(),
    };
    let server = ["https://", &host].concat();
    if BaseUrl::problem(&server).is_some() || host.contains(['/', '%', '?', '#']) {
        return Err(wrong(
            "host",
            "is no name of an organisation",
            "write it as `name` or `name.example.org`",
        ));
    }
    let key = match url.option(&["token"]).filter(|token| !token.is_empty()) {
        Some(token) => token,
        None => url.entry("the bot's API key")?,
    };
    let mut targets = url.rest();
    let to = url.option(&["to"]).unwrap_or_default();
    let is_delimiter = |c: char| c.is_whitespace() || matches!(c, ',' | '#' | '\\' | '/');
    targets.extend(to.split(is_delimiter).filter(|target| !target.is_empty()).map(str::to_owned));
    if targets.is_empty() {
        targets.push("general".to_owned());
    }
    let user = [&bot, "-bot@", &host].concat();
    let target = |target: String| {
        let (channel, people) = match target.contains('@') {
            true => (Value::Null, json!([target])),
            false => (target.trim_start_matches('#').into(), Value::Null),
        };
        settings([
            ("url", server.as_str().into()),
            ("user", user.as_str().into()),
            ("key", key.as_str().into()),
            ("channel", channel),
            ("people", people),
        ])
    };
    Ok(each(targets, &target))
}

fn shoutrrr(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
    let user = url.required_user("the bot's address")?;
    let key = url.required_password("the bot's API key")?;
    let channel = url.option(&["stream"]).filter(|channel| !channel.is_empty());
    let channel = channel.ok_or_else(|| wrong("?stream", "is missing: a channel belongs there", ""))?;
    let topic = url.option(&["topic", "title"]).map(|topic| TOPIC.cut(&topic));
    Ok(vec![settings([
        ("url", url.origin(true)?.into()),
        ("user", user.into()),
        ("key", key.into()),
        ("channel", channel.into()),
        ("topic", json!(topic)),
    ])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{
        body, header, open, problems, request, requests, target_of, targets_of, wrong_part,
    };
    use crate::provider::webhook::form;
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings =
            json!({ "url": "https://z.example/", "user": "a-bot@z.example", "key": { "$secret": "z/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn channel(more: &Value) -> Zulip {
        let mut settings = with(&json!({ "channel": "ops" }));
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(problems::<Zulip>(settings.clone()), [""; 0]);
        open(settings)
    }

    fn pairs(request: &Request) -> Vec<(String, String)> {
        form::pairs(&body(request))
    }

    fn value(request: &Request, name: &str) -> String {
        pairs(request)
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
            .unwrap_or_default()
    }

    #[test]
    fn a_message_is_a_form_and_the_title_its_topic() {
        let mut down = notification(
            Level::Warn,
            "web\nis  down",
            fields(&[("Service", "web & *co*"), ("by", "@**all** u@x.example")]),
        );
        down.link = Some("https://x.example/?a".into());
        let request = request(&channel(&json!({})), &down);
        assert_eq!(request.url, [Segment::from("https://z.example/api/v1/messages")]);
        assert!(matches!(header(&request, "authorization").unwrap(), [_, Segment::Base64(_)]));
        assert_eq!(
            body(&request),
            "type=stream&to=%22ops%22&topic=web+is+down&content=**Service**%3A+web+%26+*%E2%80%8Bco*%E2%80%8B%0A**by**%3A+%40%E2%80%8B*%E2%80%8B*%E2%80%8Ball*%E2%80%8B*%E2%80%8B+u%40x.example%0A%0A%5Bhttps%3A%2F%2Fx.example%2F%3Fa%5D%28https%3A%2F%2Fx.example%2F%3Fa%29"
        );
    }

    #[test]
    fn people_get_the_title_in_the_message() {
        let people = open::<Zulip>(with(&json!({ "people": ["ann@x.example", "bob@x.example"] })));
        let request = request(&people, &notification(Level::Info, "t", Body::Text("*b*".into())));
        let expected = [
            ("type", "private"),
            ("to", r#"["ann@x.example","bob@x.example"]"#),
            ("content", "**t**\n\n*b*"),
        ];
        assert_eq!(pairs(&request), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_topic_is_the_targets_the_title_or_the_level() {
        let sent = |target: &Zulip, title: &str| {
            let request = request(target, &notification(Level::Error, title, Body::Text("b".into())));
            (value(&request, "topic"), value(&request, "content"))
        };
        let pair = |topic: &str, content: &str| (topic.to_owned(), content.to_owned());
        let own = channel(&json!({ "topic": "alerts", "channel": 7 }));
        assert_eq!(own.to, "7");
        assert_eq!(sent(&own, "t"), pair("alerts", "**t**\n\nb"));
        let any = channel(&json!({}));
        assert_eq!(sent(&any, "t"), pair("t", "b"));
        assert_eq!(sent(&any, " \u{200b}"), pair("error", "b"));
        let (long, cut) = ("é".repeat(61), "é".repeat(59) + "…");
        assert_eq!(sent(&any, &long), pair(&cut, &format!("**{long}**\n\nb")));
        assert_eq!(sent(&any, &"é".repeat(60)), pair(&"é".repeat(60), "b"));
    }

    #[test]
    fn text_is_written_in_zulips_marks() {
        let content = |settings: Value, body: Body| {
            value(&request(&channel(&settings), &notification(Level::Info, "t", body)), "content")
        };
        let text = Body::Text("# a\n\n_b_ __c__ ~~d~~ `e` <https://x.example>\n\n1. f".into());
        assert_eq!(
            content(json!({}), text),
            "# a\n\n*b* **c** ~~d~~ `e` [https://x.example](https://x.example)\n\n1. f"
        );
        let plain = Body::Text("# a\n- b\n1. c\n> d [e](f) x_y_".into());
        assert_eq!(
            content(json!({ "format": "plain" }), plain),
            "\u{200b}# a\n\u{200b}- b\n1\u{200b}. c\n\u{200b}> d [\u{200b}e](f) x_y_"
        );
        assert_eq!(content(json!({}), items(&["*a*"])), "* *\u{200b}a*\u{200b}");
    }

    #[test]
    fn long_text_is_several_messages() {
        let long = notification(Level::Info, "t", Body::Text("é".repeat(12_000)));
        let lengths: Vec<usize> = requests(&channel(&json!({})), &long)
            .iter()
            .map(|part| value(part, "content").chars().count())
            .collect();
        // A part has room for a number of two digits.
        assert_eq!(lengths, [9999, 2009]);
    }

    #[test]
    fn a_message_goes_to_a_channel_or_to_people() {
        for (more, start) in [
            (json!({}), ": there is neither"),
            (json!({ "people": [] }), ": there is neither"),
            (json!({ "channel": "x", "people": ["a@b"] }), "/people: `channel` is set"),
            (json!({ "people": ["a@b"], "topic": "t" }), "/topic: people have no topics"),
            (json!({ "channel": "x", "topic": "t".repeat(61) }), "/topic"),
            (json!({ "channel": -1 }), "/channel"),
        ] {
            let found = problems::<Zulip>(with(&more));
            assert!(found.len() == 1 && found[0].starts_with(start), "{start}: {found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let key = "k".repeat(32);
        let target = |host: &str, user: &str, more: Value| {
            let mut settings = json!({ "url": format!("https://{host}"), "user": user, "key": key });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        let (cloud, bot) = ("org.zulipchat.com", "ab-bot@org.zulipchat.com");
        for (url, expected) in [
            ("zulip://ab@org/K", target(cloud, bot, json!({ "channel": "general" }))),
            ("zulip://ab-bot@org/K/ops", target(cloud, bot, json!({ "channel": "ops" }))),
            ("zulip://ab@org/K/#op%20s%2Fé", target(cloud, bot, json!({ "channel": "op s/é" }))),
            (
                "zulip://ab@chat.x.example/K/ann%40x.example",
                target("chat.x.example", "ab-bot@chat.x.example", json!({ "people": ["ann@x.example"] })),
            ),
            (
                "zulip://ab@org/?token=K&to=ops&format=text",
                target(cloud, bot, json!({ "channel": "ops", "format": "plain" })),
            ),
            (
                "zulip://b%40z.example:K@z.example?stream=ops&topic=t",
                target("z.example", "b@z.example", json!({ "channel": "ops", "topic": "t" })),
            ),
            (
                "zulip://b%40z.example:K@z.example:8443/?stream=op%20s",
                target("z.example:8443", "b@z.example", json!({ "channel": "op s" })),
            ),
            (
                "zulip://b%40z.example:K@z.example/?stream=%C3%A9%2F&title=x%20y",
                target("z.example", "b@z.example", json!({ "channel": "é/", "topic": "x y" })),
            ),
            (
                "zulip://b@z:K@z.example/?stream=ops&topic=TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT",
                target("z.example", "b@z", json!({ "channel": "ops", "topic": "T".repeat(59) + "…" })),
            ),
            (
                "zulip://b%40z:K@[::1]:80/x?stream=ops&a=b",
                target(
                    "[::1]:80",
                    "b@z",
                    json!({
                        "channel": "ops",
                        "left out": ["path: this kind of URL has no use for it", "?a: there is no such setting here"],
                    }),
                ),
            ),
        ] {
            assert_eq!(target_of::<Zulip>(&url.replace('K', &key)), expected, "{url}");
        }
        let several: Vec<Value> = targets_of::<Zulip>("zulip://b@o/k/a/b?to=c%2Fd,%23e%20f@x", None)
            .iter()
            .map(|target| target.get("channel").unwrap_or(&target["people"]).clone())
            .collect();
        assert_eq!(several, [json!("a"), json!("b"), json!("c"), json!("d"), json!("e"), json!(["f@x"])]);
        for (url, part) in [
            ("zulip://org/K", "user"),
            ("zulip://b@", "host"),
            ("zulip://b@org", "path"),
            ("zulip://b@o%2Frg/K", "host"),
            ("zulip://:K@z.example?stream=x", "user"),
            ("zulip://b@z.example?stream=x", "password"),
            ("zulip://b:K@z.example", "?stream"),
            ("zulip://b:K@z%20/?stream=x", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let target = channel(&json!({}));
        let reply = |status, body: &str| Reply { status, head: Default::default(), body: body.into() };
        for (status, body, class) in [
            (200, r#"{"result":"success","id":1}"#, Some(Class::Delivered)),
            (200, "<html>", Some(Class::Ambiguous)),
            (400, r#"{"result":"error","code":"STREAM_DOES_NOT_EXIST"}"#, None),
            (401, r#"{"result":"error","code":"INVALID_API_KEY"}"#, Some(Class::Credentials)),
            (429, r#"{"result":"error","code":"RATE_LIMIT_HIT","retry-after":28.7}"#, Some(Class::Throttled)),
        ] {
            assert_eq!(Provider::classify(&target, &reply(status, body)), class, "{body}");
        }
        let slow = reply(429, r#"{"code":"RATE_LIMIT_HIT","retry-after":28.706}"#);
        assert_eq!(Provider::hint(&target, &slow), Some(28_706));
    }
}
