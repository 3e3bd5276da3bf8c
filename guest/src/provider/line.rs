//! LINE, as an official account: a push of the Messaging API,
//! <https://developers.line.biz/en/reference/messaging-api/#send-push-message>. (LINE Notify is no more.)
//!
//! A push has at most 5 messages, and a text 5000 characters, which are UTF-16 code units
//! (<https://developers.line.biz/en/docs/messaging-api/text-character-count/>). A long text is several messages,
//! of which 5 go in one push. Text is plain.
//!
//! The notification's id is the retry key, by which LINE knows a repetition
//! (<https://developers.line.biz/en/docs/messaging-api/retrying-api-request/>), and answers it with 409. It has
//! to be a UUID: with another id there is no retry key, so that not every repetition is known. A 429 is too many
//! pushes in a second, or the month's quota.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::settings;
use crate::settings::{PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// A channel access token of the account.
        token: Secret,
        /// Who gets the messages: the id of a user, a group or a room, which begins with `U`, `C` or `R`.
        #[length(1, 100)]
        to: String,
        /// Whether messages come without a sound, for all levels or by level; of others: trace and debug do.
        silent: Option<PerLevel<bool>>,
    }
}

/// Somebody on LINE.
pub struct Line {
    settings: Settings,
    silent: PerLevel<bool>,
    overflow: Overflow,
}

const TEXT: Limit = Limit::utf16(5000);

/// How many messages a push has at most.
const MESSAGES: usize = 5;

/// Where a UUID has its version.
const VERSION: usize = 14;

impl Provider for Line {
    const NAME: &'static str = "line";
    const SUMMARY: &'static str = "LINE, as an official account";
    const EXAMPLE: &'static str = "\
- name: line
  provider: line
  token: ${LINE_TOKEN}
  to: U4af4980629a9d7b8f2f1a3e5c6d7e8f9
";
    const AUTH: &'static str = "channel access token";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls =
        Urls { apprise: &["line"], apprise_form: "line://token/user", shoutrrr: &[], shoutrrr_form: "" };
    const ORIGINS: &'static [&'static str] = &["https://api.line.me"];
    const LIMITS: &'static [Bound] = &[
        Bound::items("messages", &["/messages"], MESSAGES),
        Bound::text("text", &["/messages/*/text"], TEXT),
    ];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        let defaults = PerLevel::from_fn(|level| level <= Level::Debug);
        let silent = settings.silent.clone().map_or(defaults.clone(), |silent| silent.over(&defaults));
        Some(Self { settings, silent, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let mut receivers = url.rest();
        let token = match url.option(&["token"]) {
            // What stands in the host's place is nothing then.
            Some(token) => {
                url.take_host("").ok();
                token
            }
            None => {
                let mut token = url.take_host("a channel access token")?;
                // Long-lived tokens have slashes in them, and end with `=`.
                let last = receivers.iter().position(|entry| entry.ends_with('='));
                if let Some(last) = last.filter(|_| !token.ends_with('=')) {
                    for entry in receivers.drain(..=last) {
                        token.push('/');
                        token.push_str(&entry);
                    }
                }
                token
            }
        };
        receivers.extend(url.list(&["to"]));
        if receivers.is_empty() {
            let hint = "write the id of a user, a group or a room";
            return Err(wrong("path", "is missing: who gets the messages belongs there", hint));
        }
        let target = |to: String| settings([("token", token.as_str().into()), ("to", to.into())]);
        Ok(each(receivers, &target))
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let text = Text::of(notification, Format::Markdown);
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let parts = text.parts(&PLAIN, TEXT, self.overflow);
        let silent = self.silent.get(notification.level);
        let request = |(n, parts): (usize, &[String])| {
            let messages: Vec<Value> =
                parts.iter().map(|text| json!({ "type": "text", "text": text })).collect();
            let push = Object::default()
                .with("to", self.settings.to.as_str())
                .with("messages", messages)
                .with("notificationDisabled", silent.then_some(true));
            let mut request = Request::post(vec!["https://api.line.me/v2/bot/message/push".into()])
                .header("authorization", self.settings.token.bearer());
            if let Some(key) = retry_key(&notification.id, n) {
                request = request.header("x-line-retry-key", vec![key.into()]);
            }
            push.into(request)
        };
        Ok(parts.chunks(MESSAGES).enumerate().map(request).collect())
    }

    /// 409: a push with this retry key was accepted before.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        (reply.status == 409).then_some(Class::Delivered)
    }
}

