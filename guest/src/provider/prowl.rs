//! Prowl: <https://www.prowlapp.com/api.php>.
//!
//! Limits are in bytes: an event has 1024, a description 10 000, an application 256, a URL 512. Text is plain.
//! Priorities are −2 to 2; 2 may break through somebody's quiet hours. An address may send 1000 messages an hour,
//! and gets 406 beyond that; when it may send again is said only to one that is still within. With several keys
//! Prowl refuses a message only where all of them are wrong. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Form, each};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls, number_or_word, settings};
use crate::settings::declare::{Within, settings};
use crate::settings::{PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The API key of the user who gets the messages, or several separated by commas.
        key: Secret,
        /// The key of a provider, which may send more messages an hour.
        provider_key: Option<Secret>,
        /// The name of what sends, at most 256 bytes: Nuncio, unless this is set.
        #[length(1, 256)]
        application: Option<String>,
        /// The priority from -2 to 2, for all levels or by level; of others: fatal and error 1, warn and info 0,
        /// debug -1, trace -2.
        priority: Option<PerLevel<Priority>>,
    }
}

/// A priority.
type Priority = Within<-2, 2>;

/// A user of Prowl.
pub struct Prowl {
    settings: Settings,
    application: String,
    priority: PerLevel<Priority>,
    overflow: Overflow,
}

const APPLICATION: Limit = Limit::bytes(256);
const EVENT: Limit = Limit::bytes(1024);
const DESCRIPTION: Limit = Limit::bytes(10_000);
const URL: Limit = Limit::bytes(512);

impl Provider for Prowl {
    const NAME: &'static str = "prowl";
    const SUMMARY: &'static str = "Prowl, to iPhones";
    const EXAMPLE: &'static str = "\
- name: prowl
  provider: prowl
  key: ${PROWL_KEY}
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["prowl"],
        apprise_form: "prowl://key/provider-key?priority=high",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.prowlapp.com"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("application", &["/application"], APPLICATION),
        Bound::text("title", &["/event"], EVENT),
        Bound::text("text", &["/description"], DESCRIPTION),
        Bound::text("link", &["/url"], URL),
    ];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        let defaults = PerLevel::from_fn(default_priority);
        let priority =
            settings.priority.clone().map_or(defaults.clone(), |priority| priority.over(&defaults));
        let application = settings.application.as_deref().unwrap_or("Nuncio");
        let application = overflow.limit(APPLICATION).cut(application);
        Some(Self { settings, application, priority, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let key = url.take_host("the API key")?;
        let provider_key = url.optional_entry();
        let priority = match url.option(&["priority"]) {
            None => Value::Null,
            Some(text) => {
                let words = [("low", -2), ("moderate", -1), ("normal", 0), ("high", 1), ("emergency", 2)];
                number_or_word(&text, "?priority", &words, -2..=2)?
            }
        };
        Ok(vec![settings([
            ("key", key.into()),
            ("provider_key", json!(provider_key)),
            ("priority", priority),
        ])])
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let title = Text::plain(&notification.title).fit(&PLAIN, self.overflow.limit(EVENT));
        let Within(priority) = self.priority.get(notification.level);
        let link = notification.link.as_deref().filter(|link| self.overflow.limit(URL).fits(link));
        let request = |description: String| {
            let mut form = Form::default().with_secret("apikey", &self.settings.key);
            if let Some(provider_key) = &self.settings.provider_key {
                form = form.with_secret("providerkey", provider_key);
            }
            form.with("application", &self.application)
                .with_text("event", &title)
                .with("description", &description)
                .with("priority", &priority.to_string())
                .with_text("url", link.unwrap_or_default())
                .into(Request::post(vec!["https://api.prowlapp.com/publicapi/add".into()]))
        };
        let parts = Text::of(notification, Format::Markdown).parts(&PLAIN, DESCRIPTION, self.overflow);
        Ok(each(parts, &request))
    }

    /// 406: too many messages within an hour.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        (reply.status == 406).then_some(Class::Throttled)
    }
}

