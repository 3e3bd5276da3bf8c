//! Slack: an incoming webhook (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>) or
//! a bot (<https://docs.slack.dev/reference/methods/chat.postMessage>).
//!
//! The title is the message's text, and the body a section in an attachment, which has the colour. Limits: a
//! section has 3000 characters (<https://docs.slack.dev/reference/block-kit/blocks/section-block>); for a
//! title, Slack cuts only what is beyond 40 000, and here it is cut at the 1024 of Prometheus' Alertmanager.
//! Which unit "characters" are is not documented: they are counted in UTF-16 code units, of which no reading
//! has more. Text is mrkdwn, in which `*`, `_`, `~` and backticks have no escape (see
//! [`crate::markup::dialect::SLACK`]); `format: plain` sends it as plain text.
//!
//! A bot's errors come with status 200 and `"ok": false`, a webhook's as text with a status of its own
//! (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>). Slack takes
//! one message a second in a channel and says Retry-After beyond that. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::SLACK;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each, object};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{Secret, SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of an incoming webhook; or else a bot's token and a channel.
        url: Option<SecretUrl>,
        /// A bot's token, which begins with `xoxb-` and has the scope chat:write.
        token: Option<Secret>,
        /// Where the bot writes: a channel's id or name, or a user's id.
        channel: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A channel of Slack.
pub struct Slack {
    way: Way,
    format: Format,
    overflow: Overflow,
}

enum Way {
    Webhook(SecretUrl),
    Bot { token: Secret, channel: String },
}

const TITLE: Limit = Limit::utf16(1024);
const TEXT: Limit = Limit::utf16(3000);

const ANSWER: Answer = Answer {
    at: "/ok",
    success: "true",
    reason: "/error",
    meanings: &[
        ("account_inactive", Class::Credentials),
        ("invalid_auth", Class::Credentials),
        ("missing_scope", Class::Credentials),
        ("not_authed", Class::Credentials),
        ("token_expired", Class::Credentials),
        ("token_revoked", Class::Credentials),
        ("message_limit_exceeded", Class::Throttled),
        ("rate_limited", Class::Throttled),
        ("ratelimited", Class::Throttled),
        ("fatal_error", Class::Ambiguous),
        ("internal_error", Class::Transient),
        ("request_timeout", Class::Transient),
        ("service_unavailable", Class::Transient),
    ],
};

