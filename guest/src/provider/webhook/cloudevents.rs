//! Events of CloudEvents 1.0 in structured mode:
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>.
//!
//! The notification's id is the event's. A receiver may take events of one source and id for the same
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#id>). The subject is the alert that is
//! opened or closed. Attributes hold no control characters and no noncharacters; data may hold both.

use serde_json::json;

use super::{Settings, Template};
use crate::diagnostic::{Diagnostics, Pointer};
use crate::notification::Notification;
use crate::payload::{Object, object};
use crate::timestamp;

/// The media type of an event.
pub(super) const MEDIA_TYPE: &str = "application/cloudevents+json";

/// What all events of a target have.
pub(super) struct Context {
    source: String,
    kind: String,
}

impl Context {
    /// Reads the settings `source` and `type`.
    pub(super) fn check(settings: &Settings, at: &Pointer, problems: &mut Diagnostics) -> Self {
        let is_event = matches!(settings.template, Some(Template::CloudEvents));
        for (name, value) in [("source", &settings.source), ("type", &settings.r#type)] {
            let at = at.at(name);
            match value {
                Some(_) if !is_event => {
                    let problem = format!("only CloudEvents have a `{name}`");
                    problems.value(&at, problem, "add `template: cloudevents`, or leave this out");
                }
                Some(value) if name == "source" && !is_reference(value) => {
                    let hint = "write a URI, as `https://nuncio.example/`, or a name, as `/nuncio`";
                    problems.value(&at, "this is no URI and no part of one", hint);
                }
                Some(value) if clean(value) != *value => {
                    problems.value(&at, "this has control characters", "leave them out");
                }
                _ => {}
            }
        }
        let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
        Self { source: or(&settings.source, "nuncio"), kind: or(&settings.r#type, "nuncio.notification") }
    }

    /// The event that a notification is.
    pub(super) fn event(&self, notification: &Notification) -> Object {
        let Notification { id, at, level, title, body, tags, link, key, resolves, .. } = notification;
        let subject = resolves.as_deref().or(key.as_deref()).unwrap_or_default();
        let data = object([
            ("level", level.name().into()),
            ("title", title.as_str().into()),
            ("body", body.to_json()),
            ("color", notification.shown_color().to_string().into()),
            ("tags", json!(tags)),
            ("link", json!(link)),
            ("key", json!(key)),
            ("resolves", json!(resolves)),
        ]);
        Object::default()
            .with("specversion", "1.0")
            .with("id", id.as_str())
            .with("source", self.source.as_str())
            .with("type", self.kind.as_str())
            .with("time", timestamp::rfc_3339(*at))
            .with_text("subject", &clean(subject))
            .with("datacontenttype", "application/json")
            .with("data", data)
    }
}

/// Text without what an attribute cannot hold.
fn clean(text: &str) -> String {
    let is_noncharacter = |c: char| u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    text.chars().filter(|c| !c.is_control() && !is_noncharacter(*c)).collect()
}

/// Whether text is a URI reference (RFC 3986, section 4.1), but for those with an IPv6 address.
fn is_reference(text: &str) -> bool {
    let is_of_uri = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=%".contains(c);
    let is_hex = |text: &str| text.get(..2).is_some_and(|two| two.chars().all(|c| c.is_ascii_hexdigit()));
    let is_scheme = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    // A `:` in the first segment ends a scheme.
    let first = text.split(['/', '?', '#']).next().unwrap_or_default();
    !text.is_empty()
        && text.chars().all(is_of_uri)
        && text.split('%').skip(1).all(is_hex)
        && text.matches('#').count() < 2
        && first.split_once(':').is_none_or(|(scheme, _)| is_scheme(scheme))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::notification::tests::{fields, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request};
    use crate::provider::webhook::Webhook;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": { "$secret": "w/url" }, "template": "cloudevents" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_notification_is_an_event_under_its_id() {
        let mut down = notification(Level::Warn, "web is down", fields(&[("Detail", "a \"b\"")]));
        down.tags = vec!["web".into()];
        down.link = Some("https://x.example/".into());
        down.key = Some("we\u{7f}b".into());
        let request = request(&open::<Webhook>(with(&json!({ "method": "PUT" }))), &down);
        assert_eq!(request.method.name(), "POST");
        assert_eq!(header(&request, "content-type"), Some(&["application/cloudevents+json".into()][..]));
        assert_eq!(
            body(&request),
            r##"{"specversion":"1.0","id":"01890a5d-ac96-774b-bcce-b302099a8057","source":"nuncio","type":"nuncio.notification","time":"2023-11-14T22:13:20.000Z","subject":"web","datacontenttype":"application/json","data":{"level":"warn","title":"web is down","body":[{"name":"Detail","value":"a \"b\""}],"color":"#ffc400","tags":["web"],"link":"https://x.example/","key":"web"}}"##.replace(r#""key":"web""#, "\"key\":\"we\u{7f}b\"")
        );
    }

    #[test]
    fn source_and_type_can_be_said_and_an_alert_is_the_subject() {
        let settings =
            with(&json!({ "source": "https://nuncio.example/a%20b?c#d", "type": "org.example.alert" }));
        assert_eq!(problems::<Webhook>(settings.clone()), [""; 0]);
        let mut up = notification(Level::Info, "", Body::Text("b".into()));
        let sent = |up: &Notification| -> Value {
            serde_json::from_str(&body(&request(&open::<Webhook>(settings.clone()), up))).unwrap()
        };
        assert_eq!(sent(&up).get("subject"), None);
        up.resolves = Some("k".into());
        let sent = sent(&up);
        assert_eq!(sent["source"], "https://nuncio.example/a%20b?c#d");
        assert_eq!((&sent["type"], &sent["subject"]), (&json!("org.example.alert"), &json!("k")));
        let data = json!({ "level": "info", "title": "", "body": "b", "color": "#0000ff", "tags": [], "resolves": "k" });
        assert_eq!(sent["data"], data);
    }

    #[test]
    fn what_is_no_source_or_type_is_refused() {
        for (more, at) in [
            (json!({ "source": "a b" }), "/source: this is no URI"),
            (json!({ "source": "1a:b" }), "/source: this is no URI"),
            (json!({ "source": "a%2" }), "/source: this is no URI"),
            (json!({ "source": "a#b#c" }), "/source: this is no URI"),
            (json!({ "source": "ä" }), "/source: this is no URI"),
            (json!({ "source": "" }), "/source: must not be empty"),
            (json!({ "type": "" }), "/type: must not be empty"),
            (json!({ "type": "a\nb" }), "/type: this has control characters"),
            (json!({ "type": "\u{fdd0}" }), "/type: this has control characters"),
            (json!({ "template": "discord", "type": "a" }), "/type: only CloudEvents have a `type`"),
            (json!({ "template": null, "payload": "1", "source": "a" }), "/source: only CloudEvents"),
            (json!({ "payload": "1" }), "/payload: both"),
        ] {
            let found = problems::<Webhook>(with(&more));
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
        for source in ["nuncio", "/a/b:c", "urn:uuid:1", "//host/x", "?", "mailto:a@b.example"] {
            assert_eq!(problems::<Webhook>(with(&json!({ "source": source }))), [""; 0]);
        }
    }

    #[test]
    fn an_event_is_signed_as_any_other_body() {
        let sign = json!({ "sign": { "secrets": { "$secret": "w/s" } } });
        let down = notification(Level::Info, "t", Body::Text("b".into()));
        let request = request(&open::<Webhook>(with(&sign)), &down);
        assert_eq!(header(&request, "webhook-id"), Some(&[down.id.as_str().into()][..]));
        assert!(header(&request, "webhook-signature").is_some_and(|value| value.len() == 2));
    }
}
