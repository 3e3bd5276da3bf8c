//! Prometheus' Alertmanager, an alert: <https://prometheus.io/docs/alerting/latest/alerts_api/>, version 2.
//!
//! An alert is what its labels are: two of the same labels are one. Labels are `alertname`, `severity`, `key` and
//! those in the settings; nothing of a notification but its key, or else its id, so that a notification that
//! resolves a key has exactly the labels of what it closes. Title, body and level are annotations. Limits are not
//! documented: nothing is cut.
//!
//! An alert that is not sent again ends by itself after the `resolve_timeout` of the Alertmanager's configuration, 5
//! minutes by default; `lasts` says how long one lasts in its place. One that is resolved ends when the notification
//! was handed in. By the Alertmanager's source (`Alert.Merge`), an end in its future does not bring an end forward
//! that was set: where `lasts` is set, its clock must not be behind.
//!
//! The Alertmanager answers 200 without a body, 400 to an alert that is wrong and to a list that it cannot read. It
//! has no authentication but by its web configuration or a proxy.

use serde_json::{Map, Value, json};

use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::duration::DurationMs;
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Notification};
use crate::payload::object;
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, wrong};
use crate::settings::declare::{Named, settings};
use crate::settings::{BaseUrl, Secret};
use crate::timestamp::rfc_3339;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the Alertmanager, with the path that it is served under, if any.
        url: BaseUrl,
        /// A token, where a proxy wants one.
        token: Option<Secret>,
        /// A user's name, where the Alertmanager or a proxy wants one.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// The label `alertname`: Nuncio, unless this says otherwise.
        #[length(1, 255)]
        alertname: String = "Nuncio".to_owned(),
        /// The label `severity`: warning, unless this says otherwise. It is the same at every level, because an
        /// alert can be closed at another than it was opened at; routes by level are several targets with filters.
        #[length(1, 255)]
        severity: String = "warning".to_owned(),
        /// More labels: a name of letters, digits and `_`, and its value.
        labels: Named<String>,
        /// How long an alert lasts that nothing resolves: as long as the Alertmanager says, unless this is set.
        lasts: Option<DurationMs>,
    }
}

/// An Alertmanager.
pub struct Alertmanager {
    settings: Settings,
    authorization: Option<Vec<Segment>>,
}

/// Labels that have their meaning here.
const OWN: [&str; 3] = ["alertname", "severity", "key"];

