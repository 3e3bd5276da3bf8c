//! Mattermost: an incoming webhook (<https://developers.mattermost.com/integrate/webhooks/incoming/>) or a bot
//! (<https://api.mattermost.com/#tag/posts/operation/CreatePost>).
//!
//! All is in a message's text, which is what a push notification shows and what a search finds. It has at most
//! 16 383 characters, Unicode scalar values in the server's code (`PostMessageMaxRunesV2`); a webhook's longer
//! text is split by newer servers, and cut here before. Text is CommonMark with mentions and emoji
//! (<https://docs.mattermost.com/collaborate/format-messages.html>), which have no escape: a zero-width space
//! behind `@` and `:` is not documented to help. There is no plain text for Mattermost, so that `format: plain`
//! is escaped. Priorities need a licence of the server's.
//!
//! A webhook answers 200 with `ok`, a post 201 with its id; errors have a status and an `id` in JSON. A webhook
//! that somebody deleted gets 400, as does one that the database could not look up: neither is tried again. Servers
//! that limit rates say `X-RateLimit-Reset` or Retry-After. There is no idempotency key.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::MATTERMOST;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each, object};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{choices, settings};
use crate::settings::{BaseUrl, PerLevel, Secret, SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of an incoming webhook; or else a server's `url`, a bot's `token` and a `channel`.
        webhook: Option<SecretUrl>,
        /// The URL of the server that the bot is of.
        url: Option<BaseUrl>,
        /// The bot's access token.
        token: Option<Secret>,
        /// Where to write: for a bot the id of a channel; for a webhook the name of a channel or `@` and that of a
        /// user, where it is not the channel that it was made for.
        #[length(1, 128)]
        channel: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The name that a webhook's messages come from, where the server allows it.
        username: Option<String>,
        /// The URL of a picture for it.
        avatar: Option<String>,
        /// The name of an emoji in place of a picture.
        emoji: Option<String>,
        /// The priority that messages are marked with, for all levels or by level: none, unless this is set.
        priority: Option<PerLevel<Priority>>,
    }
}

choices! {
    /// What a message is marked with.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub enum Priority {
        /// Important.
        Important = "important",
        /// Urgent.
        Urgent = "urgent",
    }
}

/// A channel of Mattermost.
pub struct Mattermost {
    settings: Settings,
    way: Way,
    overflow: Overflow,
}

enum Way {
    Webhook(SecretUrl),
    Bot { url: BaseUrl, token: Secret },
}

const TEXT: Limit = Limit::characters(16_383);

impl Provider for Mattermost {
    const NAME: &'static str = "mattermost";
    const SUMMARY: &'static str = "Mattermost, by an incoming webhook or as a bot";
    const EXAMPLE: &'static str = "\
- name: mattermost
  provider: mattermost
  webhook: ${MATTERMOST_WEBHOOK}
- name: mattermost-bot
  provider: mattermost
  url: https://mattermost.example.org
  token: ${MATTERMOST_TOKEN}
  channel: 4xp9fdt77pncbef59f4k1qe83o
";
    const AUTH: &'static str = "secret URL, or access token";
    const DIALECT: &'static str = "CommonMark with mentions";
    const URLS: Urls = Urls {
        apprise: &["mmost", "mmosts"],
        apprise_form: "mmosts://host/token?to=channel or mmosts://host/token?mode=bot&to=+id",
        shoutrrr: &["mattermost"],
        shoutrrr_form: "mattermost://username@host/token/channel",
    };
    const LIMITS: &'static [Bound] =
        &[Bound::text("text", &["/text"], TEXT), Bound::text("text", &["/message"], TEXT)];

    type Settings = Settings;

