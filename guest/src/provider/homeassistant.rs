//! Home Assistant, its REST API: <https://developers.home-assistant.io/docs/api/rest/>.
//!
//! Without `service`, a notification is a persistent one
//! (<https://www.home-assistant.io/integrations/persistent_notification/>), which stays until somebody dismisses it,
//! and is written in markdown. It is under the alert's key, or else the notification's id: another one with that
//! key takes its place, and one that resolves it dismisses it. `service` names a notifier instead
//! (<https://www.home-assistant.io/integrations/notify/>), which gets plain text. No limits are documented.
//!
//! Home Assistant can read text as a template of Jinja: what would begin one is broken by a zero-width space, which
//! is not documented to help. Members that a service does not know are refused.
//!
//! It answers 200 and a list of the states that changed, when the service has run or after 10 seconds; 400 to a
//! service that it does not have. It has no idempotency key; a persistent notification is there once however often
//! it comes, a notifier's is not.

use serde_json::{Map, Value, json};

use crate::braces::broken;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::Overflow;
use crate::markup::Text;
use crate::markup::dialect::{COMMONMARK, PLAIN};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::Object;
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{Named, settings};
use crate::settings::{BaseUrl, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the server, with the path that it is served under, if any.
        url: BaseUrl,
        /// A long-lived access token, from the security page of a user's profile.
        token: Secret,
        /// The service that notifies, such as `notify.mobile_app_phone`, of which `notify.` can be left out; a
        /// persistent notification, unless this is set.
        service: Option<String>,
        /// Who gets it, where the service knows several; for `notify.send_message` the ids of entities.
        target: Vec<String>,
        /// More for the service, by name, such as `channel` for the app on a phone.
        data: Named<String>,
        /// A name for the persistent notification, so that there is never more than one; what is resolved takes its
        /// place too, and is not dismissed.
        id: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
    }
}

/// A notifier of Home Assistant.
pub struct HomeAssistant {
    settings: Settings,
    /// Domain and name of the service; `None` for a persistent notification.
    service: Option<(String, String)>,
}

const SEND_MESSAGE: &str = "send_message";

impl Provider for HomeAssistant {
    const NAME: &'static str = "homeassistant";
    const SUMMARY: &'static str = "Home Assistant, a persistent notification or a notifier such as a phone";
    const EXAMPLE: &'static str = "\
- name: home
  provider: homeassistant
  url: http://homeassistant.local:8123
  token: ${HOMEASSISTANT_TOKEN}
- name: home-phone
  provider: homeassistant
  url: http://homeassistant.local:8123
  token: ${HOMEASSISTANT_TOKEN}
  service: notify.mobile_app_phone
  data: { channel: Alarms }
";
    const AUTH: &'static str = "access token";
    const DIALECT: &'static str = "CommonMark, or plain text";
    const URLS: Urls = Urls {
        apprise: &["hassio", "hassios"],
        apprise_form: "hassios://host/token/notify.mobile_app_phone",
        shoutrrr: &[],
        shoutrrr_form: "",
    };

    type Settings = Settings;

