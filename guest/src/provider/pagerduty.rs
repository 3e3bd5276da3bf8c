//! PagerDuty, Events API v2: <https://developer.pagerduty.com/docs/send-alert-event>.
//!
//! The title is the alert's summary, at most 1024 characters, and the body its details. An event has at most
//! 512 000 bytes; details that are longer are cut off, or by `overflow: upstream` left to PagerDuty. An alert is
//! never split, because each part would call somebody. (Both limits are those of Prometheus' Alertmanager,
//! which cites PagerDuty's pages.)
//!
//! The notification's id is the deduplication key, at most 255 characters: an alert that comes twice is one.
//! PagerDuty answers 202 when it has taken an event, 400 to one that is wrong, 429 to too many.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Body, Format, Level, Notification};
use crate::payload::{Object, object};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{choices, settings};
use crate::settings::{PerLevel, Secret};
use crate::timestamp;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The integration key of a service or of global routing rules.
        key: Secret,
        /// Where the account is: us, unless this says eu.
        region: Region = Region::Us,
        /// What is affected, such as a host's name: nuncio, unless this says otherwise.
        source: Option<String>,
        /// The part of it that is affected.
        component: Option<String>,
        /// A group of parts that it belongs to.
        group: Option<String>,
        /// The kind of event.
        class: Option<String>,
        /// How serious an alert is, for all levels or by level: critical, error, warning or info; of others: fatal
        /// critical, error error, warn warning, info, debug and trace info.
        severity: Option<PerLevel<Severity>>,
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Region {
        Us = "us",
        Eu = "eu",
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Severity {
        Critical = "critical",
        Error = "error",
        Warning = "warning",
        Info = "info",
    }
}

/// A service of PagerDuty.
pub struct PagerDuty {
    settings: Settings,
    severity: PerLevel<Severity>,
    overflow: Overflow,
}

const SUMMARY: Limit = Limit::characters(1024);
const DEDUP_KEY: Limit = Limit::characters(255);
const EVENT: Limit = Limit::bytes(512_000);

/// How long details may be in JSON: the rest of an event is far below what is left.
const DETAILS: Limit = Limit::bytes(480_000);

/// How long they may be as text where they are cut, of which each character can be two in JSON.
const CUT_DETAILS: Limit = Limit::bytes(240_000);

/// Where accounts in Europe send events.
const EU_HOST: &str = "events.eu.pagerduty.com";

