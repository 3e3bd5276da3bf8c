//! incident.io, an alert event by an HTTP alert source:
//! <https://api-docs.incident.io/tag/Alert-Events-V2#operation/Alert%20Events%20V2_CreateHTTP>.
//!
//! The title is text, the description CommonMark, by `format: plain` as text that is escaped; which markdown it is is
//! not documented. Limits are not documented either: nothing is cut. `metadata` has the level and the tags beside
//! what the settings say, for the source's attributes.
//!
//! The deduplication key is the notification's key, or else its id: of events of one key, one alert is made, and an
//! event that is `resolved` closes it.
//!
//! incident.io answers 202 and `"status": "success"`, 401 to a token and 404 to a source that it does not know, 422 to
//! an event that is wrong and 429 to too many; how long to wait is not documented.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::{COMMONMARK, PLAIN};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::Secret;
use crate::settings::declare::{Named, settings};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The id of the alert source: what stands last in its URL, letters and digits.
        #[pattern("^[A-Za-z0-9]+$")]
        source: String,
        /// The source's token.
        token: Secret,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// What every alert has in its metadata, beside `level` and `tags`.
        metadata: Named<String>,
    }
}

/// An alert source of incident.io.
pub struct IncidentIo {
    settings: Settings,
}

const ANSWER: Answer = Answer { at: "/status", success: "\"success\"", reason: "/message", meanings: &[] };