impl Provider for Slack {
    const NAME: &'static str = "slack";
    const SUMMARY: &'static str = "Slack, by an incoming webhook or as a bot";
    const EXAMPLE: &'static str = "\
- name: slack
  provider: slack
  url: ${SLACK_WEBHOOK}
- name: slack-bot
  provider: slack
  token: ${SLACK_TOKEN}
  channel: C024BE91L
";
    const AUTH: &'static str = "secret URL, or token";
    const DIALECT: &'static str = "mrkdwn";
    const URLS: Urls = Urls {
        apprise: &["slack"],
        apprise_form: "slack://T…/B…/… or slack://xoxb-…/#channel",
        shoutrrr: &["slack"],
        shoutrrr_form: "slack://hook:T…-B…-…@webhook or slack://xoxb:…@channel",
    };
    const ORIGINS: &'static [&'static str] = &["https://slack.com"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("title", &["/text"], TITLE),
        Bound::text("text", &["/attachments/*/blocks/*/text/text"], TEXT),
    ];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let Settings { url, token, channel, format } = settings;
        let way = match (url, token, channel) {
            (Some(url), None, None) => Way::Webhook(url),
            (None, Some(token), Some(channel)) => Way::Bot { token, channel },
            (Some(_), Some(_), _) => {
                problems.value(&at.at("token"), "both `url` and `token` are set", "keep one of the two");
                return None;
            }
            (Some(_), None, Some(_)) => {
                let problem = "an incoming webhook writes to the channel that it was made for";
                problems.value(&at.at("channel"), problem, "leave it out, or use a bot's `token` for `url`");
                return None;
            }
            (None, Some(_), None) => {
                problems.value(at, "`channel` is missing", "add the channel that the bot writes to");
                return None;
            }
            (None, None, _) => {
                let hint = "add `url`, that of an incoming webhook, or `token` and `channel`, a bot's";
                problems.value(at, "there is neither `url` nor `token`", hint);
                return None;
            }
        };
        Some(Self { way, format, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        if url.is(UrlDialect::Shoutrrr) {
            let kind = url.user().unwrap_or_default();
            let token = url.password().ok_or_else(|| {
                wrong(
                    "password",
                    "is missing: a token belongs there",
                    "write `hook:…@webhook` or `xoxb:…@channel`",
                )
            })?;
            if kind == "hook" {
                url.take_host("the word `webhook`")?;
                let token = token.replace(['-', ','], "/");
                if token.split('/').count() != 3 {
                    return Err(wrong(
                        "password",
                        "is no token of a webhook",
                        "write `hook:T…-B…-…@webhook`",
                    ));
                }
                return Ok(vec![settings([("url", webhook(&token).into())])]);
            }
            let channel = url.take_host("a channel")?;
            return Ok(vec![settings([
                ("token", format!("{kind}-{token}").into()),
                ("channel", channel.into()),
            ])]);
        }
        let mode = url.option(&["mode"]).unwrap_or_default().to_ascii_lowercase();
        if mode.starts_with("workf") || mode.starts_with('t') {
            let hint = "give the workflow's URL to a target of the provider `webhook`";
            return Err(wrong("?mode", "is of Slack's workflows, which take no messages", hint));
        }
        let first = match url.option(&["token"]) {
            None => url.take_host("a token")?,
            Some(token) => match token.split(['/', ',']).collect::<Vec<_>>().as_slice() {
                [token] => (*token).to_owned(),
                [_, _, _] => return Ok(vec![settings([("url", webhook(&token.replace(',', "/")).into())])]),
                _ => return Err(wrong("?token", "is no token", "write `xoxb-…`, or `T…/B…/…`")),
            },
        };
        if !first.starts_with("xo") {
            let (second, third) =
                (url.entry("the second part of the token")?, url.entry("the third part of the token")?);
            return Ok(vec![settings([("url", webhook(&format!("{first}/{second}/{third}")).into())])]);
        }
        let mut channels = url.rest();
        channels.extend(url.list(&["to"]));
        if channels.is_empty() {
            return Err(wrong(
                "path",
                "is missing: a channel belongs there",
                "write it as `slack://xoxb-…/#channel`",
            ));
        }
        // A `+` marks an id, which is written without it; a `#` or `@` is a part of the name.
        let target = |channel: String| {
            let channel = channel.strip_prefix('+').unwrap_or(&channel);
            if channel.contains(':') {
                let hint = "write the channel alone";
                return Err(wrong("path", "names a thread, which Nuncio does not write in", hint));
            }
            if channel.trim_start_matches('@').contains('@') {
                let hint = "write the user's id, as `+U024BE7LH`";
                return Err(wrong("path", "names a person by an e-mail address", hint));
            }
            Ok(settings([("token", first.as_str().into()), ("channel", channel.into())]))
        };
        channels.into_iter().map(target).collect()
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        url.has_password()
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.format);
        let title = Text::default().titled(&notification.title);
        let body = Text::of_body(&notification.body, format).linked(notification.link.as_deref());
        let title = title.fit(&SLACK, self.overflow.limit(TITLE));
        if body.is_blank() {
            let text = Text::of(notification, Format::Plain).linked(notification.link.as_deref());
            return Ok(vec![self.request(&text.fit(&SLACK, self.overflow.limit(TITLE)), Value::Null)]);
        }
        let parts = body.parts(format.of(&SLACK), TEXT, self.overflow);
        let kind = if format == Format::Markdown { "mrkdwn" } else { "plain_text" };
        let request = |part: String| {
            let section = json!({ "type": "section", "text": { "type": kind, "text": part } });
            let attachment = object([
                ("color", notification.shown_color().to_string().into()),
                ("blocks", json!([section])),
            ]);
            self.request(&title, json!([attachment]))
        };
        Ok(each(parts, &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        match self.way {
            Way::Webhook(_) => classify_webhook(reply),
            Way::Bot { .. } => ANSWER.classify(reply),
        }
    }
}

impl Slack {
    fn request(&self, text: &str, attachments: Value) -> Request {
        let (request, object) = match &self.way {
            Way::Webhook(url) => (Request::post(url.segments()), Object::default()),
            Way::Bot { token, channel } => (
                Request::post(vec!["https://slack.com/api/chat.postMessage".into()])
                    .header("authorization", token.bearer()),
                Object::default().with("channel", channel.as_str()),
            ),
        };
        object.with_text("text", text).with("attachments", attachments).into(request)
    }
}

/// A webhook says `ok`, or why not, in text.
fn classify_webhook(reply: &Reply) -> Option<Class> {
    match (reply.status, reply.body.trim_ascii()) {
        (200, b"ok") => Some(Class::Delivered),
        (200, _) => Some(Class::Ambiguous),
        (404, b"no_service" | b"no_active_hooks" | b"no_team") => Some(Class::Gone),
        // The channel is archived, and could be brought back, but for the webhook this is the end.
        (410, _) => Some(Class::Gone),
        _ => None,
    }
}

/// The URL of an incoming webhook, from the three parts of its token.
fn webhook(token: &str) -> String {
    let parts: Vec<String> = token.split('/').map(path_segment).collect();
    format!("https://hooks.slack.com/services/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, requests, targets_of, wrong_part};
    use crate::request::Segment;

    fn webhook() -> Value {
        json!({ "url": { "$secret": "s/url" } })
    }

    fn bot() -> Value {
        json!({ "token": { "$secret": "s/token" }, "channel": "C1" })
    }

    #[test]
    fn a_message_is_a_title_and_a_section_in_colour() {
        let down = notification(Level::Warn, "a *b* <c>", fields(&[("Service", "web & co"), ("n", "*x*")]));
        let request = request(&open::<Slack>(webhook()), &down);
        assert!(matches!(request.url.as_slice(), [Segment::Secret { .. }]));
        assert_eq!(
            body(&request),
            "{\"text\":\"*a *\u{200b}b*\u{200b} &lt;c&gt;*\",\"attachments\":[{\"color\":\"#ffc400\",\"blocks\":[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"text\":\"*Service*: web &amp; co\\n*n*: *\u{200b}x*\u{200b}\"}}]}]}"
        );
    }

    #[test]
    fn a_bot_has_a_token_and_a_channel() {
        let mut silent = notification(Level::Info, "t", Body::Text(String::new()));
        silent.link = Some("https://x.example/".into());
        let request = request(&open::<Slack>(bot()), &silent);
        assert_eq!(request.url, [Segment::from("https://slack.com/api/chat.postMessage")]);
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(body(&request), r#"{"channel":"C1","text":"t\n\n<https://x.example/>"}"#);
    }

    #[test]
    fn plain_text_is_plain_text_for_slack_too() {
        let mut settings = webhook();
        settings["format"] = json!("plain");
        let text = notification(Level::Info, "", Body::Text("*a* & <b>".into()));
        let sent: Value = serde_json::from_str(&body(&request(&open::<Slack>(settings), &text))).unwrap();
        let section = json!({ "type": "plain_text", "text": "*a* & <b>" });
        assert_eq!(sent["attachments"][0]["blocks"][0]["text"], section);
        assert_eq!(sent.get("text"), None);
    }

    #[test]
    fn long_text_is_several_messages() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(1000)));
        let sent = requests(&open::<Slack>(webhook()), &long);
        assert_eq!(sent.len(), 2);
        assert!(body(&sent[1]).contains("2/2\\nword"));
    }

    #[test]
    fn one_of_the_two_ways_is_chosen() {
        let with = |more: Value| {
            let mut settings = webhook();
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            problems::<Slack>(settings)
        };
        assert!(with(bot())[0].starts_with("/token: both"));
        assert!(with(json!({ "channel": "C1" }))[0].starts_with("/channel: an incoming webhook"));
        assert!(problems::<Slack>(json!({}))[0].starts_with(": there is neither"));
        assert!(problems::<Slack>(json!({ "token": { "$secret": "t" } }))[0].starts_with(": `channel`"));
    }

    #[test]
    fn what_slack_says_in_its_body_counts() {
        let classify = |settings, status, body: &str| {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            Provider::classify(&open::<Slack>(settings), &reply)
        };
        for (status, body, class) in [
            (200, "ok", Some(Class::Delivered)),
            (200, "<html>", Some(Class::Ambiguous)),
            (404, "no_service", Some(Class::Gone)),
            (404, "channel_not_found", None),
            (500, "rollup_error", None),
        ] {
            assert_eq!(classify(webhook(), status, body), class, "{body}");
        }
        for (body, class) in [
            (r#"{"ok":true}"#, Class::Delivered),
            (r#"{"ok":false,"error":"invalid_auth"}"#, Class::Credentials),
            (r#"{"ok":false,"error":"ratelimited"}"#, Class::Throttled),
            (r#"{"ok":false,"error":"channel_not_found"}"#, Class::Permanent),
        ] {
            assert_eq!(classify(bot(), 200, body), Some(class), "{body}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let webhook = json!({ "url": "https://hooks.slack.com/services/T1/B2/x3" });
        let bot = |channel: &str| json!({ "token": "xoxb-1-2", "channel": channel });
        let and = |mut target: Value, name: &str, value: Value| {
            target[name] = value;
            target
        };
        let left = |part: &str| json!([format!("{part}: this kind of URL has no use for it")]);
        for (url, expected) in [
            ("slack://T1/B2/x3", vec![webhook.clone()]),
            ("slack://T1/B2/x3/#general", vec![and(webhook.clone(), "left out", left("path"))]),
            ("slack://bot@T1/B2/x3/", vec![and(webhook.clone(), "left out", left("user"))]),
            ("slack://?token=T1/B2/x3", vec![webhook.clone()]),
            ("slack://xoxb-1-2/#general", vec![bot("#general")]),
            (
                "slack://xoxb-1-2/%23general/+C024BE91L/@ann/ops",
                vec![bot("#general"), bot("C024BE91L"), bot("@ann"), bot("ops")],
            ),
            ("slack://xoxb-1-2?to=#a,+C1", vec![bot("#a"), bot("C1")]),
            ("slack://xoxb-1-2/#a?format=text&mode=bot", vec![and(bot("#a"), "format", json!("plain"))]),
            ("slack://?token=xoxb-1-2&to=ops", vec![bot("ops")]),
            (
                "slack://xoxb-1-2/ops?footer=yes",
                vec![and(bot("ops"), "left out", json!(["?footer: there is no such setting here"]))],
            ),
            ("slack://hook:T1-B2-x3@webhook", vec![webhook.clone()]),
            ("slack://hook:T1,B2,x3@webhook", vec![webhook.clone()]),
            ("slack://hook:T1%2FB2%2Fx3@webhook/", vec![webhook.clone()]),
            ("slack://xoxb:1-2@C024BE91L", vec![bot("C024BE91L")]),
            ("slack://xoxb:1-2@ops", vec![bot("ops")]),
            (
                "slack://xoxb:1-2@C1?botname=Bot+B",
                vec![and(bot("C1"), "left out", json!(["?botname: there is no such setting here"]))],
            ),
        ] {
            assert_eq!(targets_of::<Slack>(url, None), expected, "{url}");
        }
        for (url, part) in [
            ("slack://", "host"),
            ("slack://T1/B2", "path"),
            ("slack://xoxb-1-2", "path"),
            ("slack://xoxb-1-2/ops:1503435956.000247", "path"),
            ("slack://xoxb-1-2/ann@x.example", "path"),
            ("slack://T1/B2/x3/y?mode=workflow", "?mode"),
            ("slack://?token=T1/B2", "?token"),
            ("slack://hook:T1-B2@webhook", "password"),
            ("slack://xoxb:1-2@", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