fn default_priority(level: Level) -> Priority {
    Within(match level {
        Level::Trace => -2,
        Level::Debug => -1,
        Level::Info | Level::Warn => 0,
        Level::Error | Level::Fatal => 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{open, problems, request, requests, target_of, wrong_part};
    use crate::request::{Escape, Segment};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "p/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn secret(name: &str) -> Segment {
        Segment::Secret { name: name.into(), escape: Escape::Percent }
    }

    #[test]
    fn a_message_is_a_form() {
        let mut down = notification(Level::Error, "a & b", Body::Text("**x** <y>".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Prowl>(with(&json!({}))), &down);
        assert_eq!(request.url, [Segment::from("https://api.prowlapp.com/publicapi/add")]);
        let rest = "&application=Nuncio&event=a+%26+b&description=x+%3Cy%3E&priority=1&url=https%3A%2F%2Fx.example%2F";
        assert_eq!(request.body, ["apikey=".into(), secret("p/key"), rest.into()]);
    }

    #[test]
    fn each_setting_has_its_place_and_a_link_that_is_too_long_none() {
        let settings = json!({
            "provider_key": { "$secret": "p/provider" }, "application": "é".repeat(200), "priority": { "warn": 2 },
        });
        let mut silent = notification(Level::Warn, "", items(&["a"]));
        silent.link = Some(format!("https://x.example/{}", "x".repeat(500)));
        let request = request(&open::<Prowl>(with(&settings)), &silent);
        let rest = format!("&application={}%E2%80%A6&description=-+a&priority=2", "%C3%A9".repeat(126));
        assert_eq!(
            request.body,
            ["apikey=".into(), secret("p/key"), "&providerkey=".into(), secret("p/provider"), rest.into()]
        );
        for (wrong, at) in
            [(json!({ "application": "" }), "/application"), (json!({ "priority": -3 }), "/priority")]
        {
            let found = problems::<Prowl>(with(&wrong));
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn long_text_is_several_messages_of_so_many_bytes() {
        let long = notification(Level::Info, "t", Body::Text("wörter ".repeat(1500)));
        assert_eq!(requests(&open::<Prowl>(with(&json!({}))), &long).len(), 2);
        for (more, count) in [("", 1), ("x", 2)] {
            let mut exact =
                notification(Level::Info, &("é".repeat(512) + more), Body::Text("é".repeat(5000) + more));
            exact.link = Some(format!("https://x.example/{}{more}", "x".repeat(494)));
            let sent = requests(&open::<Prowl>(with(&json!({}))), &exact);
            let form = format!("{:?}", sent[0].body);
            let (is_cut, has_link) = (form.contains("%E2%80%A6&description"), form.contains("&url="));
            assert_eq!((sent.len(), is_cut, has_link), (count, count == 2, count == 1));
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, settings) in [
            ("prowl://key", json!({ "key": "key" })),
            ("prowl://key/provider", json!({ "key": "key", "provider_key": "provider" })),
            ("prowl://key/?priority=emergency", json!({ "key": "key", "priority": 2 })),
            (
                "prowl://k%2Cl/p%2F%40%C3%A9?priority=-1",
                json!({ "key": "k,l", "provider_key": "p/@é", "priority": -1 }),
            ),
            ("prowl://key?overflow=truncate&format=text", json!({ "key": "key", "overflow": "truncate" })),
            (
                "prowl://key/provider/more?image=no",
                json!({ "key": "key", "provider_key": "provider", "left out": ["path: this kind of URL has no use for it", "?image: there is no such setting here"] }),
            ),
        ] {
            assert_eq!(target_of::<Prowl>(url), settings, "{url}");
        }
        for (url, part) in
            [("prowl://", "host"), ("prowl:///provider", "host"), ("prowl://key?priority=3", "?priority")]
        {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        for (status, class) in
            [(200, None), (400, None), (401, None), (406, Some(Class::Throttled)), (500, None)]
        {
            let reply = Reply { status, head: Default::default(), body: vec![] };
            assert_eq!(Provider::classify(&open::<Prowl>(with(&json!({}))), &reply), class, "{status}");
        }
    }
}