    fn check(settings: Settings, _: Overflow, at: &Pointer, problems: &mut Diagnostics) -> Option<Self> {
        let service = match settings.service.as_deref() {
            None | Some("persistent_notification.create") => None,
            Some(service) => {
                let (domain, name) = service.split_once('.').unwrap_or(("notify", service));
                if !is_name(domain) || !is_name(name) {
                    let hint = "write it as `notify.mobile_app_phone`";
                    problems.value(&at.at("service"), "this is no name of a service", hint);
                    return None;
                }
                Some((domain.to_owned(), name.to_owned()))
            }
        };
        let before = problems.len();
        let is_persistent = service.is_none();
        for (name, is_set, is_wanted) in [
            ("target", !settings.target.is_empty(), !is_persistent),
            ("data", !settings.data.is_empty(), !is_persistent),
            ("id", settings.id.is_some(), is_persistent),
        ] {
            if is_set && !is_wanted {
                let (problem, hint) = match is_persistent {
                    true => ("a persistent notification has no such thing", "leave it out, or add `service`"),
                    false => {
                        ("only a persistent notification has it", "leave it out, or leave out `service`")
                    }
                };
                problems.value(&at.at(name), problem, hint);
            }
        }
        if service.as_ref().is_some_and(|(_, name)| name == SEND_MESSAGE) && settings.target.is_empty() {
            let hint = "add the ids of entities, such as `notify.phone`";
            problems.value(&at.at("target"), "`notify.send_message` needs entities", hint);
        }
        (problems.len() == before).then_some(Self { settings, service })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_tls = url.scheme == "hassios";
        let origin = url.origin(is_tls)?;
        let has_port = origin.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let mut base = if is_tls || has_port { origin } else { format!("{origin}:8123") };
        for entry in url.option(&["prefix"]).unwrap_or_default().split('/').filter(|entry| !entry.is_empty())
        {
            base = format!("{base}/{}", crate::settings::path_segment(entry));
        }
        let mut entries = url.rest();
        let token = match url.option(&["accesstoken"]).or(url.option(&["token"])) {
            Some(token) => token,
            None => {
                let at = match entries.iter().position(|entry| is_token(entry)) {
                    Some(at) => at,
                    None if entries.len() == 1 => 0,
                    None => {
                        let hint = "write it as `hassio://host/token/notify.phone`";
                        return Err(wrong("path", "holds no long-lived access token", hint));
                    }
                };
                entries.remove(at)
            }
        };
        let more = url.option(&["to"]).unwrap_or_default();
        for entry in more.split(['/', ' ']).filter(|entry| !entry.is_empty()) {
            match entry.contains(':') {
                true => entries.push(entry.to_owned()),
                false => entries.extend(entry.split(',').map(ToOwned::to_owned)),
            }
        }
        let id = url.option(&["nid"]);
        let target = |entry: Option<&str>| {
            let (service, targets) = match entry.and_then(|entry| entry.split_once(':')) {
                Some((service, targets)) => (Some(service), targets),
                None => (entry, ""),
            };
            let parts = service.map(|service| service.split_once('.').unwrap_or(("notify", service)));
            if parts.is_some_and(|(domain, name)| !is_name(domain) || !is_name(name)) {
                let hint = "write it as `notify.mobile_app_phone`";
                return Err(wrong("path", "holds what is no service", hint));
            }
            let targets: Vec<&str> = targets.split(',').filter(|target| !target.is_empty()).collect();
            Ok(settings([
                ("url", base.as_str().into()),
                ("token", token.as_str().into()),
                ("service", json!(service)),
                ("target", if targets.is_empty() { Value::Null } else { json!(targets) }),
                ("id", if service.is_none() { json!(id) } else { Value::Null }),
            ]))
        };
        match entries.is_empty() {
            true => Ok(vec![target(None)?]),
            false => entries.iter().map(|entry| target(Some(entry))).collect(),
        }
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { target, data, id, .. } = &self.settings;
        let format = occasion.format(self.settings.format);
        let text = Text::of(notification, format).linked(notification.link.as_deref());
        let title = Text::plain(&notification.title);
        let title = if title.is_blank() { String::new() } else { broken(&title.write(&PLAIN)) };
        let Some((domain, name)) = &self.service else {
            let id = id.as_deref().unwrap_or(notification.alert());
            if notification.resolves.is_some() && self.settings.id.is_none() {
                let dismissed = Object::default().with("notification_id", id);
                return Ok(vec![dismissed.into(self.call("persistent_notification", "dismiss"))]);
            }
            let message = Object::default()
                .with("message", broken(&text.write(&COMMONMARK)))
                .with_text("title", &title)
                .with("notification_id", id);
            return Ok(vec![message.into(self.call("persistent_notification", "create"))]);
        };
        let receivers = if target.is_empty() { Value::Null } else { json!(target) };
        let place = if name == SEND_MESSAGE { "entity_id" } else { "target" };
        let message = Object::default()
            .with("message", broken(&text.write(&PLAIN)))
            .with_text("title", &title)
            .with(place, receivers)
            .with("data", if data.is_empty() { Value::Null } else { data.into() });
        Ok(vec![message.into(self.call(domain, name))])
    }

    /// A success is a list of states. A service that is busy longer than Home Assistant waits is one too.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        let is_list = || serde_json::from_slice::<Value>(&reply.body).is_ok_and(|body| body.is_array());
        ((200..300).contains(&reply.status) && !is_list()).then_some(Class::Ambiguous)
    }
}

