//! Grafana Cloud IRM, once Grafana OnCall, by a formatted webhook:
//! <https://grafana.com/docs/oncall/latest/configure/integrations/references/webhook/>.
//!
//! Limits of texts are not documented: nothing is cut. Text is plain, because the integration's templates show the
//! same message as markdown, as HTML, and in calls and text messages as it is; in the first two, signs in it can be
//! read as markup. `level` and `tags` are for the integration's routes and templates, which see all of the payload.
//!
//! `alert_uid` is the notification's key, or else its id: alerts of one are grouped, and one whose state is `ok`
//! resolves the group, unless the integration's templates say otherwise. Each that comes twice is in the group twice,
//! and calls nobody again.
//!
//! What Grafana answers is not documented, but for 429 to more than 300 alerts in five minutes
//! (<https://grafana.com/docs/grafana-cloud/alerting-and-irm/irm/reference/rate-limits/>); `Ok.` is what its
//! sources say (<https://github.com/grafana/oncall>, archived), so that every 2xx counts.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Notification};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlProblem, Urls, wrong};
use crate::settings::SecretUrl;
use crate::settings::declare::settings;

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of an integration of the kind Formatted Webhook.
        url: SecretUrl,
        /// The URL of a picture that every alert has.
        image: Option<String>,
    }
}

/// An integration of Grafana IRM.
pub struct GrafanaOnCall {
    settings: Settings,
}

impl Provider for GrafanaOnCall {
    const NAME: &'static str = "grafana-oncall";
    const SUMMARY: &'static str = "Grafana Cloud IRM or OnCall, an alert by a formatted webhook";
    const EXAMPLE: &'static str = "\
- name: grafana-oncall
  provider: grafana-oncall
  url: ${GRAFANA_ONCALL_URL}
  filter: { level: error }
";
    const AUTH: &'static str = "secret URL";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls { apprise: &[], apprise_form: "", shoutrrr: &[], shoutrrr_form: "" };
    const OVERFLOW: Overflow = Overflow::Upstream;

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, _: &Pointer, _: &mut Diagnostics) -> Option<Self> {
        Some(Self { settings })
    }

    fn from_url(_: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        Err(wrong("scheme", "is of no provider", ""))
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { url, image } = &self.settings;
        let title = Text::plain(&notification.title);
        let title = if title.is_blank() { Text::plain(notification.level.name()) } else { title };
        let tags = &notification.tags;
        let alert = Object::default()
            .with("alert_uid", notification.alert())
            .with("title", title.write(&PLAIN))
            .with("state", if notification.resolves.is_some() { "ok" } else { "alerting" })
            .with("message", Text::of(notification, Format::Markdown).write(&PLAIN))
            .with("link_to_upstream_details", notification.link.clone())
            .with("image_url", image.clone())
            .with("level", notification.level.name())
            .with("tags", (!tags.is_empty()).then(|| tags.clone()));
        Ok(vec![alert.into(Request::post(url.segments()))])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::tests::{items, notification};
    use crate::notification::{Body, Level};
    use crate::outcome::Reply;
    use crate::provider::tests::{body, open, problems, request};
    use crate::request::{Escape, Segment};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": { "$secret": "g/url" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn sent(settings: &Value, notification: &Notification) -> Value {
        serde_json::from_str(&body(&request(&open::<GrafanaOnCall>(with(settings)), notification))).unwrap()
    }

    #[test]
    fn a_notification_is_an_alert_under_its_id() {
        let mut down = notification(Level::Error, "web is *down*", Body::Text("**a** & <b>".into()));
        (down.link, down.tags) = (Some("https://x.example/".into()), vec!["web".into()]);
        let request = request(&open::<GrafanaOnCall>(with(&json!({}))), &down);
        assert_eq!(request.url, [Segment::Secret { name: "g/url".into(), escape: Escape::Verbatim }]);
        assert_eq!(
            body(&request),
            r#"{"alert_uid":"01890a5d-ac96-774b-bcce-b302099a8057","title":"web is *down*","state":"alerting","message":"a & <b>","link_to_upstream_details":"https://x.example/","level":"error","tags":["web"]}"#
        );
    }

    #[test]
    fn what_says_nothing_has_its_level_for_a_title() {
        let info = notification(Level::Info, " ", items(&["a", "b"]));
        assert_eq!(
            sent(&json!({ "image": "https://x.example/i.png" }), &info),
            json!({
                "alert_uid": info.id, "title": "info", "state": "alerting", "message": "- a\n- b",
                "image_url": "https://x.example/i.png", "level": "info",
            })
        );
    }

    #[test]
    fn an_alert_is_closed_by_the_key_that_opened_it() {
        let mut down = notification(Level::Error, "down", Body::Text("b".into()));
        down.key = Some("disk/é 1".into());
        let mut up = notification(Level::Error, "up", Body::Text("b".into()));
        (up.id, up.resolves) = ("other".into(), Some("disk/é 1".into()));
        let (opened, closed) = (sent(&json!({}), &down), sent(&json!({}), &up));
        assert_eq!((&opened["state"], &closed["state"]), (&json!("alerting"), &json!("ok")));
        assert_eq!((&opened["alert_uid"], &closed["alert_uid"]), (&json!("disk/é 1"), &json!("disk/é 1")));
    }

    #[test]
    fn long_text_is_one_alert() {
        let long = notification(Level::Error, "t", Body::Text("word ".repeat(10_000)));
        assert_eq!(sent(&json!({}), &long)["message"].as_str().map(str::len), Some(49_999));
    }

    #[test]
    fn a_url_is_needed_and_every_success_counts() {
        assert_eq!(problems::<GrafanaOnCall>(json!({})).len(), 1);
        assert_eq!(problems::<GrafanaOnCall>(json!({ "url": "https://x.example/" })).len(), 1);
        let reply = Reply { status: 200, head: Default::default(), body: b"Ok.".to_vec() };
        assert_eq!(Provider::classify(&open::<GrafanaOnCall>(with(&json!({}))), &reply), None);
    }
}
