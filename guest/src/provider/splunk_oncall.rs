//! Splunk On-Call, once VictorOps, by its REST endpoint:
//! <https://docs.splunk.com/observability/en/sp-oncall/spoc-integrations/rest-endpoint-integration-guide.html>.
//!
//! The title is the incident's display name, of which no limit is documented, and the body its message. That has "a
//! high character limit": 20 480 in Prometheus' Alertmanager, which counts characters; here it is UTF-16, of which
//! no reading has more. An annotation has 1124 characters: a longer link is left out. Nothing is split, because each
//! part would call somebody.
//!
//! The entity id is the notification's key, or else its id: an alert that comes twice is one incident, and RECOVERY
//! closes it. A limit of it is not documented. CRITICAL opens an incident, WARNING may, INFO never does.
//!
//! Splunk answers `"result": "success"`, or `"failure"` and why; with which status, and how long to wait after too
//! many requests, is not documented.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{choices, settings};
use crate::settings::{PerLevel, Secret, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The key of the REST endpoint: what stands in its URL behind `/alert/`, up to the next slash.
        key: Secret,
        /// The routing key, which says whom an incident calls: letters, digits, `_` and `-`.
        #[pattern("^[-_A-Za-z0-9]+$")]
        route: String,
        /// How serious an alert is, for all levels or by level: critical, warning or info; of others: fatal and
        /// error critical, warn warning, info, debug and trace info.
        severity: Option<PerLevel<Severity>>,
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Severity {
        Critical = "critical",
        Warning = "warning",
        Info = "info",
    }
}

/// A route of Splunk On-Call.
pub struct SplunkOnCall {
    settings: Settings,
    severity: PerLevel<Severity>,
    overflow: Overflow,
}

const MESSAGE: Limit = Limit::utf16(20_480);
const ANNOTATION: Limit = Limit::utf16(1124);

const ANSWER: Answer = Answer { at: "/result", success: "\"success\"", reason: "/message", meanings: &[] };