impl Provider for PagerDuty {
    const NAME: &'static str = "pagerduty";
    const SUMMARY: &'static str = "PagerDuty, an alert by the Events API v2";
    const EXAMPLE: &'static str = "\
- name: pagerduty
  provider: pagerduty
  key: ${PAGERDUTY_KEY}
  filter: { level: error }
";
    const AUTH: &'static str = "integration key";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["pagerduty"],
        apprise_form: "pagerduty://key@api-key/source/component",
        shoutrrr: &["pagerduty"],
        shoutrrr_form: "pagerduty:///key?severity=error",
    };
    const ORIGINS: &'static [&'static str] =
        &["https://events.pagerduty.com", "https://events.eu.pagerduty.com"];
    // By `dedup_key`, as the page above says.
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[
        Bound::text("summary", &["/payload/summary"], SUMMARY),
        Bound::text("key", &["/dedup_key"], DEDUP_KEY),
        Bound::body("event", EVENT),
    ];
    const OVERFLOW: Overflow = Overflow::Truncate;

    type Settings = Settings;

    fn check(settings: Settings, overflow: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        let defaults = PerLevel::from_fn(default_severity);
        let severity =
            settings.severity.clone().map_or(defaults.clone(), |severity| severity.over(&defaults));
        Some(Self { settings, severity, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (source, component) = (url.option(&["source"]), url.option(&["component"]));
        let (key, source, component) = match url.dialect {
            UrlDialect::Apprise => {
                let key = url.option(&["integrationkey"]).or_else(|| url.user());
                let key =
                    key.ok_or_else(|| wrong("user", "is missing: the integration key belongs there", ""))?;
                // An API key, which events need none of.
                if url.option(&["apikey"]).is_none() {
                    url.take_host("the API key")?;
                }
                let source = source.or_else(|| url.optional_entry());
                (key, source, component.or_else(|| url.optional_entry()))
            }
            UrlDialect::Shoutrrr => (url.entry("the integration key")?, source, component),
        };
        let host = url.host().to_ascii_lowercase();
        let region = match url.option(&["region"]).map(|region| region.to_ascii_lowercase()).as_deref() {
            None if host == EU_HOST => Some("eu"),
            None => None,
            Some("us") => Some("us"),
            Some("eu") => Some("eu"),
            Some(_) => return Err(wrong("?region", "is neither us nor eu", "write one of them")),
        };
        if url.is(UrlDialect::Shoutrrr) && ["events.pagerduty.com", EU_HOST].contains(&host.as_str()) {
            url.take_host("")?;
        }
        // Apprise takes the beginning of a word for it.
        let severity = url.option(&["severity"]).map(|severity| severity.to_ascii_lowercase());
        let severity = match severity.as_deref() {
            None | Some("") => None,
            Some(word) => {
                let all = [Severity::Critical, Severity::Error, Severity::Warning, Severity::Info];
                let known = all.into_iter().map(Severity::name).find(|known| known.starts_with(word));
                let hint = "write critical, error, warning or info";
                Some(known.ok_or_else(|| wrong("?severity", "is no severity of PagerDuty's", hint))?)
            }
        };
        Ok(vec![settings([
            ("key", key.into()),
            ("region", json!(region)),
            ("source", json!(source)),
            ("component", json!(component)),
            ("group", url.value(&["group"])),
            ("class", url.value(&["class"])),
            ("severity", json!(severity)),
        ])])
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        !url.has_login() && !url.has_option("integrationkey")
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, region, source, component, group, class, .. } = &self.settings;
        let title = Text::plain(&notification.title);
        let summary = if title.is_blank() { Text::of(notification, Format::Markdown) } else { title };
        let summary = Text::plain(&summary.write(&PLAIN)).fit(&PLAIN, self.overflow.limit(SUMMARY));
        let payload = object([
            ("summary", summary.into()),
            ("source", source.as_deref().unwrap_or("nuncio").into()),
            ("severity", json!(self.severity.find(notification.level).map(|severity| severity.name()))),
            ("timestamp", timestamp::rfc_3339(notification.at).into()),
            ("component", json!(component)),
            ("group", json!(group)),
            ("class", json!(class)),
            ("custom_details", self.details(&notification.body)),
        ]);
        let links = notification.link.as_ref().map(|link| json!([{ "href": link, "text": "Open" }]));
        let event = Object::default()
            .with_secret("routing_key", key)
            .with("event_action", if notification.resolves.is_some() { "resolve" } else { "trigger" })
            .with("dedup_key", DEDUP_KEY.cut(notification.alert()))
            .with("client", "Nuncio")
            .with("links", links)
            .with("payload", payload);
        let url = match region {
            Region::Us => "https://events.pagerduty.com/v2/enqueue",
            Region::Eu => "https://events.eu.pagerduty.com/v2/enqueue",
        };
        Ok(vec![event.into(Request::post(vec![url.into()]))])
    }
}

impl PagerDuty {
    /// The body: fields as they are, anything else as one text or list.
    fn details(&self, body: &Body) -> Value {
        let text = Text::of_body(body, Format::Markdown);
        let details = match body {
            _ if text.is_blank() => return Value::Null,
            Body::Fields(fields) => {
                fields.iter().map(|field| (field.name.clone(), Value::from(field.value.clone()))).collect()
            }
            Body::Items(items) => json!({ "items": items }),
            Body::Text(_) => json!({ "text": text.write(&PLAIN) }),
        };
        if self.overflow.limit(DETAILS).fits(&details.to_string()) {
            return details;
        }
        json!({ "text": text.fit(&PLAIN, CUT_DETAILS) })
    }
}

