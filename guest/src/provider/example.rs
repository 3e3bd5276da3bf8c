//! Pigeon, a service that does not exist: <https://pigeon.example/api>.
//!
//! A message has at most 500 characters of Markdown, and no title of its own. It answers `{"status": "ok"}`, or says
//! why not with status 200; `"slow down"` is its word for a rate limit.

use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::COMMONMARK;
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings as from};
use crate::settings::declare::settings;
use crate::settings::{BaseUrl, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the server.
        url: BaseUrl,
        /// A pigeon's token.
        token: Secret,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A pigeon.
pub struct Pigeon {
    settings: Settings,
    overflow: Overflow,
}

const TEXT: Limit = Limit::characters(500);

const ANSWER: Answer = Answer {
    at: "/status",
    success: "\"ok\"",
    reason: "/status",
    meanings: &[("slow down", Class::Throttled)],
};

impl Provider for Pigeon {
    const NAME: &'static str = "pigeon";
    const SUMMARY: &'static str = "Pigeon, which does not exist";
    const EXAMPLE: &'static str = "\
- name: pigeon
  provider: pigeon
  url: https://pigeon.example
  token: ${PIGEON_TOKEN}
";
    const AUTH: &'static str = "token";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["pigeon", "pigeons"],
        apprise_form: "pigeons://token@host",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const LIMITS: &'static [Bound] = &[Bound::text("text", &["/text"], TEXT)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (token, is_tls) = (url.user(), url.scheme == "pigeons");
        Ok(vec![from([("url", url.base(is_tls)?.into()), ("token", token.into())])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.settings.format);
        let text = Text::of(notification, format).titled(&notification.title);
        let request = |part: String| {
            let message =
                Object::default().with("text", part).with("urgent", notification.level.name() == "fatal");
            let request = Request::post(self.settings.url.join("fly"));
            message.into(request.header("authorization", self.settings.token.bearer()))
        };
        Ok(each(text.parts(format.of(&COMMONMARK), TEXT, self.overflow), &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, open, request, requests};

    fn pigeon() -> Pigeon {
        open(json!({ "url": "https://pigeon.example", "token": { "$secret": "p/token" } }))
    }

    #[test]
    fn a_message_is_a_title_and_a_text() {
        let down = notification(Level::Fatal, "*down*", items(&["web"]));
        assert_eq!(body(&request(&pigeon(), &down)), r#"{"text":"**\\*down\\***\n\n* web","urgent":true}"#);
        let long = notification(Level::Info, "", Body::Text("word ".repeat(150)));
        assert_eq!(requests(&pigeon(), &long).len(), 2);
    }

    #[test]
    fn the_body_has_the_last_word() {
        let reply =
            Reply { status: 200, head: Default::default(), body: br#"{"status":"slow down"}"#.to_vec() };
        assert_eq!(Provider::classify(&pigeon(), &reply), Some(Class::Throttled));
    }
}