impl Provider for IncidentIo {
    const NAME: &'static str = "incident-io";
    const SUMMARY: &'static str = "incident.io, an alert by an HTTP alert source";
    const EXAMPLE: &'static str = "\
- name: incident-io
  provider: incident-io
  source: 01GW2G3V0S59R238FAHPDS1R66
  token: ${INCIDENT_IO_TOKEN}
  metadata: { team: ops }
  filter: { level: error }
";
    const AUTH: &'static str = "token";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["incidentio"],
        apprise_form: "incidentio://source/token?+team=ops",
        shoutrrr: &[],
        shoutrrr_form: "",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.incident.io"];
    // By `deduplication_key`, as the page above says.
    const KNOWS_REPEATS: bool = true;
    const OVERFLOW: Overflow = Overflow::Upstream;

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let source = &settings.source;
        if source.is_empty() || !source.chars().all(|c| c.is_ascii_alphanumeric()) {
            let hint = match source.contains('/') {
                true => "write what stands last in the URL alone",
                false => "it is letters and digits, as 01GW2G3V0S59R238FAHPDS1R66",
            };
            problems.value(&at.at("source"), "this is no id of an alert source", hint);
            return None;
        }
        Some(Self { settings })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        if !url.is(UrlDialect::Apprise) {
            return Err(wrong("scheme", "is of no provider", ""));
        }
        let source = match url.option(&["source"]) {
            Some(source) => source,
            None => url.take_host("the id of the alert source")?,
        };
        let token = match url.option(&["token"]) {
            Some(token) => token,
            None => url.entry("the source's token")?,
        };
        match url.option(&["action"]).map(|action| action.to_ascii_lowercase()).as_deref() {
            None | Some("map" | "trigger") => {}
            Some("resolve") => {
                let hint = "leave it out: a notification with `resolves` closes what its key opened";
                return Err(wrong("?action", "would close alerts with every notification", hint));
            }
            Some(_) => return Err(wrong("?action", "is no action", "write `map` or `trigger`")),
        }
        let metadata: Map<String, Value> =
            url.prefixed("+").into_iter().map(|(name, value)| (name, value.into())).collect();
        Ok(vec![settings([
            ("source", source.into()),
            ("token", token.into()),
            ("metadata", if metadata.is_empty() { Value::Null } else { metadata.into() }),
        ])])
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { source, token, metadata, .. } = &self.settings;
        let format = occasion.format(self.settings.format);
        let title = Text::plain(&notification.title);
        let title = if title.is_blank() { Text::of(notification, format) } else { title };
        let body = Text::of_body(&notification.body, format);
        let description = if body.is_blank() { String::new() } else { body.write(&COMMONMARK) };
        let mut all = Map::new();
        all.insert("level".to_owned(), notification.level.name().into());
        if !notification.tags.is_empty() {
            all.insert("tags".to_owned(), json!(notification.tags));
        }
        all.extend(metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        let event = Object::default()
            .with("title", title.write(&PLAIN))
            .with("status", if notification.resolves.is_some() { "resolved" } else { "firing" })
            .with("deduplication_key", notification.alert())
            .with_text("description", &description)
            .with("source_url", notification.link.clone())
            .with("metadata", Value::Object(all));
        let url = format!("https://api.incident.io/v2/alert_events/http/{source}");
        let request = Request::post(vec![url.into()]);
        Ok(vec![event.into(request.header("authorization", token.bearer()))])
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        ANSWER.classify(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, target_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "source": "01ABC", "token": { "$secret": "i/token" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn sent(settings: &Value, notification: &Notification) -> Value {
        serde_json::from_str(&body(&request(&open::<IncidentIo>(with(settings)), notification))).unwrap()
    }

    #[test]
    fn a_notification_is_an_event_under_its_id() {
        let mut down = notification(Level::Error, "web is *down*", Body::Text("**a** & b".into()));
        (down.link, down.tags) = (Some("https://x.example/".into()), vec!["web".into()]);
        let request = request(&open::<IncidentIo>(with(&json!({ "metadata": { "team": "ops" } }))), &down);
        assert_eq!(request.url, ["https://api.incident.io/v2/alert_events/http/01ABC".into()]);
        assert_eq!(header(&request, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(
            body(&request),
            r#"{"title":"web is *down*","status":"firing","deduplication_key":"01890a5d-ac96-774b-bcce-b302099a8057","description":"**a** & b","source_url":"https://x.example/","metadata":{"level":"error","tags":["web"],"team":"ops"}}"#
        );
    }

    #[test]
    fn an_alert_is_closed_by_the_key_that_opened_it() {
        let mut down = notification(Level::Error, "down", Body::Text("b".into()));
        down.key = Some("disk/é 1".into());
        let mut up = notification(Level::Info, "up", Body::Text("b".into()));
        (up.id, up.resolves) = ("other".into(), Some("disk/é 1".into()));
        let (opened, closed) = (sent(&json!({}), &down), sent(&json!({}), &up));
        assert_eq!((&opened["status"], &closed["status"]), (&json!("firing"), &json!("resolved")));
        assert_eq!(opened["deduplication_key"], "disk/é 1");
        assert_eq!(opened["deduplication_key"], closed["deduplication_key"]);
    }

    #[test]
    fn plain_text_is_no_markup() {
        let plain = json!({ "format": "plain", "metadata": { "level": "mine" } });
        let event = sent(&plain, &notification(Level::Warn, "", Body::Text("*a*".into())));
        assert_eq!((&event["title"], &event["description"]), (&json!("*a*"), &json!("\\*a\\*")));
        assert_eq!(event["metadata"], json!({ "level": "mine" }));
        let listed = sent(&json!({}), &notification(Level::Warn, "t", fields(&[("a*", "b")])));
        assert_eq!(listed["description"], "#### a\\*\nb");
        let empty = sent(&json!({}), &notification(Level::Warn, "", items(&[" "])));
        assert_eq!((&empty["title"], empty.get("description")), (&json!("warn"), None));
    }

    #[test]
    fn a_source_is_named_by_its_id() {
        for (source, hint) in
            [("", "letters"), ("..", "letters"), ("https://api.incident.io/v2/x/01A", "stands last")]
        {
            let found = problems::<IncidentIo>(with(&json!({ "source": source })));
            assert!(
                found.len() == 1 && found[0].starts_with("/source: ") && found[0].contains(hint),
                "{found:?}"
            );
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let with = |more: &Value| {
            let mut settings = json!({ "source": "01ABC", "token": "t-1" });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("incidentio://01ABC/t-1", json!({})),
            ("incidentio://01ABC/t%2F1/?action=map", json!({ "token": "t/1" })),
            ("incidentio://01ABC?token=t-1&action=trigger", json!({})),
            ("incidentio://?source=01ABC&token=t-1&format=text", json!({ "format": "plain" })),
            (
                "incidentio://01ABC/t-1?+team=o%20ps&+%C3%A9=%40",
                json!({ "metadata": { "team": "o ps", "é": "@" } }),
            ),
            (
                "incidentio://01ABC/t-1/x?dedup=d&click=c",
                json!({ "left out": [
                    "path: this kind of URL has no use for it",
                    "?dedup: there is no such setting here",
                    "?click: there is no such setting here",
                ] }),
            ),
        ] {
            assert_eq!(target_of::<IncidentIo>(url), with(&more), "{url}");
        }
        for (url, part) in [
            ("incidentio://", "host"),
            ("incidentio://01ABC", "path"),
            ("incidentio://01ABC/t?action=resolve", "?action"),
            ("incidentio://01ABC/t?action=loud", "?action"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_incident_io_says_in_its_body_counts() {
        let target = open::<IncidentIo>(with(&json!({})));
        for (status, body, class) in [
            (
                202,
                r#"{"deduplication_key":"a","message":"Event accepted","status":"success"}"#,
                Some(Class::Delivered),
            ),
            (202, r#"{"message":"no","status":"failure"}"#, Some(Class::Permanent)),
            (202, "", Some(Class::Ambiguous)),
            (401, "{}", None),
            (422, r#"{"type":"validation_error","status":422}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }
}
