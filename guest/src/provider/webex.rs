//! Webex: a bot (<https://developer.webex.com/docs/api/v1/messages/create-a-message>) or an incoming webhook
//! (<https://apphub.webex.com/applications/incoming-webhooks-cisco-systems-38054-23307-75252>).
//!
//! A message has at most 7439 bytes; a webhook's limit is not documented, and taken for the same. Text is Markdown
//! (<https://developer.webex.com/docs/basics>), said to be CommonMark with mentions in angle brackets: a zero-width
//! space behind `<` is not documented to help. `format: plain` sends plain text.
//!
//! Errors have a status; 429 and 423 come with Retry-After. A bot is answered 200 with the message's id, a webhook
//! 204. There is no idempotency key.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::WEBEX;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{Secret, SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of an incoming webhook; or else a bot's `token`, and a `room` or a `person`.
        url: Option<SecretUrl>,
        /// A bot's access token.
        token: Option<Secret>,
        /// The id of the space that the bot writes to.
        #[length(1, 512)]
        room: Option<String>,
        /// The email address of a person that the bot writes to, or the person's id.
        #[length(1, 512)]
        person: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A space, or a person.
pub struct Webex {
    way: Way,
    format: Format,
    overflow: Overflow,
}

enum Way {
    Webhook(SecretUrl),
    Bot { token: Secret, to: (&'static str, String) },
}

const TEXT: Limit = Limit::bytes(7439);

impl Provider for Webex {
    const NAME: &'static str = "webex";
    const SUMMARY: &'static str = "Webex, as a bot or by an incoming webhook";
    const EXAMPLE: &'static str = "\
- name: webex
  provider: webex
  token: ${WEBEX_TOKEN}
  room: Y2lzY29zcGFyazovL3VzL1JPT00vYmJjZWIxYWQ
- name: webex-webhook
  provider: webex
  url: ${WEBEX_WEBHOOK}
";
    const AUTH: &'static str = "token, or secret URL";
    const DIALECT: &'static str = "CommonMark with mentions";
    const URLS: Urls = Urls {
        apprise: &["webex", "wxteams"],
        apprise_form: "webex://token or webex://bottoken/room",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://webexapis.com"];
    const LIMITS: &'static [Bound] =
        &[Bound::text("text", &["/markdown"], TEXT), Bound::text("plain text", &["/text"], TEXT)];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let Settings { url, token, room, person, format } = settings;
        let (problem, hint) = match (url, token, room, person) {
            (Some(url), None, None, None) => {
                return Some(Self { way: Way::Webhook(url), format, overflow });
            }
            (None, Some(token), Some(room), None) => {
                return Some(Self { way: Way::Bot { token, to: ("roomId", room) }, format, overflow });
            }
            (None, Some(token), None, Some(person)) => {
                let kind = if person.contains('@') { "toPersonEmail" } else { "toPersonId" };
                return Some(Self { way: Way::Bot { token, to: (kind, person) }, format, overflow });
            }
            (Some(_), ..) => (
                "`url` is set, and something of a bot's",
                "keep `url`, or `token` and where the bot writes to",
            ),
            (None, None, ..) => {
                let hint =
                    "add `url`, that of an incoming webhook, or a bot's `token` and a `room` or `person`";
                ("there is neither `url` nor `token`", hint)
            }
            (None, Some(_), None, None) => {
                ("`room` is missing", "add the id of a space as `room`, or somebody's address as `person`")
            }
            (None, Some(_), Some(_), Some(_)) => ("both `room` and `person` are set", "keep one of the two"),
        };
        problems.value(at, problem, hint);
        None
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let token = match url.option(&["token"]).filter(|token| !token.is_empty()) {
            Some(token) => {
                // Its place is taken by anything.
                drop(url.take_host("a token"));
                token
            }
            None => url.take_host("a token")?,
        };
        let mode = url.option(&["mode"]).map(|mode| mode.trim().to_ascii_lowercase());
        let mut rooms = url.rest();
        let to = url.option(&["to"]).unwrap_or_default();
        rooms.extend(to.split(['/', ',']).map(str::trim).filter(|room| !room.is_empty()).map(str::to_owned));
        let is_token_of_webhook =
            (80..=160).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_webhook = match mode.as_deref() {
            None | Some("") => rooms.is_empty() && is_token_of_webhook,
            Some("webhook") => true,
            Some("bot") => false,
            Some(_) => return Err(wrong("?mode", "is neither webhook nor bot", "write one of them")),
        };
        if is_webhook {
            let address = ["https://webexapis.com/v1/webhooks/incoming/", &path_segment(&token)].concat();
            return Ok(vec![settings([("url", address.into())])]);
        }
        if rooms.is_empty() {
            let hint =
                "write its id, as `webex://token/room`; a webhook's token alone has 80 to 160 characters";
            return Err(wrong("path", "is missing: a space belongs there", hint));
        }
        let target = |room: String| settings([("token", token.as_str().into()), ("room", room.into())]);
        Ok(each(rooms, &target))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.format);
        let text = Text::of(notification, format);
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let name = if format == Format::Markdown { "markdown" } else { "text" };
        let request = |part: String| match &self.way {
            Way::Webhook(url) => Object::default().with(name, part).into(Request::post(url.segments())),
            Way::Bot { token, to } => {
                let request = Request::post(vec!["https://webexapis.com/v1/messages".into()]);
                let message = Object::default().with(to.0, to.1.as_str()).with(name, part);
                message.into(request.header("authorization", token.bearer()))
            }
        };
        Ok(each(text.parts(format.of(&WEBEX), TEXT, self.overflow), &request))
    }

    /// 423: the space is busy, for as long as Retry-After says.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        match (&self.way, reply.status) {
            (_, 423) => Some(Class::Throttled),
            (Way::Bot { .. }, 200) => {
                let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
                let has_id = body.is_some_and(|body| body.get("id").is_some_and(Value::is_string));
                Some(if has_id { Class::Delivered } else { Class::Ambiguous })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    fn bot(more: &Value) -> Value {
        merged(json!({ "token": { "$secret": "w/token" } }), more)
    }

    fn webhook(more: &Value) -> Value {
        merged(json!({ "url": { "$secret": "w/url" } }), more)
    }

    #[test]
    fn a_bots_message_is_markdown_and_nobody_is_mentioned() {
        let mut down = notification(Level::Warn, "a *b* <@all>", fields(&[("Service", "web")]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Webex>(bot(&json!({ "room": "R1" }))), &down);
        assert_eq!(request.url, [Segment::from("https://webexapis.com/v1/messages")]);
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(
            body(&request),
            "{\"roomId\":\"R1\",\"markdown\":\"**a \\\\*b\\\\* <\u{200b}@all>**\\n\\n#### Service\\nweb\\n\\n<https://x.example/>\"}"
        );
    }

    #[test]
    fn a_person_is_an_address_or_an_id_and_a_webhook_is_a_url() {
        let text = notification(Level::Info, "", Body::Text("**b** <@all>".into()));
        let sent = |settings: Value| {
            assert_eq!(problems::<Webex>(settings.clone()), [""; 0]);
            request(&open::<Webex>(settings), &text)
        };
        assert_eq!(
            body(&sent(bot(&json!({ "person": "ann@x.example" })))),
            r#"{"toPersonEmail":"ann@x.example","markdown":"**b** <@all>"}"#
        );
        assert_eq!(
            body(&sent(bot(&json!({ "person": "P1", "format": "plain" })))),
            r#"{"toPersonId":"P1","text":"**b** <@all>"}"#
        );
        let request = sent(webhook(&json!({})));
        assert!(matches!(request.url.as_slice(), [Segment::Secret { .. }]));
        assert_eq!(body(&request), r#"{"markdown":"**b** <@all>"}"#);
    }

    #[test]
    fn a_message_has_7439_bytes() {
        for format in ["markdown", "plain"] {
            let target = open::<Webex>(webhook(&json!({ "format": format })));
            let parts = requests(&target, &notification(Level::Info, "", Body::Text("x".repeat(8000))));
            let first: Value = serde_json::from_str(&body(&parts[0])).unwrap();
            let first = first.get("markdown").or_else(|| first.get("text")).unwrap().as_str().unwrap().len();
            // A part has room for a number of two digits.
            assert_eq!((parts.len(), first), (2, 7438));
        }
    }

    #[test]
    fn one_of_the_ways_is_chosen() {
        for (settings, start) in [
            (json!({}), ": there is neither"),
            (json!({ "room": "r" }), ": there is neither"),
            (bot(&json!({})), ": `room` is missing"),
            (bot(&json!({ "room": "r", "person": "p" })), ": both `room` and `person`"),
            (bot(&json!({ "url": { "$secret": "u" } })), ": `url` is set"),
            (webhook(&json!({ "person": "p" })), ": `url` is set"),
            (bot(&json!({ "room": "" })), "/room"),
        ] {
            let found = problems::<Webex>(settings);
            assert!(found.len() == 1 && found[0].starts_with(start), "{start}: {found:?}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let long = "a1".repeat(40);
        let hook =
            |token: &str| json!({ "url": format!("https://webexapis.com/v1/webhooks/incoming/{token}") });
        let room = |token: &str, room: &str| json!({ "token": token, "room": room });
        for (url, expected) in [
            (format!("webex://{long}"), hook(&long)),
            (format!("wxteams://?token={long}"), hook(&long)),
            (format!("webex://{long}/R1?mode=bot"), room(&long, "R1")),
            (format!("wxteams://{long}/R1"), room(&long, "R1")),
            ("webex://short?mode=webhook".to_owned(), hook("short")),
            ("webex://t%2F%C3%A9?mode=webhook".to_owned(), hook("t%2F%C3%A9")),
            ("webex://tok%20en_-/R%2F1".to_owned(), room("tok en_-", "R/1")),
            ("wxteams://tok?to=é".to_owned(), room("tok", "é")),
            (
                "webex://tok/R1?format=text&verify=no".to_owned(),
                json!({
                    "token": "tok", "room": "R1", "format": "plain",
                    "left out": ["?verify: certificates are always verified; `tls` names your own authority"],
                }),
            ),
        ] {
            assert_eq!(target_of::<Webex>(&url), expected, "{url}");
        }
        let rooms: Vec<Value> =
            targets_of::<Webex>("webex://t/a/b?to=c/d,e", None).iter().map(|t| t["room"].clone()).collect();
        assert_eq!(rooms, ["a", "b", "c", "d", "e"]);
        for (url, part) in [
            ("webex://", "host"),
            ("webex://token", "path"),
            ("webex://token?mode=bot", "path"),
            ("wxteams://token/room?mode=x", "?mode"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let classify = |settings, status, body: &str| {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            Provider::classify(&open::<Webex>(settings), &reply)
        };
        for (status, body, class) in [
            (200, r#"{"id":"M","roomId":"R"}"#, Some(Class::Delivered)),
            (200, "<html>", Some(Class::Ambiguous)),
            (404, r#"{"message":"The requested resource could not be found."}"#, None),
            (423, "", Some(Class::Throttled)),
            (429, "", None),
        ] {
            assert_eq!(classify(bot(&json!({ "room": "R" })), status, body), class, "{body}");
        }
        assert_eq!(classify(webhook(&json!({})), 204, ""), None);
    }
}
