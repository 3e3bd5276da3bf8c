//! Google Chat, by an incoming webhook of a space:
//! <https://developers.google.com/workspace/chat/quickstart/webhooks>.
//!
//! A message has at most 32 000 bytes
//! (<https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create>), which is held
//! here for the whole request. Text is Chat's own markup
//! (<https://developers.google.com/workspace/chat/format-messages>), in which marks have no escape (see
//! [`crate::markup::dialect::GOOGLECHAT`]); there is no plain text for it, so that `format: plain` is written so
//! too. Which markup the messages of a webhook are in is not documented, where that of an app is set with the app.
//!
//! `requestId` makes a request idempotent: the same one again gives the message that there is. Errors have a
//! status, and say what in JSON; 429 is a space's limit of about one message a second, without a word of how long
//! to wait (<https://developers.google.com/workspace/chat/limits>).

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::GOOGLECHAT;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, json_length};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The webhook's URL, as Google Chat shows it. It is kept as a secret.
        url: SecretUrl,
        /// A name of your own for the thread to write in: 1 to 4000 characters. It is begun where there is none yet.
        #[length(1, 4000)]
        thread: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A webhook of a space.
pub struct GoogleChat {
    settings: Settings,
    overflow: Overflow,
}

const MESSAGE: Limit = Limit::bytes(32_000);

