//! DingTalk, a custom robot of a group: <https://open.dingtalk.com/document/orgapp/custom-robot-access>.
//!
//! A message is markdown of few marks (see [`crate::markup::dialect::DINGTALK`]), or by `format: plain` a text. A
//! title is needed for markdown, and shown in the list of chats alone, so that the text begins with it again; its
//! limit is not documented, and is 64 characters here. A request has at most 20 000 bytes, as clients say; the
//! page does not. That two spaces in front of a line break keep it is not documented either.
//!
//! A robot asks for keywords, addresses or a signature. The signature is over the time and the secret, with the
//! secret for its key, and stands in the URL. A robot takes 20 messages a minute, and nothing for ten minutes
//! after more.
//!
//! What DingTalk refuses has status 200 too, and an `errcode`. Its list of them is not on that page: 0 is
//! success, and 130101, 300001, 300005 and 310000 are what clients have seen. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{DINGTALK, PLAIN};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, json_length, object};
use crate::provider::{Occasion, Provider};
use crate::request::{Atom, Escape, Hmac, KeyForm, Request, Segment};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings, wrong};
use crate::settings::Secret;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The robot's access token: what stands behind `access_token=` in the URL of its webhook.
        token: Secret,
        /// The secret of its signature, which begins with SEC, where the robot asks for one.
        secret: Option<Secret>,
        /// The telephone numbers of members to mention.
        mobiles: Vec<String>,
        /// The user ids of members to mention.
        users: Vec<String>,
        /// Whether everybody is mentioned: not, unless this says so.
        all: bool = false,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A robot of DingTalk.
pub struct DingTalk {
    settings: Settings,
    overflow: Overflow,
}

const TITLE: Limit = Limit::characters(64);
const MESSAGE: Limit = Limit::bytes(20_000);

/// Room for the names of a message's members, and for its title.
const MEMBERS: usize = 700;

/// How long a robot is silent that sent too much, in milliseconds.
const SILENCE: u64 = 600_000;

const ANSWER: Answer = Answer {
    at: "/errcode",
    success: "0",
    reason: "/errcode",
    meanings: &[
        ("-1", Class::Transient),
        ("130101", Class::Throttled),
        ("410100", Class::Throttled),
        ("300001", Class::Credentials),
        ("300005", Class::Credentials),
        ("400101", Class::Credentials),
    ],
};