fn default_severity(level: Level) -> Severity {
    match level {
        Level::Trace | Level::Debug | Level::Info => Severity::Info,
        Level::Warn => Severity::Warning,
        Level::Error => Severity::Error,
        Level::Fatal => Severity::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, items, notification};
    use crate::provider::tests::{open, request, target_of, wrong_part};
    use crate::request::{Escape, Segment};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "p/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    /// The event without its key.
    fn sent(settings: &Value, notification: &Notification) -> Value {
        match request(&open::<PagerDuty>(with(settings)), notification).body.as_slice() {
            [Segment::Text(before), Segment::Secret { .. }, Segment::Text(after)] => {
                serde_json::from_str(&format!("{before}{after}")).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_notification_is_an_alert_under_its_id() {
        let mut down = notification(Level::Error, "web is *down*", fields(&[("Detail", "a \"b\"")]));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<PagerDuty>(with(&json!({}))), &down);
        assert_eq!(request.url, [Segment::from("https://events.pagerduty.com/v2/enqueue")]);
        let key = Segment::Secret { name: "p/key".into(), escape: Escape::Json };
        assert_eq!(
            request.body,
            [
                r#"{"routing_key":""#.into(),
                key,
                r#"","event_action":"trigger","dedup_key":"01890a5d-ac96-774b-bcce-b302099a8057","client":"Nuncio","links":[{"href":"https://x.example/","text":"Open"}],"payload":{"summary":"web is *down*","source":"nuncio","severity":"error","timestamp":"2023-11-14T22:13:20.000Z","custom_details":{"Detail":"a \"b\""}}}"#.into()
            ]
        );
    }

    #[test]
    fn what_is_affected_and_how_badly_can_be_said() {
        let settings = json!({ "region": "eu", "source": "db1", "component": "pg", "group": "g", "class": "c", "severity": { "info": "critical" } });
        let sent = sent(&settings, &notification(Level::Info, "", items(&["a", "b"])));
        let payload = json!({
            "summary": "- a\n- b", "source": "db1", "severity": "critical", "timestamp": "2023-11-14T22:13:20.000Z",
            "component": "pg", "group": "g", "class": "c", "custom_details": { "items": ["a", "b"] },
        });
        assert_eq!(sent["payload"], payload);
        let url =
            request(&open::<PagerDuty>(with(&settings)), &notification(Level::Info, "t", items(&[]))).url;
        assert_eq!(url, [Segment::from("https://events.eu.pagerduty.com/v2/enqueue")]);
    }

    #[test]
    fn details_that_are_too_long_are_cut_and_never_split() {
        let long = notification(Level::Error, "t", Body::Text("\"word\" ".repeat(100_000)));
        let text = sent(&json!({}), &long)["payload"]["custom_details"]["text"].as_str().unwrap().to_owned();
        assert!(text.ends_with('…') && text.len() <= 240_000 && text.len() > 230_000, "{}", text.len());
    }

    #[test]
    fn what_resolves_a_key_closes_what_opened_it() {
        let mut down = notification(Level::Error, "web is down", items(&[]));
        let key = |sent: &Value| (sent["event_action"].clone(), sent["dedup_key"].clone());
        assert_eq!(key(&sent(&json!({}), &down)), (json!("trigger"), json!(down.id)));
        for name in ["web", &"é".repeat(300)] {
            down.key = Some(name.to_owned());
            let opened = sent(&json!({}), &down);
            let mut up = notification(Level::Info, "web is up", items(&[]));
            (up.id, up.resolves) = ("another".into(), Some(name.to_owned()));
            let closed = sent(&json!({}), &up);
            assert_eq!(
                (&opened["event_action"], &closed["event_action"]),
                (&json!("trigger"), &json!("resolve"))
            );
            assert_eq!(opened["dedup_key"], closed["dedup_key"]);
            assert!(opened["dedup_key"].as_str().unwrap().chars().count() <= 255);
        }
        assert_eq!(sent(&json!({}), &down)["dedup_key"].as_str().unwrap().chars().count(), 255);
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        for (url, more) in [
            ("pagerduty://K@api-key", json!({})),
            ("pagerduty://K@api-key/db1/pg", json!({ "source": "db1", "component": "pg" })),
            ("pagerduty://K@api-key/pg?source=my%20db", json!({ "source": "my db", "component": "pg" })),
            (
                "pagerduty://K@api-key?region=EU&severity=crit",
                json!({ "region": "eu", "severity": "critical" }),
            ),
            (
                "pagerduty://K@api-key/db1?group=g&class=c",
                json!({ "source": "db1", "group": "g", "class": "c" }),
            ),
            (
                "pagerduty://_?integrationkey=K&apikey=A&region=us",
                json!({ "region": "us", "left out": ["host: this kind of URL has no use for it"] }),
            ),
            (
                "pagerduty://K@api-key?image=no",
                json!({ "left out": ["?image: there is no such setting here"] }),
            ),
            ("pagerduty:///K", json!({})),
            ("pagerduty://events.pagerduty.com/K", json!({})),
            (
                "pagerduty://events.eu.pagerduty.com/K?severity=error",
                json!({ "region": "eu", "severity": "error" }),
            ),
            (
                "pagerduty:///K?source=my+db&component=pg&group=g&class=c",
                json!({ "source": "my db", "component": "pg", "group": "g", "class": "c" }),
            ),
            (
                "pagerduty:///K?action=trigger",
                json!({ "left out": ["?action: there is no such setting here"] }),
            ),
            (
                "pagerduty://proxy.example/K",
                json!({ "left out": ["host: this kind of URL has no use for it"] }),
            ),
        ] {
            let mut expected = json!({ "key": "K" });
            expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(target_of::<PagerDuty>(url), expected, "{url}");
        }
        for (url, part) in [
            ("pagerduty://", "path"),
            ("pagerduty://K@", "host"),
            ("pagerduty://events.pagerduty.com", "path"),
            ("pagerduty://K@api-key?region=asia", "?region"),
            ("pagerduty:///K?severity=loud", "?severity"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
