//! Rocket.Chat: an incoming webhook (<https://docs.rocket.chat/docs/integrations>) or a user with a token
//! (<https://developer.rocket.chat/apidocs/post-message>).
//!
//! All is in a message's text. It has as many characters as the server's setting `Message_MaxAllowedSize` says,
//! 5000 unless somebody changed it; they are counted here in UTF-16 code units, of which no reading has more.
//! Text is Rocket.Chat's own (its `message-parser`), which is no CommonMark: marks have no escape, and a
//! zero-width space behind them is not documented to help. There is no plain text for it, so that `format: plain`
//! is written so too. A script of the webhook's can make of all this what it wants.
//!
//! Both answer `"success": true`; errors have a status, and say `error`. Where rates are limited, the headers say
//! when they begin anew, in milliseconds. There is no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::ROCKETCHAT;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, Secret, SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of an incoming webhook; or else a server's `url`, a `user` with a `token`, and a `channel`.
        webhook: Option<SecretUrl>,
        /// The URL of the server that the user is of.
        url: Option<BaseUrl>,
        /// The user's id, which the server shows beside a personal access token.
        user: Option<String>,
        /// The user's personal access token.
        token: Option<Secret>,
        /// Where to write: `#` and the name of a channel, `@` and that of a user, or the id of a room. A webhook has
        /// a channel that it was made for.
        #[length(1, 256)]
        channel: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The name that messages come from; a user needs the permission `message-impersonate` for it.
        username: Option<String>,
        /// The URL of a picture for it, with the same permission.
        avatar: Option<String>,
        /// An emoji in place of a picture, as `:bell:`.
        emoji: Option<String>,
    }
}

/// A channel, a user or a room of Rocket.Chat.
pub struct RocketChat {
    settings: Settings,
    way: Way,
    overflow: Overflow,
}

enum Way {
    Webhook(SecretUrl),
    User { url: BaseUrl, user: String, token: Secret },
}

const TEXT: Limit = Limit::utf16(5000);

const ANSWER: Answer = Answer {
    at: "/success",
    success: "true",
    reason: "/errorType",
    meanings: &[("error-too-many-requests", Class::Throttled)],
};

impl Provider for RocketChat {
    const NAME: &'static str = "rocketchat";
    const SUMMARY: &'static str = "Rocket.Chat, by an incoming webhook or as a user";
    const EXAMPLE: &'static str = "\
- name: rocketchat
  provider: rocketchat
  webhook: ${ROCKETCHAT_WEBHOOK}
- name: rocketchat-user
  provider: rocketchat
  url: https://chat.example.org
  user: rbAXPnMktTFbNpwtJ
  token: ${ROCKETCHAT_TOKEN}
  channel: \"#ops\"
";
    const AUTH: &'static str = "secret URL, or user and token";
    const DIALECT: &'static str = "Rocket.Chat's markdown";
    const URLS: Urls = Urls {
        apprise: &["rocket", "rockets"],
        apprise_form: "rockets://a/b@host/#channel or rockets://user:token@host/#channel?mode=token",
        shoutrrr: &["rocketchat"],
        shoutrrr_form: "rocketchat://username@host/a/b/channel",
    };
    const LIMITS: &'static [Bound] = &[Bound::text("text", &["/text"], TEXT)];

    type Settings = Settings;