impl Provider for DingTalk {
    const NAME: &'static str = "dingtalk";
    const SUMMARY: &'static str = "DingTalk, a custom robot of a group";
    const EXAMPLE: &'static str = "\
- name: dingtalk
  provider: dingtalk
  token: ${DINGTALK_TOKEN}
- name: dingtalk-signed
  provider: dingtalk
  token: ${DINGTALK_TOKEN}
  secret: ${DINGTALK_SECRET}
  mobiles: [\"13800000000\"]
";
    const AUTH: &'static str = "token, and a secret for signatures";
    const DIALECT: &'static str = "markdown of few marks";
    const URLS: Urls = Urls {
        apprise: &["dingtalk"],
        apprise_form: "dingtalk://secret@token/13800000000",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://oapi.dingtalk.com"];
    const LIMITS: &'static [Bound] =
        &[Bound::text("title", &["/markdown/title"], TITLE), Bound::body("message", MESSAGE)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let token = match url.option(&["token"]) {
            Some(token) => token,
            None => url.take_host("the robot's token")?,
        };
        let secret = url.option(&["secret"]).or_else(|| url.user());
        let mut mobiles = url.rest();
        mobiles.extend(url.list(&["to"]));
        let digits = |number: &String| number.chars().filter(char::is_ascii_digit).collect::<String>();
        let mobiles: Vec<String> = mobiles.iter().map(digits).collect();
        if mobiles.iter().any(|number| !(11..=14).contains(&number.len())) {
            return Err(wrong("path", "has what is no telephone number", "write 11 to 14 digits"));
        }
        let mobiles = if mobiles.is_empty() { Value::Null } else { json!(mobiles) };
        Ok(vec![settings([("token", token.into()), ("secret", json!(secret)), ("mobiles", mobiles)])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.settings.format);
        let text = Text::of(notification, format);
        let title = self.overflow.limit(TITLE).cut(&Text::title_of(notification, format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let written = |part: &Text| match format {
            Format::Plain => part.write(&PLAIN),
            // A line break alone would be a space.
            Format::Markdown => part.write(&DINGTALK).replace('\n', "  \n"),
        };
        let (mentions, at) = self.mentions();
        let used = [mentions.len(), at.to_string().len(), MEMBERS].into_iter().sum();
        let length = |part: &Text| json_length(&written(part));
        let parts = text.split(MESSAGE.less(used).most, self.overflow, &length);
        let request = |(n, part): (usize, &Text)| {
            let mut text = written(part);
            if n == 0 {
                text.push_str(&mentions);
            }
            let (kind, content) = match format {
                Format::Plain => ("text", json!({ "content": text })),
                Format::Markdown => {
                    ("markdown", object([("title", title.as_str().into()), ("text", text.into())]))
                }
            };
            let at = if n == 0 { at.clone() } else { Value::Null };
            let message = Object::default().with("msgtype", kind).with(kind, content).with("at", at);
            message.into(Request::post(self.url(occasion)))
        };
        Ok(parts.iter().enumerate().map(request).collect())
    }

    /// 310000 is a message that the robot's security settings refuse: one without their keywords, or else one with
    /// a wrong signature or from elsewhere.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = body.get("errmsg").and_then(Value::as_str).unwrap_or_default();
        match body.get("errcode").and_then(Value::as_i64) {
            Some(310_000) if !said.contains("keyword") => Some(Class::Credentials),
            _ => ANSWER.classify(reply),
        }
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        (ANSWER.classify(reply) == Some(Class::Throttled)).then_some(SILENCE)
    }
}

impl DingTalk {
    /// Who is mentioned: in the text, where DingTalk asks for them too, and beside it.
    fn mentions(&self) -> (String, Value) {
        let Settings { mobiles, users, all, .. } = &self.settings;
        if mobiles.is_empty() && users.is_empty() && !*all {
            return (String::new(), Value::Null);
        }
        let names: Vec<String> = mobiles.iter().chain(users).map(|name| format!("@{name}")).collect();
        let text = if names.is_empty() { String::new() } else { format!("\n\n{}", names.join(" ")) };
        (text, json!({ "atMobiles": mobiles, "atUserIds": users, "isAtAll": all }))
    }

    fn url(&self, occasion: &Occasion) -> Vec<Segment> {
        let mut url = vec![
            "https://oapi.dingtalk.com/robot/send?access_token=".into(),
            self.settings.token.segment(Escape::Percent),
        ];
        if let Some(secret) = &self.settings.secret {
            url.push(format!("&timestamp={}&sign=", occasion.now).into());
            url.push(signature(occasion.now, secret));
        }
        url
    }
}

/// Over the time in milliseconds, a line break and the secret, with the secret for its key; the host
/// percent-encodes it in a URL.
fn signature(now: u64, secret: &Secret) -> Segment {
    let message = vec![Atom::Text(format!("{now}\n")), secret.atom()];
    Segment::HmacSha256(Hmac { key: vec![secret.atom()], key_form: KeyForm::Text, message, hex: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::notification;
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, open, problems, request, requests, target_of, wrong_part};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "token": { "$secret": "d/token" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_markdown_with_its_title_in_front() {
        let mut down = notification(Level::Error, "web *down*", Body::Text("**x** `y`\nz".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<DingTalk>(with(&json!({}))), &down);
        let token = Segment::Secret { name: "d/token".into(), escape: Escape::Percent };
        assert_eq!(request.url, ["https://oapi.dingtalk.com/robot/send?access_token=".into(), token]);
        assert_eq!(
            body(&request),
            "{\"msgtype\":\"markdown\",\"markdown\":{\"title\":\"web *down*\",\"text\":\"**web *\u{200b}down*\u{200b}**  \\n  \\n**x** y  \\nz  \\n  \\n[https://x.example/](https://x.example/)\"}}"
        );
    }

    #[test]
    fn plain_text_is_a_text_and_mentions_stand_in_it() {
        let settings = json!({ "format": "plain", "mobiles": ["138"], "users": ["u1"], "all": true });
        let text = notification(Level::Info, "", Body::Text("*a*".into()));
        assert_eq!(
            body(&request(&open::<DingTalk>(with(&settings)), &text)),
            r#"{"msgtype":"text","text":{"content":"*a*\n\n@138 @u1"},"at":{"atMobiles":["138"],"atUserIds":["u1"],"isAtAll":true}}"#
        );
    }

    #[test]
    fn a_signature_stands_in_the_url() {
        let settings = with(&json!({ "secret": { "$secret": "d/secret" } }));
        let signed =
            request(&open::<DingTalk>(settings), &notification(Level::Info, "t", Body::Items(vec![])));
        let secret = || Atom::Secret("d/secret".into());
        let message = vec![Atom::Text("1700000052345\n".into()), secret()];
        let sign = Hmac { key: vec![secret()], key_form: KeyForm::Text, message, hex: false };
        assert_eq!(signed.url[2..], ["&timestamp=1700000052345&sign=".into(), Segment::HmacSha256(sign)]);
    }

    #[test]
    fn a_title_is_the_first_line_where_there_is_none_and_cut_where_it_is_long() {
        let title = |title: &str, text: &str| {
            let one = notification(Level::Info, title, Body::Text(text.into()));
            let sent: Value =
                serde_json::from_str(&body(&request(&open::<DingTalk>(with(&json!({}))), &one))).unwrap();
            sent["markdown"]["title"].as_str().unwrap().to_owned()
        };
        assert_eq!(title("", "# *One*\n\ntwo"), "One");
        assert_eq!(title("", ""), "info");
        assert_eq!(title(&"x".repeat(64), ""), "x".repeat(64));
        assert_eq!(title(&"x".repeat(65), ""), format!("{}…", "x".repeat(63)));
    }

    #[test]
    fn long_text_is_several_messages_of_which_the_first_mentions() {
        let long = notification(Level::Info, "t", Body::Text("word\n".repeat(4000)));
        let sent = requests(&open::<DingTalk>(with(&json!({ "all": true }))), &long);
        let sent: Vec<Value> = sent.iter().map(|one| serde_json::from_str(&body(one)).unwrap()).collect();
        assert_eq!(sent.len(), 2);
        assert!(sent[0]["at"]["isAtAll"] == true && sent[1].get("at").is_none());
        assert!(sent[1]["markdown"]["text"].as_str().unwrap().starts_with("2/2  \nword"));
    }

    #[test]
    fn a_robot_has_a_token() {
        assert!(problems::<DingTalk>(json!({}))[0].contains("token"));
        assert!(problems::<DingTalk>(with(&json!({ "mobiles": "138" })))[0].starts_with("/mobiles"));
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<DingTalk>(with(&json!({})));
        for (status, body, class, hint) in [
            (200, r#"{"errcode":0,"errmsg":"ok"}"#, Some(Class::Delivered), None),
            (200, r#"{"errcode":130101,"errmsg":"send too fast"}"#, Some(Class::Throttled), Some(600_000)),
            (200, r#"{"errcode":300001,"errmsg":"token is not exist"}"#, Some(Class::Credentials), None),
            (200, r#"{"errcode":310000,"errmsg":"keywords not in content"}"#, Some(Class::Permanent), None),
            (200, r#"{"errcode":310000,"errmsg":"sign not match"}"#, Some(Class::Credentials), None),
            (200, r#"{"errcode":-1}"#, Some(Class::Transient), None),
            (200, r#"{"errcode":40035,"errmsg":"json"}"#, Some(Class::Permanent), None),
            (200, "<html>", Some(Class::Ambiguous), None),
            (503, "<html>", None, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
            assert_eq!(Provider::hint(&target, &reply), hint, "{body}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        for (url, settings) in [
            ("dingtalk://abc", json!({ "token": "abc" })),
            ("dingtalk://SECx@abc", json!({ "token": "abc", "secret": "SECx" })),
            (
                "dingtalk://SECx@abc/13800000000/+86-138-0000-0001",
                json!({ "token": "abc", "secret": "SECx", "mobiles": ["13800000000", "8613800000001"] }),
            ),
            (
                "dingtalk://abc?to=13800000000,13900000000&format=text",
                json!({ "token": "abc", "mobiles": ["13800000000", "13900000000"], "format": "plain" }),
            ),
            ("dingtalk://abc/?secret=a%2Fb%20%C3%A9", json!({ "token": "abc", "secret": "a/b é" })),
            ("dingtalk://?token=abc", json!({ "token": "abc" })),
            (
                "dingtalk://u:p@abc",
                json!({ "token": "abc", "secret": "u", "left out": ["password: this kind of URL has no use for it"] }),
            ),
        ] {
            assert_eq!(target_of::<DingTalk>(url), settings, "{url}");
        }
        for (url, part) in [
            ("dingtalk://", "host"),
            ("dingtalk://SECx@", "host"),
            ("dingtalk://abc/123", "path"),
            ("dingtalk://abc/everybody", "path"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
