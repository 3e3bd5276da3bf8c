//! Pushbullet: <https://docs.pushbullet.com/#create-push>.
//!
//! A push goes to all devices of the user, or to one of them, to somebody with an address, or to who subscribes to
//! a channel. It is a note, or a link where the notification has one. Text is plain, and limits of its length are
//! not documented.
//!
//! The notification's id is the push's `guid`, by which Pushbullet knows a repetition: it is "mostly idempotent",
//! which is to say that another push is unlikely. Failures have statuses of their own; a push that is taken is
//! `active`. The headers `X-Ratelimit-…` say how long to wait.

use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// An access token, from the account's settings.
        token: Secret,
        /// The iden of the device that gets pushes: all of the user's, unless this or one of the next is set.
        device: Option<String>,
        /// The address of who gets them; who is no user of Pushbullet gets mail.
        email: Option<String>,
        /// The tag of a channel that the user owns, whose subscribers get them.
        channel: Option<String>,
    }
}

/// Devices of Pushbullet.
pub struct Pushbullet {
    settings: Settings,
}

const ANSWER: Answer = Answer { at: "/active", success: "true", reason: "/error/code", meanings: &[] };

impl Provider for Pushbullet {
    const NAME: &'static str = "pushbullet";
    const SUMMARY: &'static str = "Pushbullet, to devices, addresses or a channel";
    const EXAMPLE: &'static str = "\
- name: pushbullet
  provider: pushbullet
  token: ${PUSHBULLET_TOKEN}
- name: pushbullet-device
  provider: pushbullet
  token: ${PUSHBULLET_TOKEN}
  device: ujpah72o0sjAoRtnM0jc
- name: pushbullet-email
  provider: pushbullet
  token: ${PUSHBULLET_TOKEN}
  email: ops@example.com
- name: pushbullet-channel
  provider: pushbullet
  token: ${PUSHBULLET_TOKEN}
  channel: alerts
";
    const AUTH: &'static str = "access token";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["pbul"],
        apprise_form: "pbul://token/device/#channel/me@example.com",
        shoutrrr: &["pushbullet"],
        shoutrrr_form: "pushbullet://token/device/#channel",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.pushbullet.com"];
    // By `guid`, as the page above says.
    const KNOWS_REPEATS: bool = true;

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let receivers =
            [("device", &settings.device), ("email", &settings.email), ("channel", &settings.channel)];
        let named: Vec<&str> =
            receivers.iter().filter(|(_, receiver)| receiver.is_some()).map(|(name, _)| *name).collect();
        if let [first, second, ..] = named.as_slice() {
            let problem = format!("both `{first}` and `{second}` are set");
            problems.value(&at.at(second), &problem, "keep one of them: a push has one receiver");
            return None;
        }
        Some(Self { settings })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let token = url.take_host("the access token")?;
        let mut receivers = url.rest();
        receivers.extend(url.list(&["to"]));
        // shoutrrr has a channel behind the path.
        receivers.extend(url.fragment().map(|channel| format!("#{channel}")));
        let target = |receiver: &str| {
            let (name, receiver) = match receiver.strip_prefix('#') {
                Some(channel) => ("channel", channel),
                None if receiver.contains('@') => ("email", receiver),
                None => ("device", receiver),
            };
            settings([("token", token.as_str().into()), (name, receiver.into())])
        };
        if receivers.is_empty() {
            return Ok(vec![target("")]);
        }
        Ok(receivers.iter().map(|receiver| target(receiver)).collect())
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { token, device, email, channel } = &self.settings;
        let title = Text::plain(&notification.title);
        let text = match title.is_blank() {
            true => Text::of(notification, Format::Markdown),
            false => Text::of_body(&notification.body, Format::Markdown),
        };
        let link = notification.link.as_deref();
        let push = Object::default()
            .with("type", if link.is_some() { "link" } else { "note" })
            .with_text("title", &title.write(&PLAIN))
            .with_text("body", &text.write(&PLAIN))
            .with("url", link)
            .with("device_iden", device.as_deref())
            .with("email", email.as_deref())
            .with("channel_tag", channel.as_deref())
            .with("guid", notification.id.as_str());
        let request = Request::post(vec!["https://api.pushbullet.com/v2/pushes".into()]);
        Ok(vec![push.into(request.header("access-token", vec![token.segment(Escape::Verbatim)]))])
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::tests::{fields, items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, targets_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "token": { "$secret": "p/token" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_push_is_a_note_under_the_id_of_the_notification() {
        let down = notification(Level::Error, "web is *down*", Body::Text("**x** \"y\"".into()));
        let request = request(&open::<Pushbullet>(with(&json!({}))), &down);
        assert_eq!(request.url, ["https://api.pushbullet.com/v2/pushes".into()]);
        let token = Segment::Secret { name: "p/token".into(), escape: Escape::Verbatim };
        assert_eq!(header(&request, "access-token").unwrap(), [token]);
        assert_eq!(
            body(&request),
            r#"{"type":"note","title":"web is *down*","body":"x \"y\"","guid":"01890a5d-ac96-774b-bcce-b302099a8057"}"#
        );
    }

    #[test]
    fn a_link_has_a_field_and_so_has_each_receiver() {
        let mut one = notification(Level::Info, "t", fields(&[("a", "b")]));
        one.link = Some("https://x.example/".into());
        for (setting, member) in [("device", "device_iden"), ("email", "email"), ("channel", "channel_tag")] {
            let target = open::<Pushbullet>(with(&json!({ setting: "r" })));
            let sent: Value = serde_json::from_str(&body(&request(&target, &one))).unwrap();
            assert_eq!((&sent["type"], &sent["url"]), (&json!("link"), &json!("https://x.example/")));
            assert_eq!(sent[member], "r");
        }
    }

    #[test]
    fn there_is_always_something_to_read() {
        let sent = |title: &str| {
            body(&request(
                &open::<Pushbullet>(with(&json!({}))),
                &notification(Level::Warn, title, items(&[])),
            ))
        };
        assert!(sent("t").starts_with(r#"{"type":"note","title":"t","guid""#));
        assert!(sent("").starts_with(r#"{"type":"note","body":"warn","guid""#));
    }

    #[test]
    fn a_push_has_one_receiver() {
        let both = problems::<Pushbullet>(with(&json!({ "device": "d", "channel": "c" })));
        assert!(both.len() == 1 && both[0].starts_with("/channel: both `device`"), "{both:?}");
        assert!(problems::<Pushbullet>(json!({}))[0].contains("token"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Pushbullet>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"active":true,"iden":"x","type":"note"}"#, Some(Class::Delivered)),
            (200, r#"{"active":false}"#, Some(Class::Permanent)),
            (200, "<html>", Some(Class::Ambiguous)),
            (400, r#"{"error":{"code":"invalid_param","type":"invalid_request"}}"#, None),
            (401, r#"{"error":{"code":"invalid_access_token"}}"#, None),
            (429, r#"{"error":{"code":"pushbullet_pro_required"}}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let token = "o.".to_owned() + &"t".repeat(32);
        for (url, receivers) in [
            ("pbul://T", json!([{}])),
            ("pbul://T/dev1", json!([{ "device": "dev1" }])),
            ("pbul://T/#chan/", json!([{ "channel": "chan" }])),
            (
                "pbul://T/me@example.com/dev1/%23chan",
                json!([{ "email": "me@example.com" }, { "device": "dev1" }, { "channel": "chan" }]),
            ),
            (
                "pbul://T/a%20%C3%A9%2Fb?to=dev2,you%40example.com",
                json!([{ "device": "a é/b" }, { "device": "dev2" }, { "email": "you@example.com" }]),
            ),
            ("pushbullet://T", json!([{}])),
            ("pushbullet://T/", json!([{}])),
            ("pushbullet://T/dev1/dev2", json!([{ "device": "dev1" }, { "device": "dev2" }])),
            ("pushbullet://T/dev1/#chan", json!([{ "device": "dev1" }, { "channel": "chan" }])),
            ("pushbullet://T#a%20b", json!([{ "channel": "a b" }])),
            (
                "pushbullet://T/?title=t#chan",
                json!([{ "channel": "chan", "left out": ["?title: there is no such setting here"] }]),
            ),
            ("pushbullet://T/me%40example.com", json!([{ "email": "me@example.com" }])),
        ] {
            let expected: Vec<Value> = receivers
                .as_array()
                .unwrap()
                .iter()
                .map(|receiver| {
                    let mut settings = json!({ "token": token });
                    settings.as_object_mut().unwrap().extend(receiver.as_object().unwrap().clone());
                    settings
                })
                .collect();
            assert_eq!(targets_of::<Pushbullet>(&url.replace('T', &token), None), expected, "{url}");
        }
        for (url, part) in [
            ("pbul://", "host"),
            ("pushbullet:///dev1", "host"),
            ("pbul://token/%ff", "path"),
            ("pushbullet://token/#%ff", "fragment"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