    fn check(
        mut settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let way = match (settings.webhook.take(), settings.url.take(), settings.token.take()) {
            (Some(webhook), None, None) => Way::Webhook(webhook),
            (None, Some(url), Some(token)) => Way::Bot { url, token },
            (Some(_), url, _) => {
                let name = if url.is_some() { "url" } else { "token" };
                problems.value(&at.at(name), "this is a bot's, and `webhook` is set", "keep one of the two");
                return None;
            }
            (None, None, None) => {
                let hint = "add `webhook`, or a server's `url`, a bot's `token` and a `channel`";
                problems.value(at, "there is neither `webhook` nor `token`", hint);
                return None;
            }
            (None, url, _) => {
                let problem = if url.is_none() { "`url` is missing" } else { "`token` is missing" };
                problems.value(at, problem, "a bot needs a server's `url`, its `token` and a `channel`");
                return None;
            }
        };
        if let Way::Bot { .. } = way {
            if settings.channel.is_none() {
                problems.value(
                    at,
                    "`channel` is missing",
                    "add the id of the channel that the bot writes to",
                );
                return None;
            }
            let own = [
                ("username", settings.username.is_some()),
                ("avatar", settings.avatar.is_some()),
                ("emoji", settings.emoji.is_some()),
            ];
            if let Some((name, _)) = own.into_iter().find(|(_, is_set)| *is_set) {
                let hint = "leave it out, or use a `webhook`";
                problems.value(&at.at(name), "a bot has a name and a picture of its own", hint);
                return None;
            }
        }
        Some(Self { settings, way, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        match url.dialect {
            UrlDialect::Apprise => apprise(url),
            UrlDialect::Shoutrrr => shoutrrr(url),
        }
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { channel, username, avatar, emoji, priority, .. } = &self.settings;
        let text = Text::of(notification, occasion.format(self.settings.format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let priority = priority.as_ref().and_then(|priority| priority.find(notification.level).copied());
        let priority = priority.map(|priority| json!({ "priority": priority.name() }));
        let request = |part: String| match &self.way {
            Way::Webhook(url) => Object::default()
                .with("text", part)
                .with("channel", channel.clone())
                .with("username", username.clone())
                .with("icon_url", avatar.clone())
                .with("icon_emoji", emoji.clone())
                .with("priority", priority.clone())
                .into(Request::post(url.segments())),
            Way::Bot { url, token } => Object::default()
                .with("channel_id", channel.clone())
                .with("message", part)
                .with("metadata", priority.clone().map(|priority| object([("priority", priority)])))
                .into(Request::post(url.join("api/v4/posts")).header("authorization", token.bearer())),
        };
        Ok(each(text.parts(&MATTERMOST, TEXT, self.overflow), &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        let is_taken = match self.way {
            Way::Webhook(_) => reply.body.trim_ascii() == b"ok",
            Way::Bot { .. } => said(reply, "id").is_some(),
        };
        match reply.status {
            200..=299 if is_taken => Some(Class::Delivered),
            200..=299 => Some(Class::Ambiguous),
            _ => None,
        }
    }
}

/// A text in the JSON of a reply.
fn said(reply: &Reply, name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    body.get(name)?.as_str().map(ToOwned::to_owned)
}

fn apprise(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
    let is_tls = url.scheme == "mmosts";
    let token = url.last_entry("a token")?;
    let base = url.base(is_tls)?;
    let mut channels = Vec::new();
    for name in ["to", "channel", "channels"] {
        channels.extend(url.list(&[name]));
    }
    let has_team = url.has_option("team");
    let is_bot = match url.option(&["mode"]).map(|mode| mode.to_ascii_lowercase()).as_deref() {
        None | Some("") => has_team,
        Some("bot" | "b") => true,
        Some("webhook" | "w") => false,
        Some(_) => return Err(wrong("?mode", "is neither webhook nor bot", "write one of them")),
    };
    if is_bot {
        if channels.is_empty() {
            return Err(wrong("?to", "is missing: a channel belongs there", "write its id, as `?to=+id`"));
        }
        if channels.iter().any(|channel| channel.starts_with('#')) {
            let hint = "write its id, which is in the channel's information";
            return Err(wrong("?to", "has the name of a channel, and Nuncio does not look it up", hint));
        }
        let target = |channel: &String| {
            settings([
                ("url", base.as_str().into()),
                ("token", token.as_str().into()),
                ("channel", channel.trim_start_matches('+').into()),
            ])
        };
        return Ok(channels.iter().map(target).collect());
    }
    let username = url.option(&["botname"]).or_else(|| url.user());
    let avatar = url.option(&["icon_url"]);
    // The picture of Apprise's own, by level.
    url.option(&["image"]);
    let target = |channel: Option<&str>| {
        settings([
            ("webhook", webhook(&base, &token).into()),
            ("channel", json!(channel.map(|channel| channel.trim_start_matches(['#', '+'])))),
            ("username", json!(username)),
            ("avatar", json!(avatar)),
        ])
    };
    if channels.is_empty() {
        return Ok(vec![target(None)]);
    }
    Ok(channels.iter().map(|channel| target(Some(channel))).collect())
}

fn shoutrrr(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
    let is_tls = !url.flag(&["disabletls"])?.unwrap_or(false);
    let token = url.entry("a token")?;
    let channel = url.optional_entry();
    let base = url.origin(is_tls)?;
    let icon = url.option(&["icon", "icon_emoji", "icon_url"]);
    let is_picture = icon.as_ref().is_some_and(|icon| BaseUrl::problem(icon).is_none());
    let (avatar, emoji) = if is_picture { (icon, None) } else { (None, icon) };
    Ok(vec![settings([
        ("webhook", webhook(&base, &token).into()),
        ("channel", json!(channel)),
        ("username", json!(url.user())),
        ("avatar", json!(avatar)),
        ("emoji", json!(emoji)),
    ])])
}

fn webhook(base: &str, token: &str) -> String {
    [base, "/hooks/", &path_segment(token)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{
        body, header, open, problems, request, requests, target_of, targets_of, wrong_part,
    };
    use crate::request::Segment;

    fn merged(mut settings: Value, more: &Value) -> Value {
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn webhook(more: &Value) -> Value {
        merged(json!({ "webhook": { "$secret": "m/hook" } }), more)
    }

    fn bot(more: &Value) -> Value {
        merged(
            json!({ "url": "https://m.example/", "token": { "$secret": "m/token" }, "channel": "c1" }),
            more,
        )
    }

    fn sent(target: &Mattermost, level: Level, text: &str) -> Value {
        let text = notification(level, "t", Body::Text(text.into()));
        serde_json::from_str(&body(&request(target, &text))).unwrap()
    }

    #[test]
    fn a_webhooks_message_is_text_and_nobody_is_mentioned() {
        let more = json!({ "channel": "ops", "username": "Nuncio", "avatar": "https://x.example/a.png", "emoji": "bell" });
        assert_eq!(problems::<Mattermost>(webhook(&more)), [""; 0]);
        let mut down = notification(
            Level::Warn,
            "a *b* @all",
            fields(&[("Service", "web :x:"), ("at", "10:30 u@x.example")]),
        );
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Mattermost>(webhook(&more)), &down);
        assert!(matches!(request.url.as_slice(), [Segment::Secret { .. }]));
        assert_eq!(
            body(&request),
            "{\"text\":\"**a \\\\*b\\\\* @\u{200b}all**\\n\\n**Service**: web :\u{200b}x:\\n**at**: 10:30 u@x.example\\n\\n<https://x.example/>\",\"channel\":\"ops\",\"username\":\"Nuncio\",\"icon_url\":\"https://x.example/a.png\",\"icon_emoji\":\"bell\"}"
        );
    }

    #[test]
    fn a_bot_has_a_token_and_a_channel() {
        let target = open::<Mattermost>(bot(&json!({ "priority": { "fatal": "urgent" } })));
        let fatal = notification(Level::Fatal, "", Body::Text("**x** @here".into()));
        let fatal = request(&target, &fatal);
        assert_eq!(fatal.url, [Segment::from("https://m.example/api/v4/posts")]);
        assert_eq!(header(&fatal, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(
            body(&fatal),
            r#"{"channel_id":"c1","message":"**x** @here","metadata":{"priority":{"priority":"urgent"}}}"#
        );
        assert_eq!(sent(&target, Level::Info, "b"), json!({ "channel_id": "c1", "message": "**t**\n\nb" }));
        let marked = open::<Mattermost>(webhook(&json!({ "priority": "important" })));
        assert_eq!(sent(&marked, Level::Info, "b")["priority"], json!({ "priority": "important" }));
    }

    #[test]
    fn plain_text_is_escaped() {
        let plain = open::<Mattermost>(webhook(&json!({ "format": "plain" })));
        assert_eq!(sent(&plain, Level::Info, "# *a* @all")["text"], "**t**\n\n\\# \\*a\\* @\u{200b}all");
    }

    #[test]
    fn long_text_is_several_messages() {
        let long = notification(Level::Info, "t", Body::Text("é".repeat(20_000)));
        let parts = requests(&open::<Mattermost>(webhook(&json!({}))), &long);
        let lengths = parts.iter().map(|part| {
            let sent: Value = serde_json::from_str(&body(part)).unwrap();
            sent["text"].as_str().unwrap().chars().count()
        });
        // A part has room for a number of two digits.
        assert_eq!(lengths.collect::<Vec<_>>(), [16_381, 3636]);
    }

    #[test]
    fn one_of_the_two_ways_is_chosen() {
        for (settings, start) in [
            (json!({}), ": there is neither"),
            (json!({ "url": "https://m.example" }), ": `token` is missing"),
            (json!({ "token": { "$secret": "t" }, "channel": "c" }), ": `url` is missing"),
            (json!({ "url": "https://m.example", "token": { "$secret": "t" } }), ": `channel` is missing"),
            (webhook(&json!({ "url": "https://m.example" })), "/url: this is a bot's"),
            (webhook(&json!({ "token": { "$secret": "t" } })), "/token: this is a bot's"),
            (bot(&json!({ "username": "x" })), "/username: a bot has a name"),
            (bot(&json!({ "avatar": "https://x" })), "/avatar: a bot has a name"),
            (bot(&json!({ "emoji": "x" })), "/emoji: a bot has a name"),
            (webhook(&json!({ "priority": "loud" })), "/priority"),
            (webhook(&json!({ "channel": "" })), "/channel"),
        ] {
            let found = problems::<Mattermost>(settings);
            assert!(found.len() == 1 && found[0].starts_with(start), "{start}: {found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let hook = |url: &str, more: Value| merged(json!({ "webhook": url }), &more);
        for (url, expected) in [
            ("mmost://h.example/tok", hook("http://h.example/hooks/tok", json!({}))),
            (
                "mmosts://bot@h.example:8065/tok",
                hook("https://h.example:8065/hooks/tok", json!({ "username": "bot" })),
            ),
            ("mmosts://h.example/a%20b/c/t%2Fo?to=%23ops", {
                hook("https://h.example/a%20b/c/hooks/t%2Fo", json!({ "channel": "ops" }))
            }),
            (
                "mmosts://h.example/tok?channel=é&icon_url=https%3A%2F%2Fx%2Fa.png&image=no&botname=B",
                hook(
                    "https://h.example/hooks/tok",
                    json!({ "channel": "é", "username": "B", "avatar": "https://x/a.png" }),
                ),
            ),
            (
                "mmosts://h.example/path/tok?mode=bot&to=%2Bid&format=text",
                json!({ "url": "https://h.example/path", "token": "tok", "channel": "id", "format": "plain" }),
            ),
            ("mattermost://h.example/tok", hook("https://h.example/hooks/tok", json!({}))),
            (
                "mattermost://b%40t@h.example:8065/tok/ops%20x?disabletls=yes",
                hook("http://h.example:8065/hooks/tok", json!({ "channel": "ops x", "username": "b@t" })),
            ),
            ("mattermost://h.example/t%2Fé/é?icon=bell", {
                hook("https://h.example/hooks/t%2F%C3%A9", json!({ "channel": "é", "emoji": "bell" }))
            }),
            ("mattermost://h.example/tok?icon=https%3A%2F%2Fx%2Fa.png", {
                hook("https://h.example/hooks/tok", json!({ "avatar": "https://x/a.png" }))
            }),
            ("mattermost://h.example/tok?icon_emoji=x&title=t", {
                let left = json!(["?title: there is no such setting here"]);
                hook("https://h.example/hooks/tok", json!({ "emoji": "x", "left out": left }))
            }),
        ] {
            assert_eq!(target_of::<Mattermost>(url), expected, "{url}");
        }
        let channels = |url| -> Vec<Value> {
            targets_of::<Mattermost>(url, None).iter().map(|target| target["channel"].clone()).collect()
        };
        assert_eq!(channels("mmost://h.example/t?to=a,%23b&channels=@c"), ["a", "b", "@c"]);
        assert_eq!(channels("mmost://h.example/t?mode=bot&to=a,%2Bb"), ["a", "b"]);
        for (url, part) in [
            ("mmost://h.example", "path"),
            ("mmost:///t", "host"),
            ("mmost://h%2F/t", "host"),
            ("mmost://h.example/t?mode=x", "?mode"),
            ("mmost://h.example/t?mode=bot", "?to"),
            ("mmost://h.example/t?team=x&to=%23name", "?to"),
            ("mattermost://h.example", "path"),
            ("mattermost://h.example:99999/t", "port"),
            ("mattermost://h.example/t?disabletls=perhaps", "?disabletls"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let classify = |settings, status, body: &str| {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            Provider::classify(&open::<Mattermost>(settings), &reply)
        };
        for (status, body, class) in [
            (200, "ok", Some(Class::Delivered)),
            (200, "<html>", Some(Class::Ambiguous)),
            (400, r#"{"id":"web.incoming_webhook.invalid.app_error","status_code":400}"#, None),
            (404, r#"{"id":"web.incoming_webhook.channel.app_error"}"#, None),
            (429, "limit exceeded", None),
        ] {
            assert_eq!(classify(webhook(&json!({})), status, body), class, "{body}");
        }
        for (status, body, class) in [
            (201, r#"{"id":"x","message":"m"}"#, Some(Class::Delivered)),
            (201, "[]", Some(Class::Ambiguous)),
            (401, r#"{"id":"api.context.session_expired.app_error"}"#, None),
        ] {
            assert_eq!(classify(bot(&json!({})), status, body), class, "{body}");
        }
    }
}
