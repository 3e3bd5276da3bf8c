//! Synology Chat, an incoming webhook:
//! <https://kb.synology.com/en-global/DSM/tutorial/How_to_configure_webhooks_and_slash_commands_in_Chat_Integration>.
//!
//! A limit is not documented, and none is kept to. Text is plain but for links, `<target|text>`, which have no
//! escape: see [`crate::markup::dialect::SYNOLOGY`].
//!
//! Chat answers 200 and `"success": true`, or an error with a code. Which codes there are is not documented; by
//! what public clients saw, 411 is "create post too fast" and 117 a server that is busy. It has no idempotency
//! key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::SYNOLOGY;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Form;
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings};
use crate::settings::declare::settings;
use crate::settings::{Secret, SecretUrl, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of an incoming webhook, as Chat's integration page shows it.
        url: SecretUrl,
        /// The user to log in as, where a proxy in front of the server wants one.
        user: Option<String>,
        /// The password of that user.
        password: Option<Secret>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A channel of Synology Chat.
pub struct SynologyChat {
    url: Vec<Segment>,
    authorization: Option<Vec<Segment>>,
    format: Format,
}

const ANSWER: Answer = Answer {
    at: "/success",
    success: "true",
    reason: "/error/code",
    meanings: &[("117", Class::Transient), ("411", Class::Throttled)],
};

impl Provider for SynologyChat {
    const NAME: &'static str = "synology-chat";
    const SUMMARY: &'static str = "Synology Chat, by an incoming webhook";
    const EXAMPLE: &'static str = "\
- name: synology
  provider: synology-chat
  url: ${SYNOLOGY_WEBHOOK}
";
    const AUTH: &'static str = "secret URL";
    const DIALECT: &'static str = "plain text with links";
    const URLS: Urls = Urls {
        apprise: &["synology", "synologys"],
        apprise_form: "synologys://host:5001/token",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const OVERFLOW: Overflow = Overflow::Upstream;

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let before = problems.len();
        let Settings { url, user, password, format } = settings;
        let authorization = authorization::value(None, user.as_deref(), password.as_ref(), at, problems);
        (problems.len() == before).then(|| Self { url: url.segments(), authorization, format })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_tls = url.scheme == "synologys";
        let token = match url.option(&["token"]).filter(|token| !token.is_empty()) {
            Some(token) => token,
            None => url.entry("the webhook's token")?,
        };
        let base = url.base(is_tls)?;
        let webhook = format!(
            "{base}/webapi/entry.cgi?api=SYNO.Chat.External&method=incoming&version=2&token={}",
            path_segment(&token)
        );
        Ok(vec![settings([
            ("url", webhook.into()),
            ("user", json!(url.user())),
            ("password", json!(url.password())),
        ])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let text = Text::of(notification, occasion.format(self.format));
        let text = text.titled(&notification.title).linked(notification.link.as_deref());
        let payload = json!({ "text": text.write(&SYNOLOGY) });
        let mut request = Request::post(self.url.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.clone());
        }
        Ok(vec![Form::default().with("payload", &payload.to_string()).into(request)])
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, target_of, wrong_part};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": { "$secret": "s/url" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_message_is_json_in_a_form() {
        let mut down = notification(Level::Error, "a & b", items(&["c"]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<SynologyChat>(with(&json!({}))), &down);
        assert!(matches!(request.url.as_slice(), [Segment::Secret { .. }]));
        assert_eq!(header(&request, "authorization"), None);
        assert_eq!(
            body(&request),
            "payload=%7B%22text%22%3A%22a+%26+b%5Cn%5Cn-+c%5Cn%5Cn%3Chttps%3A%2F%2Fx.example%2F%3E%22%7D"
        );
    }

    #[test]
    fn plain_text_makes_no_links_and_a_proxy_can_want_a_user() {
        let settings = json!({ "format": "plain", "user": "u", "password": { "$secret": "s/password" } });
        let text = notification(Level::Info, "", Body::Text("[a](https://x.example) <b|c>".into()));
        let plain = request(&open::<SynologyChat>(with(&settings)), &text);
        assert_eq!(header(&plain, "authorization").unwrap()[0], Segment::from("Basic "));
        let expected =
            "payload=%7B%22text%22%3A%22%5Ba%5D%28https%3A%2F%2Fx.example%29+%3C%E2%80%8Bb%7Cc%3E%22%7D";
        assert_eq!(body(&plain), expected);
        let linked = body(&request(&open::<SynologyChat>(with(&json!({}))), &text));
        assert!(linked.contains("%3Chttps%3A%2F%2Fx.example%7Ca%3E+%3C%E2%80%8Bb"), "{linked}");
        for (wrong, at) in
            [(json!({ "user": "u" }), "/user"), (json!({ "password": { "$secret": "p" } }), "/password")]
        {
            let found = problems::<SynologyChat>(with(&wrong));
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let query = "/webapi/entry.cgi?api=SYNO.Chat.External&method=incoming&version=2&token=";
        for (url, base, token, more) in [
            ("synology://host/token", "http://host", "token", json!({})),
            ("synologys://host:5001/%22tok%2Fen%22", "https://host:5001", "%22tok%2Fen%22", json!({})),
            (
                "synologys://u%40v:p%C3%A9@host/token/a%20b/c",
                "https://host/a%20b/c",
                "token",
                json!({ "user": "u@v", "password": "pé" }),
            ),
            ("synology://[::1]:5000/path?token=t%26x", "http://[::1]:5000/path", "t%26x", json!({})),
            (
                "synologys://host/token?file_url=https://x.example/a.png&format=text",
                "https://host",
                "token",
                json!({ "format": "plain", "left out": ["?file_url: there is no such setting here"] }),
            ),
        ] {
            let mut settings = json!({ "url": format!("{base}{query}{token}") });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(target_of::<SynologyChat>(url), settings, "{url}");
        }
        for (url, part) in [
            ("synology://host", "path"),
            ("synology:///token", "host"),
            ("synology://host:0/token", "port"),
            ("synology://ho%20st/token", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        for (status, body, class) in [
            (200, r#"{"success":true}"#, Some(Class::Delivered)),
            (
                200,
                r#"{"error":{"code":411,"errors":"create post too fast"},"success":false}"#,
                Some(Class::Throttled),
            ),
            (200, r#"{"error":{"code":117},"success":false}"#, Some(Class::Transient)),
            (200, r#"{"error":{"code":404},"success":false}"#, Some(Class::Permanent)),
            (200, "<html>", Some(Class::Ambiguous)),
            (502, "<html>", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&open::<SynologyChat>(with(&json!({}))), &reply), class, "{body}");
        }
    }
}