impl Provider for Alertmanager {
    const NAME: &'static str = "alertmanager";
    const SUMMARY: &'static str = "Prometheus' Alertmanager, an alert";
    const EXAMPLE: &'static str = "\
- name: alertmanager
  provider: alertmanager
  url: http://alertmanager:9093
  severity: critical
  labels: { team: ops }
  filter: { level: error }
- name: alertmanager-for-a-day
  provider: alertmanager
  url: https://alerts.example.com/alertmanager
  user: nuncio
  password: ${ALERTMANAGER_PASSWORD}
  lasts: 24h
";
    const AUTH: &'static str = "none, token, or user and password";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls { apprise: &[], apprise_form: "", shoutrrr: &[], shoutrrr_form: "" };
    // By its labels, as the page above says.
    const KNOWS_REPEATS: bool = true;
    const OVERFLOW: Overflow = Overflow::Upstream;

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let before = problems.len();
        for (name, value) in settings.labels.iter() {
            let at = at.at("labels").at(name);
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if OWN.contains(&name.as_str()) {
                let hint = "`alertname` and `severity` are settings; `key` is the notification's";
                problems.value(&at, "this label is Nuncio's own", hint);
            } else if !name.chars().all(is_of_name) || !name.starts_with(|c: char| !c.is_ascii_digit()) {
                let hint = "allowed are letters, digits and `_`, with no digit in front";
                problems.value(&at, "this is no name of a label", hint);
            } else if value.is_empty() {
                problems.value(&at, "a label without a value is none", "leave it out");
            }
        }
        let (user, password) = (settings.user.as_deref(), settings.password.as_ref());
        let authorization = authorization::value(settings.token.as_ref(), user, password, at, problems);
        (problems.len() == before).then_some(Self { settings, authorization })
    }

    fn from_url(_: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        Err(wrong("scheme", "is of no provider", ""))
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { url, alertname, severity, labels, lasts, .. } = &self.settings;
        let mut all = Map::new();
        all.insert("alertname".to_owned(), alertname.as_str().into());
        all.insert("severity".to_owned(), severity.as_str().into());
        all.insert("key".to_owned(), notification.alert().into());
        all.extend(labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        let title = Text::plain(&notification.title);
        let title = if title.is_blank() { Text::of(notification, Format::Markdown) } else { title };
        let body = Text::of_body(&notification.body, Format::Markdown);
        let body = if body.is_blank() { Value::Null } else { body.write(&PLAIN).into() };
        let annotations = object([
            ("summary", title.write(&PLAIN).into()),
            ("description", body),
            ("level", notification.level.name().into()),
        ]);
        // Without a start, one that resolves keeps that of the alert that it closes.
        let at = Some(rfc_3339(notification.at));
        let (starts, ends) = match (&notification.resolves, lasts) {
            (Some(_), _) => (None, at),
            (None, Some(DurationMs(lasts))) => (at, Some(rfc_3339(notification.at.saturating_add(*lasts)))),
            (None, None) => (at, None),
        };
        // An URL that it cannot read would be the end of the whole alert.
        let link = notification.link.as_deref().filter(|link| BaseUrl::problem(link).is_none());
        let alert = object([
            ("labels", all.into()),
            ("annotations", annotations),
            ("startsAt", json!(starts)),
            ("endsAt", json!(ends)),
            ("generatorURL", json!(link)),
        ]);
        let mut request = Request::post(url.join("api/v2/alerts"));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization.clone());
        }
        Ok(vec![request.text("application/json", json!([alert]).to_string())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": "http://am:9093/prefix/" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    /// The one alert of the list.
    fn sent(settings: &Value, notification: &Notification) -> Value {
        let list: Value =
            serde_json::from_str(&body(&request(&open::<Alertmanager>(with(settings)), notification)))
                .unwrap();
        assert_eq!(list.as_array().map(Vec::len), Some(1));
        list[0].clone()
    }

    #[test]
    fn a_notification_is_a_list_of_one_alert() {
        let mut down = notification(Level::Error, "web is *down*", Body::Text("**a** & b".into()));
        down.link = Some("https://x.example/?a=1&b=2".into());
        let request = request(&open::<Alertmanager>(with(&json!({}))), &down);
        assert_eq!(
            (request.method.name(), request.url.as_slice()),
            ("POST", &["http://am:9093/prefix/api/v2/alerts".into()][..])
        );
        assert_eq!(header(&request, "authorization"), None);
        assert_eq!(header(&request, "content-type").unwrap(), ["application/json".into()]);
        assert_eq!(
            body(&request),
            r#"[{"labels":{"alertname":"Nuncio","severity":"warning","key":"01890a5d-ac96-774b-bcce-b302099a8057"},"annotations":{"summary":"web is *down*","description":"a & b","level":"error"},"startsAt":"2023-11-14T22:13:20.000Z","generatorURL":"https://x.example/?a=1&b=2"}]"#
        );
    }

    #[test]
    fn an_alert_is_closed_by_the_very_labels_that_opened_it() {
        let settings = json!({ "alertname": "Disk", "severity": "critical", "labels": { "team": "ops" }, "lasts": "1h" });
        let mut down = notification(Level::Error, "down", Body::Text("b".into()));
        down.key = Some("disk/é \"1\"".into());
        let mut up = notification(Level::Info, "up again", items(&["c"]));
        (up.id, up.at, up.tags) = ("other".into(), down.at + 60_000, vec!["t".into()]);
        up.resolves = down.key.clone();
        for settings in [settings, json!({})] {
            let (opened, closed) = (sent(&settings, &down), sent(&settings, &up));
            assert_eq!(opened["labels"]["key"], "disk/é \"1\"");
            assert_eq!(opened["labels"], closed["labels"]);
            assert_eq!(opened["startsAt"], "2023-11-14T22:13:20.000Z");
            assert_eq!(
                (closed.get("startsAt"), &closed["endsAt"]),
                (None, &json!("2023-11-14T22:14:20.000Z"))
            );
        }
    }

    #[test]
    fn every_setting_is_sent() {
        let settings =
            json!({ "alertname": "a", "severity": "page", "labels": { "_x1": "é" }, "lasts": "1m" });
        let sent = sent(&settings, &notification(Level::Info, " ", items(&["a", "b"])));
        let labels = json!({ "alertname": "a", "severity": "page", "key": "01890a5d-ac96-774b-bcce-b302099a8057", "_x1": "é" });
        assert_eq!(sent["labels"], labels);
        assert_eq!(
            sent["annotations"],
            json!({ "summary": "- a\n- b", "description": "- a\n- b", "level": "info" })
        );
        assert_eq!(sent["endsAt"], "2023-11-14T22:14:20.000Z");
        let authorization = |settings: &Value| {
            let request =
                request(&open::<Alertmanager>(with(settings)), &notification(Level::Info, "t", items(&[])));
            header(&request, "authorization").unwrap()[0].clone()
        };
        assert_eq!(authorization(&json!({ "token": { "$secret": "t" } })), "Bearer ".into());
        let basic = json!({ "user": "u", "password": { "$secret": "p" } });
        assert_eq!(authorization(&basic), "Basic ".into());
    }

    #[test]
    fn a_link_that_is_no_web_page_is_left_out() {
        let mut info = notification(Level::Info, "t", items(&[]));
        for link in ["mailto:a@x.example", "https://x.example/a b", ""] {
            info.link = Some(link.into());
            assert_eq!(sent(&json!({}), &info).get("generatorURL"), None, "{link}");
        }
    }

    #[test]
    fn labels_have_names_of_their_own() {
        for (wrong, at) in [
            (json!({ "labels": { "key": "a" } }), "/labels/key"),
            (json!({ "labels": { "severity": "a" } }), "/labels/severity"),
            (json!({ "labels": { "1a": "a" } }), "/labels/1a"),
            (json!({ "labels": { "a-b": "a" } }), "/labels/a-b"),
            (json!({ "labels": { "": "a" } }), "/labels/"),
            (json!({ "labels": { "a": "" } }), "/labels/a"),
            (json!({ "alertname": "" }), "/alertname"),
            (json!({ "lasts": "1" }), "/lasts"),
            (json!({ "user": "u" }), "/user"),
        ] {
            let found = problems::<Alertmanager>(with(&wrong));
            assert!(found.len() == 1 && found[0].starts_with(&format!("{at}: ")), "{found:?}");
        }
    }
}