impl Provider for SplunkOnCall {
    const NAME: &'static str = "splunk-oncall";
    const SUMMARY: &'static str = "Splunk On-Call, once VictorOps, an alert by its REST endpoint";
    const EXAMPLE: &'static str = "\
- name: splunk-oncall
  provider: splunk-oncall
  key: ${SPLUNK_ONCALL_KEY}
  route: database
  filter: { level: error }
";
    const AUTH: &'static str = "key";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["splunk", "victorops"],
        apprise_form: "splunk://routing-key@key",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://alert.victorops.com"];
    // By `entity_id`, as the page above says.
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[
        Bound::text("message", &["/state_message"], MESSAGE),
        Bound::text("link", &["/vo_annotate.u.Link"], ANNOTATION),
    ];
    const OVERFLOW: Overflow = Overflow::Truncate;

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let is_of_route = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if settings.route.is_empty() || !settings.route.chars().all(is_of_route) {
            let hint = "allowed are letters, digits, `_` and `-`";
            problems.value(&at.at("route"), "this is no routing key", hint);
            return None;
        }
        let defaults = PerLevel::from_fn(default_severity);
        let severity =
            settings.severity.clone().map_or(defaults.clone(), |severity| severity.over(&defaults));
        Some(Self { settings, severity, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        if !url.is(UrlDialect::Apprise) {
            return Err(wrong("scheme", "is of no provider", ""));
        }
        let key = match url.option(&["apikey"]) {
            Some(key) => key,
            None => url.take_host("the key of the REST endpoint")?,
        };
        let route = match url.option(&["routing_key", "route"]) {
            Some(route) => route,
            None => url.required_user("the routing key")?,
        };
        let severity = url.option(&["action"]).map(|action| action.to_ascii_lowercase());
        let severity = match severity.as_deref() {
            None | Some("map") => None,
            Some(severity @ ("info" | "warning" | "critical")) => Some(severity),
            Some("acknowledgement" | "recovery" | "resolve") => {
                let hint = "leave it out: a notification with `resolves` closes what its key opened";
                return Err(wrong("?action", "would close or acknowledge with every notification", hint));
            }
            Some(_) => {
                return Err(wrong("?action", "is no action", "write `map`, `info`, `warning` or `critical`"));
            }
        };
        Ok(vec![settings([("key", key.into()), ("route", route.into()), ("severity", json!(severity))])])
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, route, .. } = &self.settings;
        let severity = self.severity.find(notification.level).map(|severity| severity.name());
        let kind = match notification.resolves {
            Some(_) => "RECOVERY".to_owned(),
            None => severity.unwrap_or_default().to_ascii_uppercase(),
        };
        let message = Text::of(notification, Format::Markdown).fit(&PLAIN, self.overflow.limit(MESSAGE));
        let link = notification.link.as_deref().filter(|link| self.overflow.limit(ANNOTATION).fits(link));
        let alert = Object::default()
            .with("message_type", kind)
            .with("entity_id", notification.alert())
            .with_text("entity_display_name", &Text::plain(&notification.title).write(&PLAIN))
            .with("state_message", message)
            .with("state_start_time", notification.at / 1000)
            .with("monitoring_tool", "Nuncio")
            .with_text("vo_annotate.u.Link", link.unwrap_or_default());
        let url = vec![
            "https://alert.victorops.com/integrations/generic/20131114/alert/".into(),
            key.segment(Escape::Percent),
            format!("/{}", path_segment(route)).into(),
        ];
        Ok(vec![alert.into(Request::post(url))])
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

fn default_severity(level: Level) -> Severity {
    match level {
        Level::Trace | Level::Debug | Level::Info => Severity::Info,
        Level::Warn => Severity::Warning,
        Level::Error | Level::Fatal => Severity::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{body, open, problems, request, target_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "s/key" }, "route": "db_1-a" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn sent(settings: &Value, notification: &Notification) -> Value {
        serde_json::from_str(&body(&request(&open::<SplunkOnCall>(with(settings)), notification))).unwrap()
    }

    #[test]
    fn a_notification_is_an_alert_under_its_id() {
        let mut down = notification(Level::Error, "web is *down*", Body::Text("**a** & b".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<SplunkOnCall>(with(&json!({}))), &down);
        assert_eq!(
            request.url,
            [
                "https://alert.victorops.com/integrations/generic/20131114/alert/".into(),
                Segment::Secret { name: "s/key".into(), escape: Escape::Percent },
                "/db_1-a".into(),
            ]
        );
        assert_eq!(
            body(&request),
            r#"{"message_type":"CRITICAL","entity_id":"01890a5d-ac96-774b-bcce-b302099a8057","entity_display_name":"web is *down*","state_message":"a & b","state_start_time":1700000000,"monitoring_tool":"Nuncio","vo_annotate.u.Link":"https://x.example/"}"#
        );
    }

    #[test]
    fn how_serious_a_level_is_can_be_said() {
        let kind = |settings: &Value, level| {
            sent(settings, &notification(level, "", items(&["a"])))["message_type"].clone()
        };
        for (level, severity) in
            Level::ALL.into_iter().zip(["INFO", "INFO", "INFO", "WARNING", "CRITICAL", "CRITICAL"])
        {
            assert_eq!(kind(&json!({}), level), severity);
        }
        assert_eq!(kind(&json!({ "severity": { "info": "warning" } }), Level::Info), "WARNING");
        assert_eq!(kind(&json!({ "severity": "info" }), Level::Fatal), "INFO");
    }

    #[test]
    fn an_incident_is_closed_by_the_key_that_opened_it() {
        let mut down = notification(Level::Error, "down", Body::Text("b".into()));
        down.key = Some("disk space/db01".into());
        let mut up = notification(Level::Error, "up", Body::Text("b".into()));
        (up.id, up.resolves) = ("other".into(), Some("disk space/db01".into()));
        let (opened, closed) = (sent(&json!({}), &down), sent(&json!({}), &up));
        assert_eq!(
            (&opened["message_type"], &closed["message_type"]),
            (&json!("CRITICAL"), &json!("RECOVERY"))
        );
        assert_eq!(opened["entity_id"], "disk space/db01");
        assert_eq!(opened["entity_id"], closed["entity_id"]);
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_and_a_link_left_out() {
        let mut long = notification(Level::Error, "", Body::Text("x".repeat(20_500)));
        long.link = Some(format!("https://x.example/{}", "a".repeat(1107)));
        let sent = sent(&json!({}), &long);
        assert_eq!(sent["state_message"].as_str().map(|text| text.chars().count()), Some(20_480));
        assert_eq!((sent.get("vo_annotate.u.Link"), sent.get("entity_display_name")), (None, None));
    }

    #[test]
    fn a_route_is_a_word() {
        for wrong in ["", "..", "a/b", "é"] {
            let found = problems::<SplunkOnCall>(with(&json!({ "route": wrong })));
            assert!(found.len() == 1 && found[0].starts_with("/route: this is no"), "{found:?}");
        }
        assert_eq!(problems::<SplunkOnCall>(with(&json!({ "severity": "error" }))).len(), 1);
    }

    #[test]
    fn urls_of_apprise_are_read() {
        for (url, settings) in [
            ("splunk://db@k-1", json!({ "key": "k-1", "route": "db" })),
            ("victorops://d%62_1@k%2F1", json!({ "key": "k/1", "route": "db_1" })),
            ("splunk://?apikey=k-1&routing_key=db", json!({ "key": "k-1", "route": "db" })),
            ("victorops://k-1?route=db&action=map", json!({ "key": "k-1", "route": "db" })),
            ("splunk://db@k-1?action=Warning", json!({ "key": "k-1", "route": "db", "severity": "warning" })),
            (
                "splunk://db@k-1/web%20%C3%A9/x?:info=CRITICAL&entity_id=e",
                json!({ "key": "k-1", "route": "db", "left out": [
                    "path: this kind of URL has no use for it",
                    "?:info: there is no such setting here",
                    "?entity_id: there is no such setting here",
                ] }),
            ),
        ] {
            assert_eq!(target_of::<SplunkOnCall>(url), settings, "{url}");
        }
        for (url, part) in [
            ("splunk://k-1", "user"),
            ("victorops://db@", "host"),
            ("splunk://db@k-1?action=resolve", "?action"),
            ("splunk://db@k-1?action=loud", "?action"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_splunk_says_in_its_body_counts() {
        let target = open::<SplunkOnCall>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"result":"success","entity_id":"a"}"#, Some(Class::Delivered)),
            (200, r#"{"result":"failure","message":"Missing fields: message_type"}"#, Some(Class::Permanent)),
            (200, "<html>", Some(Class::Ambiguous)),
            (404, "", None),
            (429, "{}", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }
}
