//! Datadog, an event: <https://docs.datadoghq.com/api/latest/events/post-an-event/>, version 1.
//!
//! A text has at most 4000 characters, an aggregation key 100; the unit is not documented, so it is UTF-16, of which
//! no reading has more. A limit of the title is not documented. A longer text is several events. Text is markdown
//! between `%%%`, or by `format: plain` text. `@name` in it notifies people
//! (<https://docs.datadoghq.com/service_management/events/>): where it is not the author's own markdown, `@` is
//! broken, which is not documented to help. An event's time may be 18 hours old: an older one is left out.
//!
//! The aggregation key is the notification's key, or else its id: events of one key are shown together. An event
//! stays what it is: a notification that resolves a key is one more event of that key, of the type success. There is
//! no idempotency key: one that comes twice is shown twice.
//!
//! Datadog answers 202 and `"status": "ok"`, 403 to a key that it does not know, or that is of another site, and 429
//! to too many, with X-RateLimit-Reset.

use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{DATADOG, DATADOG_PLAIN};
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, wrong};
use crate::settings::declare::{choices, settings};
use crate::settings::{PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// An API key of the account.
        key: Secret,
        /// The site that the account is on: datadoghq.com, unless this says otherwise.
        site: Site = Site::Us1,
        /// The name of the host that events are of.
        host: Option<String>,
        /// The name of the integration that events are from, such as `nagios`.
        source: Option<String>,
        /// Tags of every event, before those of the notification.
        tags: Vec<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The type of an event, for all levels or by level: error, warning, info, success, user_update,
        /// recommendation or snapshot; of others: fatal and error error, warn warning, info, debug and trace info.
        severity: Option<PerLevel<Severity>>,
        /// The priority of an event, for all levels or by level: normal or low; of others: debug and trace are low.
        priority: Option<PerLevel<Priority>>,
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Site {
        Us1 = "datadoghq.com",
        Us3 = "us3.datadoghq.com",
        Us5 = "us5.datadoghq.com",
        Eu1 = "datadoghq.eu",
        Ap1 = "ap1.datadoghq.com",
        Ap2 = "ap2.datadoghq.com",
        Gov1 = "ddog-gov.com",
        Gov2 = "us2.ddog-gov.com",
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Severity {
        Error = "error",
        Warning = "warning",
        Info = "info",
        Success = "success",
        UserUpdate = "user_update",
        Recommendation = "recommendation",
        Snapshot = "snapshot",
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Priority {
        Normal = "normal",
        Low = "low",
    }
}

/// An account of Datadog.
pub struct Datadog {
    settings: Settings,
    severity: PerLevel<Severity>,
    priority: PerLevel<Priority>,
    overflow: Overflow,
}

const TEXT: Limit = Limit::utf16(4000);
const KEY: Limit = Limit::utf16(100);

/// What makes a text markdown.
const MARKDOWN: (&str, &str) = ("%%% \n", "\n %%%");

/// How long it is.
const AROUND: usize = 10;

/// Datadog takes events of the last 18 hours; some of that is left to its clock and to the way there.
const OLDEST_MS: u64 = 17 * 3_600_000;

const ANSWER: Answer = Answer { at: "/status", success: "\"ok\"", reason: "/errors/0", meanings: &[] };

impl Provider for Datadog {
    const NAME: &'static str = "datadog";
    const SUMMARY: &'static str = "Datadog, an event";
    const EXAMPLE: &'static str = "\
- name: datadog
  provider: datadog
  key: ${DATADOG_KEY}
  site: datadoghq.eu
  tags: [\"env:prod\"]
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "markdown";
    const URLS: Urls = Urls { apprise: &[], apprise_form: "", shoutrrr: &[], shoutrrr_form: "" };
    const ORIGINS: &'static [&'static str] = &[
        "https://api.datadoghq.com",
        "https://api.us3.datadoghq.com",
        "https://api.us5.datadoghq.com",
        "https://api.datadoghq.eu",
        "https://api.ap1.datadoghq.com",
        "https://api.ap2.datadoghq.com",
        "https://api.ddog-gov.com",
        "https://api.us2.ddog-gov.com",
    ];
    const LIMITS: &'static [Bound] =
        &[Bound::text("text", &["/text"], TEXT), Bound::text("key", &["/aggregation_key"], KEY)];

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        let defaults = PerLevel::from_fn(default_severity);
        let severity =
            settings.severity.clone().map_or(defaults.clone(), |severity| severity.over(&defaults));
        let defaults = PerLevel::from_fn(default_priority);
        let priority =
            settings.priority.clone().map_or(defaults.clone(), |priority| priority.over(&defaults));
        Some(Self { settings, severity, priority, overflow })
    }

    fn from_url(_: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        Err(wrong("scheme", "is of no provider", ""))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, site, host, source, .. } = &self.settings;
        let format = occasion.format(self.settings.format);
        let severity = match notification.resolves {
            Some(_) => Some(Severity::Success),
            None => self.severity.find(notification.level).copied(),
        };
        let priority = self.priority.find(notification.level).map(|priority| priority.name());
        let is_recent = occasion.now.saturating_sub(notification.at) < OLDEST_MS;
        let mut tags: Vec<&str> = Vec::new();
        for tag in self.settings.tags.iter().chain(&notification.tags) {
            if !tag.is_empty() && !tags.contains(&tag.as_str()) {
                tags.push(tag);
            }
        }
        let title = Text::plain(&notification.title);
        let title = if title.is_blank() { Text::plain(notification.level.name()) } else { title };
        let title = title.write(&DATADOG_PLAIN);
        let request = |part: String| {
            let text = match format {
                Format::Markdown => format!("{}{part}{}", MARKDOWN.0, MARKDOWN.1),
                Format::Plain => part,
            };
            let event = Object::default()
                .with("title", title.as_str())
                .with("text", text)
                .with("alert_type", severity.map(Severity::name))
                .with("priority", priority)
                .with("aggregation_key", KEY.cut(notification.alert()))
                .with("date_happened", is_recent.then_some(notification.at / 1000))
                .with("tags", (!tags.is_empty()).then(|| tags.clone()))
                .with("host", host.clone())
                .with("source_type_name", source.clone());
            let url = format!("https://api.{}/api/v1/events", site.name());
            let request = Request::post(vec![url.into()]);
            event.into(request.header("dd-api-key", vec![key.segment(Escape::Verbatim)]))
        };
        let (dialect, limit) = match format {
            Format::Markdown => (&DATADOG, TEXT.less(AROUND)),
            Format::Plain => (&DATADOG_PLAIN, TEXT),
        };
        let text = Text::of(notification, format).linked(notification.link.as_deref());
        Ok(each(text.parts(dialect, limit, self.overflow), &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

fn default_severity(level: Level) -> Severity {
    match level {
        Level::Trace | Level::Debug | Level::Info => Severity::Info,
        Level::Warn => Severity::Warning,
        Level::Error | Level::Fatal => Severity::Error,
    }
}

fn default_priority(level: Level) -> Priority {
    if level <= Level::Debug { Priority::Low } else { Priority::Normal }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{fields, items, notification};
    use crate::provider::tests::{OCCASION, body, header, open, problems, request, requests};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "d/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn sent(settings: &Value, notification: &Notification) -> Value {
        serde_json::from_str(&body(&request(&open::<Datadog>(with(settings)), notification))).unwrap()
    }

    #[test]
    fn a_notification_is_an_event_in_markdown() {
        let mut down = notification(Level::Error, "web @all", Body::Text("**a** @ops".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Datadog>(with(&json!({}))), &down);
        assert_eq!(request.url, ["https://api.datadoghq.com/api/v1/events".into()]);
        let key = Segment::Secret { name: "d/key".into(), escape: Escape::Verbatim };
        assert_eq!(header(&request, "dd-api-key").unwrap(), [key]);
        assert_eq!(
            body(&request),
            "{\"title\":\"web @\u{200b}all\",\"text\":\"%%% \\n**a** @ops\\n\\n<https://x.example/>\\n %%%\",\"alert_type\":\"error\",\"priority\":\"normal\",\"aggregation_key\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"date_happened\":1700000000}"
        );
        assert_eq!(MARKDOWN.0.len() + MARKDOWN.1.len(), AROUND);
    }

    #[test]
    fn every_setting_is_sent() {
        let settings = json!({
            "site": "us5.datadoghq.com", "host": "db1", "source": "nagios", "tags": ["env:prod", "web"],
            "format": "plain", "severity": { "debug": "snapshot" }, "priority": { "debug": "normal" },
        });
        let mut debug = notification(Level::Debug, "", Body::Text("*a* @ops".into()));
        debug.tags = vec!["web".into(), "x".into()];
        assert_eq!(
            sent(&settings, &debug),
            json!({
                "title": "debug", "text": "*a* @\u{200b}ops", "alert_type": "snapshot", "priority": "normal",
                "aggregation_key": debug.id, "date_happened": 1_700_000_000, "tags": ["env:prod", "web", "x"],
                "host": "db1", "source_type_name": "nagios",
            })
        );
        let url = request(&open::<Datadog>(with(&settings)), &debug).url;
        assert_eq!(url, ["https://api.us5.datadoghq.com/api/v1/events".into()]);
        for wrong in
            [json!({ "site": "datadoghq.de" }), json!({ "severity": "loud" }), json!({ "priority": 1 })]
        {
            assert_eq!(problems::<Datadog>(with(&wrong)).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn every_site_is_an_origin() {
        use crate::settings::declare::Setting as _;
        let sites = Site::schema()["enum"].as_array().unwrap().clone();
        let origins: Vec<String> =
            sites.iter().map(|site| format!("https://api.{}", site.as_str().unwrap())).collect();
        assert_eq!(origins, Datadog::ORIGINS);
    }

    #[test]
    fn text_of_fields_and_items_is_no_markup() {
        let text = |body| sent(&json!({}), &notification(Level::Info, "t", body))["text"].clone();
        assert_eq!(text(fields(&[("a*", "@ops")])), "%%% \n#### a\\*\n@\u{200b}ops\n %%%");
        assert_eq!(text(items(&["_a_", "b"])), "%%% \n* \\_a\\_\n* b\n %%%");
    }

    #[test]
    fn an_event_of_the_same_key_says_that_all_is_well() {
        let mut down = notification(Level::Error, "down", Body::Text("b".into()));
        down.key = Some("k".repeat(101));
        let mut up = notification(Level::Error, "up", Body::Text("b".into()));
        (up.id, up.resolves) = ("other".into(), down.key.clone());
        let (opened, closed) = (sent(&json!({}), &down), sent(&json!({}), &up));
        assert_eq!(opened["aggregation_key"], "k".repeat(99) + "…");
        assert_eq!(opened["aggregation_key"], closed["aggregation_key"]);
        assert_eq!((&opened["alert_type"], &closed["alert_type"]), (&json!("error"), &json!("success")));
    }

    #[test]
    fn long_text_is_several_events_of_one_key() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(1000)));
        let sent = requests(&open::<Datadog>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 2);
        assert!(body(&sent[1]).contains("\"%%% \\n2/2\\n\\nword") && body(&sent[1]).contains(&long.id));
    }

    #[test]
    fn an_event_that_is_too_old_has_no_date() {
        let old = notification(Level::Info, "t", items(&["a"]));
        let sent = |later: u64| {
            let occasion = Occasion { now: old.at + later, ..OCCASION };
            body(&open::<Datadog>(with(&json!({}))).format(&old, &occasion).unwrap()[0])
        };
        assert!(sent(OLDEST_MS - 1).contains("date_happened") && !sent(OLDEST_MS).contains("date_happened"));
    }

    #[test]
    fn what_datadog_says_in_its_body_counts() {
        let target = open::<Datadog>(with(&json!({})));
        for (status, body, class) in [
            (202, r#"{"status":"ok","event":{"id":1}}"#, Some(Class::Delivered)),
            (202, r#"{"status":"error"}"#, Some(Class::Permanent)),
            (202, "<html>", Some(Class::Ambiguous)),
            (400, r#"{"errors":["bad"]}"#, None),
            (403, r#"{"errors":["Forbidden"]}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }
}