    fn check(
        mut settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let account = (settings.url.take(), settings.user.take(), settings.token.take());
        let way = match (settings.webhook.take(), account) {
            (Some(webhook), (None, None, None)) => Way::Webhook(webhook),
            (None, (Some(url), Some(user), Some(token))) if settings.channel.is_some() => {
                Way::User { url, user, token }
            }
            (Some(_), (url, user, _)) => {
                let name = match (url, user) {
                    (Some(_), _) => "url",
                    (_, Some(_)) => "user",
                    _ => "token",
                };
                problems.value(&at.at(name), "this is a user's, and `webhook` is set", "keep one of the two");
                return None;
            }
            (None, (None, None, None)) => {
                let hint = "add `webhook`, or a server's `url`, `user`, `token` and `channel`";
                problems.value(at, "there is neither `webhook` nor `token`", hint);
                return None;
            }
            (None, (url, user, token)) => {
                let problem = match (url, user, token) {
                    (None, ..) => "`url` is missing",
                    (_, None, _) => "`user` is missing",
                    (_, _, None) => "`token` is missing",
                    _ => "`channel` is missing",
                };
                problems.value(at, problem, "a user needs a server's `url`, `user`, `token` and `channel`");
                return None;
            }
        };
        Some(Self { settings, way, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        match url.dialect {
            UrlDialect::Apprise => apprise(url),
            UrlDialect::Shoutrrr => shoutrrr(url),
        }
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { channel, username, avatar, emoji, .. } = &self.settings;
        let text = Text::of(notification, occasion.format(self.settings.format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let request = |part: String| {
            let request = match &self.way {
                Way::Webhook(url) => Request::post(url.segments()),
                Way::User { url, user, token } => Request::post(url.join("api/v1/chat.postMessage"))
                    .header("x-auth-token", vec![token.segment(Escape::Verbatim)])
                    .header("x-user-id", vec![user.as_str().into()]),
            };
            Object::default()
                .with("text", part)
                .with("channel", channel.clone())
                .with("alias", username.clone())
                .with("avatar", avatar.clone())
                .with("emoji", emoji.clone())
                .into(request)
        };
        Ok(each(text.parts(&ROCKETCHAT, TEXT, self.overflow), &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

fn apprise(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
    let is_tls = url.scheme == "rockets";
    let mode = url.option(&["mode"]).map(|mode| mode.trim().to_ascii_lowercase());
    let (mut user, mut password) = (url.user(), url.password());
    // `a/b@host`: what is behind the slash is a path for every other URL.
    let has_login = user.is_some() || password.is_some();
    let server = match url.first_entry().and_then(|entry| entry.split_once('@')) {
        Some((second, host)) if !has_login => {
            let (second, host) = (second.to_owned(), host.to_owned());
            let first = url.take_host("the first part of the webhook")?;
            url.optional_entry();
            let (before, first) = match first.split_once(':') {
                Some((before, first)) => (Some(before.to_owned()), first.to_owned()),
                None => (None, first),
            };
            (user, password) = (before, Some([first, second].join("/")));
            let scheme = if is_tls { "https" } else { "http" };
            let server = [scheme, "://", &host].concat();
            if BaseUrl::problem(&server).is_some() || host.contains('%') {
                return Err(wrong("host", "is no name of a host", "write it as `host` or `host:8080`"));
            }
            server
        }
        _ => url.origin(is_tls)?,
    };
    // A webhook stands alone, or behind a user.
    let is_webhook = |text: &str| match text.split_once('/') {
        Some((a, b)) => [a, b]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())),
        None => false,
    };
    let alone = if password.is_none() { user.clone() } else { password.clone() };
    let given = url.option(&["webhook"]).filter(|webhook| !webhook.is_empty());
    let webhook = given.or_else(|| {
        alone.filter(|text| is_webhook(text) && !matches!(mode.as_deref(), Some("token" | "basic")))
    });
    let mut channels = url.rest();
    channels.extend(url.list(&["to"]));
    if !matches!(mode.as_deref(), None | Some("webhook" | "token" | "basic")) {
        return Err(wrong("?mode", "is none of webhook, token, basic", "write one of them"));
    }
    if let (Some(webhook), None | Some("webhook")) = (&webhook, mode.as_deref()) {
        let target = |channel: Option<&String>| {
            settings([
                ("webhook", hook(&server, &webhook.split('/').collect::<Vec<_>>()).into()),
                ("channel", json!(channel)),
            ])
        };
        if channels.is_empty() {
            return Ok(vec![target(None)]);
        }
        return Ok(channels.iter().map(|channel| target(Some(channel))).collect());
    }
    if mode.as_deref() == Some("webhook") {
        return Err(wrong("user", "is missing: the webhook belongs there", "write it as `a%2Fb@host`"));
    }
    let user = user.ok_or_else(|| wrong("user", "is missing: a webhook or a user's id belongs there", ""))?;
    let token =
        password.ok_or_else(|| wrong("password", "is missing: the user's token belongs there", ""))?;
    // Apprise takes what is longer than 32 characters for a token, too.
    let is_token = mode.as_deref().map_or(token.chars().count() > 32, |mode| mode == "token");
    if !is_token {
        let hint = "write a user's id and a personal access token, with `?mode=token`";
        return Err(wrong("password", "is an account's, and Nuncio does not log in", hint));
    }
    if channels.is_empty() {
        return Err(wrong("path", "is missing: a channel belongs there", "write it as `/#channel`"));
    }
    let target = |channel: &String| {
        settings([
            ("url", server.as_str().into()),
            ("user", user.as_str().into()),
            ("token", token.as_str().into()),
            ("channel", channel.as_str().into()),
        ])
    };
    Ok(channels.iter().map(target).collect())
}

fn shoutrrr(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
    let (first, second) = (url.entry("the webhook's first part")?, url.entry("the webhook's second part")?);
    let channel = url.fragment().or_else(|| url.optional_entry());
    let channel = channel.map(|channel| match channel.starts_with(['@', '#']) {
        true => channel,
        false => ["#", &channel].concat(),
    });
    let server = url.origin(true)?;
    Ok(vec![settings([
        ("webhook", hook(&server, &[&first, &second]).into()),
        ("channel", json!(channel)),
        ("username", json!(url.user())),
    ])])
}

/// The URL of a webhook, from both parts of it.
fn hook(server: &str, parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| path_segment(part)).collect();
    [server, "/hooks/", &parts.join("/")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, items, notification};
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
        merged(json!({ "webhook": { "$secret": "r/hook" } }), more)
    }

    fn user(more: &Value) -> Value {
        let settings = json!({
            "url": "https://r.example/chat/", "user": "U1", "token": { "$secret": "r/token" }, "channel": "#ops",
        });
        merged(settings, more)
    }

    fn text(target: &RocketChat, text: &str) -> String {
        let text = notification(Level::Info, "", Body::Text(text.into()));
        let sent: Value = serde_json::from_str(&body(&request(target, &text))).unwrap();
        sent["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_webhooks_message_is_text_and_nobody_is_mentioned() {
        let more = json!({ "channel": "@ann", "username": "Nuncio", "avatar": "https://x.example/a.png", "emoji": ":bell:" });
        assert_eq!(problems::<RocketChat>(webhook(&more)), [""; 0]);
        let mut down = notification(
            Level::Warn,
            "a *b* @all",
            fields(&[("Service", "web :x:"), ("at", "10:30 u@x.example")]),
        );
        down.link = Some("https://x.example/".into());
        let request = request(&open::<RocketChat>(webhook(&more)), &down);
        assert!(matches!(request.url.as_slice(), [Segment::Secret { .. }]));
        assert_eq!(
            body(&request),
            "{\"text\":\"*a *\u{200b}b*\u{200b} @\u{200b}all*\\n\\n*Service*: web :\u{200b}x:\\n*at*: 10:30 u@x.example\\n\\n[https://x.example/](https://x.example/)\",\"channel\":\"@ann\",\"alias\":\"Nuncio\",\"avatar\":\"https://x.example/a.png\",\"emoji\":\":bell:\"}"
        );
    }

    #[test]
    fn a_user_has_an_id_and_a_token() {
        let request = request(
            &open::<RocketChat>(user(&json!({}))),
            &notification(Level::Info, "t", items(&["a", "b"])),
        );
        assert_eq!(request.url, [Segment::from("https://r.example/chat/api/v1/chat.postMessage")]);
        let token = Segment::Secret { name: "r/token".into(), escape: Escape::Verbatim };
        assert_eq!(header(&request, "x-auth-token"), Some(&[token][..]));
        assert_eq!(header(&request, "x-user-id"), Some(&["U1".into()][..]));
        assert_eq!(body(&request), "{\"text\":\"*t*\\n\\n- a\\n- b\",\"channel\":\"#ops\"}");
    }

    #[test]
    fn text_is_written_in_marks_of_rocket_chats_own() {
        let markdown = open::<RocketChat>(webhook(&json!({})));
        assert_eq!(text(&markdown, "# a\n\n**b** *c* ~~d~~ `e`\n\n* f"), "*a*\n\n*b* _c_ ~d~ `e`\n\n- f");
        let plain = open::<RocketChat>(webhook(&json!({ "format": "plain" })));
        assert_eq!(
            text(&plain, "# a\n- b\n1. c *d*"),
            "\u{200b}# a\n\u{200b}- b\n1\u{200b}. c *\u{200b}d*\u{200b}"
        );
    }

    #[test]
    fn long_text_is_several_messages() {
        let long = notification(Level::Info, "t", Body::Text("x".repeat(8000)));
        let lengths = requests(&open::<RocketChat>(webhook(&json!({}))), &long)
            .iter()
            .map(|part| {
                let sent: Value = serde_json::from_str(&body(part)).unwrap();
                sent["text"].as_str().unwrap().encode_utf16().count()
            })
            .collect::<Vec<_>>();
        // A part has room for a number of two digits.
        assert_eq!(lengths, [4998, 3015]);
    }

    #[test]
    fn one_of_the_two_ways_is_chosen() {
        let without = |name: &str| {
            let mut settings = user(&json!({}));
            settings.as_object_mut().unwrap().shift_remove(name);
            settings
        };
        for (settings, start) in [
            (json!({}), ": there is neither"),
            (without("url"), ": `url` is missing"),
            (without("user"), ": `user` is missing"),
            (without("token"), ": `token` is missing"),
            (without("channel"), ": `channel` is missing"),
            (webhook(&json!({ "url": "https://r.example" })), "/url: this is a user's"),
            (webhook(&json!({ "user": "U1" })), "/user: this is a user's"),
            (webhook(&json!({ "token": { "$secret": "t" } })), "/token: this is a user's"),
            (webhook(&json!({ "channel": "" })), "/channel"),
        ] {
            let found = problems::<RocketChat>(settings);
            assert!(found.len() == 1 && found[0].starts_with(start), "{start}: {found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let hook = |url: &str, more: Value| merged(json!({ "webhook": url }), &more);
        let token = "t".repeat(33);
        let account = json!({ "url": "https://h.example", "user": "u", "token": token, "channel": "#ops" });
        for (url, expected) in [
            ("rocket://a/b@h.example", hook("http://h.example/hooks/a/b", json!({}))),
            ("rockets://a%2Fb@h.example:3000/#ops", {
                hook("https://h.example:3000/hooks/a/b", json!({ "channel": "#ops" }))
            }),
            ("rockets://a/b@h.example:3000/@é%20x", {
                hook("https://h.example:3000/hooks/a/b", json!({ "channel": "@é x" }))
            }),
            (
                "rockets://u:a/b@h.example/room",
                hook("https://h.example/hooks/a/b", json!({ "channel": "room" })),
            ),
            ("rockets://u:a%2Fb@h.example/room?mode=webhook&format=text", {
                hook("https://h.example/hooks/a/b", json!({ "channel": "room", "format": "plain" }))
            }),
            ("rockets://h.example/?webhook=a%2Fb&to=%23x&avatar=no", {
                let left = json!(["?avatar: there is no such setting here"]);
                hook("https://h.example/hooks/a/b", json!({ "channel": "#x", "left out": left }))
            }),
            (format!("rockets://u:{token}@h.example/#ops").as_str(), account.clone()),
            (format!("rockets://u:{token}@h.example?mode=token&to=%23ops").as_str(), account.clone()),
            ("rocketchat://h.example/a/b", hook("https://h.example/hooks/a/b", json!({}))),
            ("rocketchat://bot@h.example:3000/a/b/ops", {
                hook("https://h.example:3000/hooks/a/b", json!({ "channel": "#ops", "username": "bot" }))
            }),
            ("rocketchat://b%40t@h.example/a/b/@ann", {
                hook("https://h.example/hooks/a/b", json!({ "channel": "@ann", "username": "b@t" }))
            }),
            ("rocketchat://h.example/a%2F/é/%C3%A9%20x", {
                hook("https://h.example/hooks/a%2F/%C3%A9", json!({ "channel": "#é x" }))
            }),
            (
                "rocketchat://h.example/a/b/#ops",
                hook("https://h.example/hooks/a/b", json!({ "channel": "#ops" })),
            ),
            ("rocketchat://h.example/a/b?title=x", {
                hook(
                    "https://h.example/hooks/a/b",
                    json!({ "left out": ["?title: there is no such setting here"] }),
                )
            }),
        ] {
            assert_eq!(target_of::<RocketChat>(url), expected, "{url}");
        }
        let channels = |url| -> Vec<Value> {
            targets_of::<RocketChat>(url, None).iter().map(|target| target["channel"].clone()).collect()
        };
        assert_eq!(channels("rocket://a/b@h.example/#a/@b/c?to=d"), ["#a", "@b", "c", "d"]);
        for (url, part) in [
            ("rocket://", "host"),
            ("rocket://h.example/#ops", "user"),
            ("rocket://u@h.example/#ops", "password"),
            ("rocket://u:short@h.example/#ops", "password"),
            ("rocket://u:short@h.example/#ops?mode=webhook", "user"),
            ("rocket://a/b@h.example?mode=x", "?mode"),
            ("rocket://a/b@h%20x/", "host"),
            ("rocket://u:short@h.example?mode=token", "path"),
            ("rocketchat://h.example/a", "path"),
            ("rocketchat://h.example:0/a/b", "port"),
            ("rocketchat:///a/b", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        for (status, body, class) in [
            (200, r#"{"success":true,"message":{}}"#, Some(Class::Delivered)),
            (200, "<html>", Some(Class::Ambiguous)),
            (200, r#"{"success":false,"error":"x"}"#, Some(Class::Permanent)),
            (400, r#"{"success":false,"errorType":"error-too-many-requests"}"#, Some(Class::Throttled)),
            (400, r#"{"success":false,"errorType":"invalid-channel"}"#, None),
            (401, r#"{"status":"error","message":"You must be logged in to do this."}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&open::<RocketChat>(webhook(&json!({}))), &reply), class, "{body}");
        }
    }
}