impl Provider for GoogleChat {
    const NAME: &'static str = "googlechat";
    const SUMMARY: &'static str = "a space of Google Chat, by an incoming webhook";
    const EXAMPLE: &'static str = "\
- name: googlechat
  provider: googlechat
  url: ${GOOGLECHAT_WEBHOOK}
";
    const AUTH: &'static str = "secret URL";
    const DIALECT: &'static str = "Chat's own markup";
    const URLS: Urls = Urls {
        apprise: &["gchat"],
        apprise_form: "gchat://space/key/token",
        shoutrrr: &["googlechat", "hangouts"],
        shoutrrr_form: "googlechat://chat.googleapis.com/v1/spaces/…/messages?key=…&token=…",
    };
    // By `requestId`, in the reference of spaces.messages.create.
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[Bound::body("message", MESSAGE)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (path, key, token, thread) = match url.dialect {
            UrlDialect::Apprise => {
                let space = match url.option(&["workspace"]) {
                    Some(space) => space,
                    None => url.take_host("the space")?,
                };
                let key = match url.option(&["key"]) {
                    Some(key) => key,
                    None => url.entry("the webhook's key")?,
                };
                let token = match url.option(&["token"]) {
                    Some(token) => token,
                    None => url.entry("the webhook's token")?,
                };
                let thread = url.option(&["thread", "threadkey"]).or_else(|| url.optional_entry());
                (
                    ["https://chat.googleapis.com/v1/spaces/", &path_segment(&space), "/messages"].concat(),
                    key,
                    token,
                    thread,
                )
            }
            UrlDialect::Shoutrrr => {
                let key = option(url, "key")?;
                let token = option(url, "token")?;
                (url.base(true)?, key, token, url.option(&["threadKey"]))
            }
        };
        let url = [&path, "?key=", &path_segment(&key), "&token=", &path_segment(&token)].concat();
        Ok(vec![settings([("url", url.into()), ("thread", json!(thread))])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { url, thread, .. } = &self.settings;
        let text = Text::of(notification, occasion.format(self.settings.format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let message = |part: &str| {
            Object::default()
                .with("text", part)
                .with("thread", thread.as_ref().map(|thread| json!({ "threadKey": thread })))
        };
        let request = |(n, part): (usize, &Text)| {
            let mut request = Request::post(url.segments());
            let id = match n {
                0 => notification.id.clone(),
                n => format!("{}-{n}", notification.id),
            };
            request.query.push(("requestId".to_owned(), id));
            if thread.is_some() {
                let otherwise = "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD".to_owned();
                request.query.push(("messageReplyOption".to_owned(), otherwise));
            }
            message(&part.write(&GOOGLECHAT)).into(request)
        };
        // As it is sent: in JSON.
        let thread = json!(thread).to_string().len().saturating_add(MEMBERS);
        let length = |part: &Text| json_length(&part.write(&GOOGLECHAT));
        let parts = text.split(MESSAGE.less(thread).most, self.overflow, &length);
        Ok(parts.iter().enumerate().map(request).collect())
    }

    /// A success has the message's name.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let has_name = body.is_some_and(|body| body.get("name").is_some_and(Value::is_string));
        (reply.status == 200).then_some(if has_name { Class::Delivered } else { Class::Ambiguous })
    }
}

/// Room for the names of the members around text and thread.
const MEMBERS: usize = r#"{"text":,"thread":{"threadKey":}}"#.len();

/// An option that has to say something.
fn option(url: &mut ServiceUrl, name: &str) -> Result<String, UrlProblem> {
    url.option(&[name]).filter(|value| !value.is_empty()).ok_or_else(|| {
        wrong(&["?", name].concat(), "is missing: it is in the webhook's URL", "copy the whole URL")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, open, problems, request, requests, target_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": { "$secret": "g/url" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_text_with_an_id_that_is_shown_once() {
        let mut down =
            notification(Level::Warn, "a *b* <users/all>", fields(&[("Service", "web & co"), ("n", "_x_")]));
        down.link = Some("https://x.example/?a&b".into());
        let request = request(&open::<GoogleChat>(with(&json!({}))), &down);
        assert!(matches!(request.url.as_slice(), [Segment::Secret { .. }]));
        assert_eq!(request.query, [("requestId".to_owned(), down.id.clone())]);
        assert_eq!(
            body(&request),
            "{\"text\":\"*a *\u{200b}b*\u{200b} <\u{200b}users/all>*\\n\\n*Service*: web & co\\n*n*: _\u{200b}x_\u{200b}\\n\\n<https://x.example/?a&b>\"}"
        );
    }

    #[test]
    fn a_thread_is_begun_where_there_is_none() {
        let settings = with(&json!({ "thread": "ops \"1\"", "format": "plain" }));
        assert_eq!(problems::<GoogleChat>(settings.clone()), [""; 0]);
        let text = notification(Level::Info, "", Body::Text("- *a*".into()));
        let request = request(&open::<GoogleChat>(settings), &text);
        assert_eq!(
            request.query[1],
            ("messageReplyOption".to_owned(), "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD".to_owned())
        );
        assert_eq!(
            body(&request),
            "{\"text\":\"\u{200b}- *\u{200b}a*\u{200b}\",\"thread\":{\"threadKey\":\"ops \\\"1\\\"\"}}"
        );
        assert_eq!(problems::<GoogleChat>(with(&json!({ "thread": "" }))).len(), 1);
        assert_eq!(problems::<GoogleChat>(json!({})).len(), 1);
    }

    #[test]
    fn a_message_has_32_000_bytes_and_each_part_an_id() {
        let target = open::<GoogleChat>(with(&json!({ "thread": "t" })));
        for text in ["x".repeat(40_000), "\"\n".repeat(20_000), "é".repeat(20_000)] {
            let sent = requests(&target, &notification(Level::Info, "", Body::Text(text.clone())));
            let lengths: Vec<usize> = sent.iter().map(|request| body(request).len()).collect();
            assert!(lengths.iter().all(|length| *length <= 32_000), "{lengths:?}");
            // A part has room for a number of two digits.
            assert!(!text.starts_with('x') || lengths[0] == 31_999, "{lengths:?}");
            let ids: Vec<&str> = sent.iter().map(|request| request.query[0].1.as_str()).collect();
            assert!(ids[0].ends_with("8057") && ids[1].ends_with("8057-1"), "{ids:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let webhook = |space: &str, key: &str, token: &str| {
            json!(format!("https://chat.googleapis.com/v1/spaces/{space}/messages?key={key}&token={token}"))
        };
        let hangouts = "https://chat.googleapis.com/v1/spaces/S/messages?key=k&token=t";
        for (url, address, more) in [
            ("gchat://S/k/t", webhook("S", "k", "t"), json!({})),
            ("gchat://S/k/t%3D/th%20r", webhook("S", "k", "t%3D"), json!({ "thread": "th r" })),
            ("gchat://S/k%2F/é?thread=x", webhook("S", "k%2F", "%C3%A9"), json!({ "thread": "x" })),
            ("gchat://S/?key=k&token=t&threadKey=y", webhook("S", "k", "t"), json!({ "thread": "y" })),
            (
                "gchat://?workspace=S&key=k&token=t&format=text",
                webhook("S", "k", "t"),
                json!({ "format": "plain" }),
            ),
            (
                "googlechat://chat.googleapis.com/v1/spaces/S/messages?key=k&token=t",
                json!(hangouts),
                json!({}),
            ),
            ("hangouts://chat.googleapis.com/v1/spaces/S/messages?token=t&key=k", json!(hangouts), json!({})),
            (
                "googlechat://chat.googleapis.com/v1/spaces/S%20é/messages?key=k-_1&token=t%3D%40",
                webhook("S%20%C3%A9", "k-_1", "t%3D%40"),
                json!({}),
            ),
            (
                "googlechat://proxy.example:8443/v1/x/messages?key=k&token=t",
                json!("https://proxy.example:8443/v1/x/messages?key=k&token=t"),
                json!({}),
            ),
            (
                "googlechat://chat.googleapis.com/v1/spaces/S/messages?key=k&token=t&threadKey=x&a=b",
                json!(hangouts),
                json!({ "thread": "x", "left out": ["?a: there is no such setting here"] }),
            ),
        ] {
            let mut expected = json!({ "url": address });
            expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(target_of::<GoogleChat>(url), expected, "{url}");
        }
        for (url, part) in [
            ("gchat://", "host"),
            ("gchat://S", "path"),
            ("gchat://S/k", "path"),
            ("googlechat://chat.googleapis.com/v1/spaces/S/messages?key=k", "?token"),
            ("googlechat://chat.googleapis.com/v1/spaces/S/messages?key=&token=t", "?key"),
            ("hangouts://?key=k&token=t", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<GoogleChat>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"name":"spaces/S/messages/M","text":"x"}"#, Some(Class::Delivered)),
            (200, "<html>", Some(Class::Ambiguous)),
            (200, "[]", Some(Class::Ambiguous)),
            (400, r#"{"error":{"code":400,"status":"INVALID_ARGUMENT"}}"#, None),
            (429, r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }
}