impl HomeAssistant {
    fn call(&self, domain: &str, name: &str) -> Request {
        let url: Vec<Segment> = self.settings.url.join(&format!("api/services/{domain}/{name}"));
        Request::post(url).header("authorization", self.settings.token.bearer())
    }
}

/// Whether a text can be the name of a domain or of a service.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether a text has the form of a long-lived access token, or of one before those.
fn is_token(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_part = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    parts.iter().all(is_part) && (parts.len() == 3 || lengths == [8, 64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{fields, items, notification};
    use crate::notification::{Body, Level};
    use crate::provider::tests::{body, header, open, problems, request, targets_of, wrong_part};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "url": "http://ha.example:8123/", "token": { "$secret": "h/token" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn a_persistent_notification_is_markdown_under_its_key() {
        let mut down = notification(Level::Error, "Down *1*", fields(&[("Service", "*web*")]));
        down.link = Some("https://x.example/".into());
        let created = request(&open::<HomeAssistant>(with(&json!({}))), &down);
        let url = "http://ha.example:8123/api/services/persistent_notification/create";
        assert_eq!(created.url, [Segment::from(url)]);
        assert_eq!(header(&created, "authorization").unwrap()[0], Segment::from("Bearer "));
        assert_eq!(
            body(&created),
            r#####"{"message":"#### Service\n\\*web\\*\n\n<https://x.example/>","title":"Down *1*","notification_id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#####
        );
        down.key = Some("disk/web".into());
        let keyed = request(&open::<HomeAssistant>(with(&json!({}))), &down);
        assert!(body(&keyed).ends_with(r#""notification_id":"disk/web"}"#));
        let named = request(&open::<HomeAssistant>(with(&json!({ "id": "nuncio" }))), &down);
        assert!(body(&named).ends_with(r#""notification_id":"nuncio"}"#));
    }

    #[test]
    fn what_is_resolved_is_dismissed() {
        let mut up = notification(Level::Info, "Up", items(&[]));
        up.resolves = Some("disk/web".into());
        let dismissed = request(&open::<HomeAssistant>(with(&json!({}))), &up);
        let url = "http://ha.example:8123/api/services/persistent_notification/dismiss";
        assert_eq!(dismissed.url, [Segment::from(url)]);
        assert_eq!(body(&dismissed), r#"{"notification_id":"disk/web"}"#);
        let kept = request(&open::<HomeAssistant>(with(&json!({ "id": "nuncio" }))), &up);
        assert_eq!(body(&kept), r#"{"message":"Up","title":"Up","notification_id":"nuncio"}"#);
        let told = request(&open::<HomeAssistant>(with(&json!({ "service": "phone" }))), &up);
        assert_eq!(told.url, [Segment::from("http://ha.example:8123/api/services/notify/phone")]);
        assert_eq!(body(&told), r#"{"message":"Up","title":"Up"}"#);
    }

    #[test]
    fn a_notifier_gets_plain_text() {
        let sent = |settings: Value, text: &str| {
            let text = notification(Level::Info, "", Body::Text(text.into()));
            let request = request(&open::<HomeAssistant>(with(&settings)), &text);
            (request.url.clone(), body(&request))
        };
        let settings =
            json!({ "service": "notify.mobile_app_x", "target": ["a", "b"], "data": { "channel": "c" } });
        let (url, body) = sent(settings, "**a** [b](https://x.example/)");
        assert_eq!(url, [Segment::from("http://ha.example:8123/api/services/notify/mobile_app_x")]);
        assert_eq!(
            body,
            r#"{"message":"a b (https://x.example/)","target":["a","b"],"data":{"channel":"c"}}"#
        );
        let settings =
            json!({ "service": "notify.send_message", "target": ["notify.phone"], "format": "plain" });
        let (_, body) = sent(settings, "**a**");
        assert_eq!(body, r#"{"message":"**a**","entity_id":["notify.phone"]}"#);
    }

    #[test]
    fn nothing_is_read_as_a_template() {
        for settings in [json!({}), json!({ "service": "phone" })] {
            let evil =
                notification(Level::Info, "{{ states('x') }}", Body::Text("{% for %} {#{{ a }}".into()));
            let sent = body(&request(&open::<HomeAssistant>(with(&settings)), &evil));
            assert!(["{{", "{%", "{#"].iter().all(|start| !sent.contains(start)), "{sent}");
            assert!(sent.contains("{\u{200b}{ states('x') }}"), "{sent}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (settings, at) in [
            (json!({ "service": "notify/../x" }), "/service"),
            (json!({ "service": "notify." }), "/service"),
            (json!({ "service": "Phone" }), "/service"),
            (json!({ "target": ["a"] }), "/target"),
            (json!({ "data": { "a": "b" } }), "/data"),
            (json!({ "service": "phone", "id": "x" }), "/id"),
            (json!({ "service": "notify.send_message" }), "/target"),
            (json!({ "url": "ha.example" }), "/url"),
        ] {
            let found = problems::<HomeAssistant>(with(&settings));
            assert!(found.len() == 1 && found[0].starts_with(&format!("{at}: ")), "{found:?}");
        }
        let named = json!({ "service": "persistent_notification.create", "id": "x" });
        assert_eq!(problems::<HomeAssistant>(with(&named)), [""; 0]);
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<HomeAssistant>(with(&json!({})));
        for (status, body, class) in [
            (200, "[]", None),
            (201, r#"[{"entity_id":"x"}]"#, None),
            (200, "<html>", Some(Class::Ambiguous)),
            (200, r#"{"message":"ok"}"#, Some(Class::Ambiguous)),
            (400, r#"{"message":"Service not found."}"#, None),
            (401, "401: Unauthorized", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }

    #[test]
    fn urls_of_apprise_are_read() {
        let (jwt, old) = ("ey-J0.ey_J1.s1-g", format!("{}.{}", "a1".repeat(4), "b2".repeat(32)));
        for (url, expected) in [
            ("hassio://ha.example/tok", json!([{ "url": "http://ha.example:8123", "token": "tok" }])),
            (
                "hassios://ha.example:444/J?nid=nuncio",
                json!([{ "url": "https://ha.example:444", "token": jwt, "id": "nuncio" }]),
            ),
            (
                "hassios://ha.example/J/mobile_app_x/notify.tv:a,b",
                json!([
                    { "url": "https://ha.example", "token": jwt, "service": "mobile_app_x" },
                    { "url": "https://ha.example", "token": jwt, "service": "notify.tv", "target": ["a", "b"] },
                ]),
            ),
            (
                "hassio://[::1]/O/script%2Enotify?prefix=/ha%20x/",
                json!([{ "url": "http://[::1]:8123/ha%20x", "token": old, "service": "script.notify" }]),
            ),
            (
                "hassio://ha.example:80/phone?token=J&to=tv/notify.pad:c%20lamp,desk",
                json!([
                    { "url": "http://ha.example:80", "token": jwt, "service": "phone" },
                    { "url": "http://ha.example:80", "token": jwt, "service": "tv" },
                    { "url": "http://ha.example:80", "token": jwt, "service": "notify.pad", "target": ["c"] },
                    { "url": "http://ha.example:80", "token": jwt, "service": "lamp" },
                    { "url": "http://ha.example:80", "token": jwt, "service": "desk" },
                ]),
            ),
            (
                "hassio://ha.example/J?batch=yes",
                json!([{ "url": "http://ha.example:8123", "token": jwt, "left out": ["?batch: there is no such setting here"] }]),
            ),
            (
                "hassio://ann:pw@ha.example/J",
                json!([{ "url": "http://ha.example:8123", "token": jwt, "left out": [
                    "user: this kind of URL has no use for it",
                    "password: this kind of URL has no use for it",
                ] }]),
            ),
        ] {
            let url = url.replace("/J", &format!("/{jwt}")).replace("=J", &format!("={jwt}"));
            let url = url.replace("/O", &format!("/{old}"));
            assert_eq!(json!(targets_of::<HomeAssistant>(&url, None)), expected, "{url}");
        }
        for (url, part) in [
            ("hassio:///tok", "host"),
            ("hassio://ha.example", "path"),
            ("hassio://ha.example/ha/tok", "path"),
            ("hassio://ha.example:x/tok", "port"),
            ("hassio://ha.example/x?token=t&to=Phone%20X", "path"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }
}