/// The retry key of a push: the id where that is a UUID. Those behind the first have the push's number for their
/// version, of which there are at most 3, and ids that are made today have 4 or 7 there.
fn retry_key(id: &str, push: usize) -> Option<String> {
    let is_right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_uuid = id.len() == 36 && id.bytes().enumerate().all(is_right);
    let (before, after) = id.split_at_checked(VERSION).filter(|_| is_uuid)?;
    Some(match push {
        0 => id.to_owned(),
        push => format!("{before}{push}{}", after.get(1..)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{
        body, header, open, problems, request, requests, target_of, targets_of, wrong_part,
    };
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "token": { "$secret": "l/token" }, "to": "U1" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn key(request: &Request) -> Option<String> {
        match header(request, "x-line-retry-key") {
            None => None,
            Some([Segment::Text(key)]) => Some(key.clone()),
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_push_has_the_id_for_its_retry_key() {
        let mut down = notification(Level::Error, "a *b*", items(&["c & d"]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Line>(with(&json!({}))), &down);
        assert_eq!(request.url, [Segment::from("https://api.line.me/v2/bot/message/push")]);
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(key(&request).unwrap(), "01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(
            body(&request),
            r#"{"to":"U1","messages":[{"type":"text","text":"a *b*\n\n- c & d\n\nhttps://x.example/"}]}"#
        );
    }

    #[test]
    fn a_push_can_be_silent() {
        let is_silent = |settings: &Value, level| {
            let text = notification(level, "t", Body::Text(String::new()));
            body(&request(&open::<Line>(with(settings)), &text)).contains(r#","notificationDisabled":true}"#)
        };
        assert!(is_silent(&json!({}), Level::Debug) && !is_silent(&json!({}), Level::Info));
        assert!(is_silent(&json!({ "silent": true }), Level::Fatal));
        assert!(!is_silent(&json!({ "silent": { "debug": false } }), Level::Debug));
        for (wrong, at) in [(json!({ "to": "" }), "/to"), (json!({ "silent": 1 }), "/silent")] {
            let found = problems::<Line>(with(&wrong));
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn an_id_that_is_no_uuid_is_no_retry_key() {
        for id in [
            "order-17",
            "01890a5dac96774bbcceb302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a805g",
            "01890a5d-ac96-774b-bcce-b302099a80571",
            "01890a5dxac96-774b-bcce-b302099a8057",
        ] {
            let other = Notification { id: id.into(), ..notification(Level::Info, "t", items(&[])) };
            assert_eq!(key(&request(&open::<Line>(with(&json!({}))), &other)), None, "{id}");
        }
    }

    #[test]
    fn long_text_is_five_messages_a_push_each_with_a_key_of_its_own() {
        let long = notification(Level::Info, "t", Body::Text("😀 ".repeat(12_000)));
        let sent = requests(&open::<Line>(with(&json!({}))), &long);
        let messages = |request: &Request| body(request).matches("\"type\"").count();
        assert_eq!(sent.iter().map(messages).collect::<Vec<_>>(), [5, 3]);
        assert_eq!(key(&sent[0]).unwrap(), "01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(key(&sent[1]).unwrap(), "01890a5d-ac96-174b-bcce-b302099a8057");
        for (more, count) in [("", 1), ("x", 2)] {
            let exact = notification(Level::Info, "", Body::Text("😀".repeat(2500) + more));
            assert_eq!(messages(&request(&open::<Line>(with(&json!({}))), &exact)), count);
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, token, to) in [
            ("line://token/U1", "token", "U1"),
            ("line://a/b%2Bc/d=/U1", "a/b+c/d=", "U1"),
            ("line://a=/U1", "a=", "U1"),
            ("line://token?to=C%401", "token", "C@1"),
            ("line://_/U%C3%A9?token=a%2Fb%3D", "a/b=", "Ué"),
        ] {
            assert_eq!(target_of::<Line>(url), json!({ "token": token, "to": to }), "{url}");
        }
        let left_out =
            json!({ "token": "token", "to": "U1", "left out": ["?image: there is no such setting here"] });
        assert_eq!(target_of::<Line>("line://token/U1?image=no&format=text"), left_out);
        let several = targets_of::<Line>("line://token/U1/C2?to=R3,U4", None);
        let receivers: Vec<&Value> = several.iter().map(|target| &target["to"]).collect();
        assert_eq!(receivers, ["U1", "C2", "R3", "U4"]);
        for (url, part) in
            [("line://", "host"), ("line://token", "path"), ("line://a/b=", "path"), ("line:///U1", "host")]
        {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        for (status, class) in
            [(200, None), (400, None), (409, Some(Class::Delivered)), (429, None), (500, None)]
        {
            let reply = Reply { status, head: Default::default(), body: br#"{"message":"m"}"#.to_vec() };
            assert_eq!(Provider::classify(&open::<Line>(with(&json!({}))), &reply), class, "{status}");
        }
    }
}
