//! Join, by its API: <https://joaoapps.com/join/api/>.
//!
//! Everything is in the query of the URL, the API key too. A title makes a push a notification, and without one
//! its text is a command: so every push has a title, the level's name where the notification has none. A limit
//! is not documented: a text is held to the 1000 characters of Apprise, and a title to its 250, because a URL is
//! not endless. Text is plain.
//!
//! What Join answers is not documented: where its body says `"success": false`, it has refused the push, and
//! with `"userAuthError": true` the key. It has no idempotency key.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::PLAIN;
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::each;
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, number_or_word, settings, wrong};
use crate::settings::declare::{Within, settings};
use crate::settings::{PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The API key, as Join's page shows it behind "Join API".
        key: Secret,
        /// The id of a device, those of several separated by commas, or a group such as `group.phone`: all
        /// devices, unless this or `device_names` is set.
        device: Option<String>,
        /// The names of devices, or parts of them, separated by commas; in the place of `device`.
        device_names: Option<String>,
        /// The URL of an icon.
        icon: Option<String>,
        /// The priority from -2 to 2, for all levels or by level; of others: fatal and error 2, warn 1, info 0,
        /// debug -1, trace -2.
        priority: Option<PerLevel<Priority>>,
    }
}

/// A priority.
type Priority = Within<-2, 2>;

/// Devices that Join pushes to.
pub struct Join {
    settings: Settings,
    priority: PerLevel<Priority>,
    overflow: Overflow,
}

const TITLE: Limit = Limit::characters(250);
const TEXT: Limit = Limit::characters(1000);

/// The group of all devices.
const ALL: &str = "group.all";

const GROUPS: [&str; 7] = ["all", "android", "chrome", "windows10", "phone", "tablet", "pc"];

impl Provider for Join {
    const NAME: &'static str = "join";
    const SUMMARY: &'static str = "Join, to devices or groups of them";
    const EXAMPLE: &'static str = "\
- name: join
  provider: join
  key: ${JOIN_KEY}
  device: group.phone
- name: join-by-name
  provider: join
  key: ${JOIN_KEY}
  device_names: Nexus,PC
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["join"],
        apprise_form: "join://key/device/group.phone",
        shoutrrr: &["join"],
        shoutrrr_form: "join://shoutrrr:key@join/?devices=id1,id2",
    };
    const ORIGINS: &'static [&'static str] = &["https://joinjoaomgcd.appspot.com"];
    const LIMITS: &'static [Bound] =
        &[Bound::text("title", &["/title"], TITLE), Bound::text("text", &["/text"], TEXT)];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        if settings.device.is_some() && settings.device_names.is_some() {
            let hint = "keep one of the two, and make the other a target of its own";
            problems.value(&at.at("device_names"), "both `device` and `device_names` are set", hint);
            return None;
        }
        let defaults = PerLevel::from_fn(default_priority);
        let priority =
            settings.priority.clone().map_or(defaults.clone(), |priority| priority.over(&defaults));
        Some(Self { settings, priority, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (key, receivers) = match url.dialect {
            UrlDialect::Apprise => {
                // Where something stands before an `@`, that is the key, and the host a receiver.
                let (user, host) = (url.user(), url.take_host("the API key")?);
                let (key, first) = match user {
                    Some(key) => (key, Some(host)),
                    None => (host, None),
                };
                let mut receivers: Vec<String> = first.into_iter().chain(url.rest()).collect();
                receivers.extend(url.list(&["to"]));
                (key, receivers)
            }
            UrlDialect::Shoutrrr => {
                url.user();
                url.take_host("the word `join`")?;
                let key = url.required_password("the API key")?;
                let devices = url.list(&["devices"]);
                if devices.is_empty() {
                    return Err(wrong("?devices", "is missing: ids of devices belong there", ""));
                }
                (key, devices)
            }
        };
        let priority = match url.option(&["priority"]) {
            None => Value::Null,
            Some(text) => {
                let words = [("low", -2), ("moderate", -1), ("normal", 0), ("high", 1), ("emergency", 2)];
                number_or_word(&text, "?priority", &words, -2..=2)?
            }
        };
        let icon = url.option(&["icon"]);
        let (mut groups, mut ids, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for receiver in receivers {
            match group(&receiver) {
                Some(group) => groups.push(group),
                None if url.is(UrlDialect::Shoutrrr) || is_id(&receiver) => ids.push(receiver),
                None => names.push(receiver),
            }
        }
        let all = (groups.is_empty() && ids.is_empty() && names.is_empty()).then(String::new);
        let ids = Some(ids.join(",")).filter(|ids| !ids.is_empty());
        let names = Some(names.join(",")).filter(|names| !names.is_empty());
        let target = |(device, names): (String, String)| {
            settings([
                ("key", key.as_str().into()),
                ("device", device.into()),
                ("device_names", names.into()),
                ("icon", json!(icon)),
                ("priority", priority.clone()),
            ])
        };
        let by_device = groups.into_iter().chain(ids).chain(all).map(|device| (device, String::new()));
        let by_name = names.into_iter().map(|names| (String::new(), names));
        Ok(by_device.chain(by_name).map(target).collect())
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        url.has_password()
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, device, device_names, icon, .. } = &self.settings;
        let title = Text::plain(&notification.title);
        let title = if title.is_blank() { Text::plain(notification.level.name()) } else { title };
        let title = title.fit(&PLAIN, self.overflow.limit(TITLE));
        let Within(priority) = self.priority.get(notification.level);
        let (receiver, whom) = match (device_names, device.as_deref().unwrap_or(ALL)) {
            (Some(names), _) => ("deviceNames", names.as_str()),
            (None, ids) if ids.contains(',') => ("deviceIds", ids),
            (None, id) => ("deviceId", id),
        };
        let request = |text: String| {
            let url = "https://joinjoaomgcd.appspot.com/_ah/api/messaging/v1/sendPush?apikey=";
            let mut request = Request::post(vec![url.into(), key.segment(Escape::Percent)]);
            let query = [
                (receiver, whom.to_owned()),
                ("title", title.clone()),
                ("text", text),
                ("priority", priority.to_string()),
                ("url", notification.link.clone().unwrap_or_default()),
                ("icon", icon.clone().unwrap_or_default()),
            ];
            let query = query.into_iter().filter(|(_, value)| !value.is_empty());
            request.query.extend(query.map(|(name, value)| (name.to_owned(), value)));
            request
        };
        let parts = Text::of(notification, Format::Markdown).parts(&PLAIN, TEXT, self.overflow);
        Ok(each(parts, &request))
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Value = serde_json::from_slice(&reply.body).ok()?;
        let is = |name: &str, expected: bool| body.get(name).is_some_and(|said| said == expected);
        match (reply.status, is("success", false)) {
            _ if is("userAuthError", true) => Some(Class::Credentials),
            (200..=299, true) => Some(Class::Permanent),
            _ => None,
        }
    }
}

/// The group that a receiver of Apprise's is, with or without `group.` in front.
fn group(receiver: &str) -> Option<String> {
    let receiver = receiver.to_ascii_lowercase();
    let name = receiver.strip_prefix("group.").unwrap_or(&receiver);
    GROUPS.contains(&name).then(|| format!("group.{name}"))
}

/// Whether a receiver of Apprise's is the id of a device, and not a name.
fn is_id(receiver: &str) -> bool {
    receiver.len() == 32 && receiver.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn default_priority(level: Level) -> Priority {
    Within(match level {
        Level::Trace => -2,
        Level::Debug => -1,
        Level::Info => 0,
        Level::Warn => 1,
        Level::Error | Level::Fatal => 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{open, problems, request, requests, target_of, targets_of, wrong_part};
    use crate::request::Segment;

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "key": { "$secret": "j/key" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn query(request: &Request) -> Vec<(&str, &str)> {
        request.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn a_push_is_a_query_and_the_key_a_secret_in_the_url() {
        let mut down = notification(Level::Error, "a & b", Body::Text("**x** <y>".into()));
        down.link = Some("https://x.example/".into());
        let request = request(&open::<Join>(with(&json!({ "icon": "https://x.example/i.png" }))), &down);
        let key = Segment::Secret { name: "j/key".into(), escape: Escape::Percent };
        assert_eq!(
            request.url,
            ["https://joinjoaomgcd.appspot.com/_ah/api/messaging/v1/sendPush?apikey=".into(), key]
        );
        assert_eq!((request.method.name(), request.body.len(), request.head.headers().len()), ("POST", 0, 0));
        assert_eq!(
            query(&request),
            [
                ("deviceId", "group.all"),
                ("title", "a & b"),
                ("text", "x <y>"),
                ("priority", "2"),
                ("url", "https://x.example/"),
                ("icon", "https://x.example/i.png"),
            ]
        );
    }

    #[test]
    fn a_push_always_has_a_title_and_goes_where_it_should() {
        let silent = notification(Level::Warn, " ", items(&["a"]));
        for (settings, first) in [
            (json!({ "device": "d1", "priority": { "warn": -1 } }), ("deviceId", "d1")),
            (json!({ "device": "d1,d2", "priority": -1 }), ("deviceIds", "d1,d2")),
            (json!({ "device_names": "PC,Nexus", "priority": -1 }), ("deviceNames", "PC,Nexus")),
        ] {
            let request = request(&open::<Join>(with(&settings)), &silent);
            assert_eq!(query(&request), [first, ("title", "warn"), ("text", "- a"), ("priority", "-1")]);
        }
        let both = problems::<Join>(with(&json!({ "device": "d1", "device_names": "PC" })));
        assert!(both.len() == 1 && both[0].starts_with("/device_names: both"), "{both:?}");
        assert!(problems::<Join>(with(&json!({ "priority": 3 })))[0].starts_with("/priority"));
    }

    #[test]
    fn long_text_is_several_pushes_with_one_title() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(300)));
        let sent = requests(&open::<Join>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|request| query(request)[1] == ("title", "t")));
        assert!(query(&sent[1])[2].1.starts_with("2/2\nword"));
        for (title, text, count) in [(250, 1000, 1), (251, 1001, 2)] {
            let exact = notification(Level::Info, &"é".repeat(title), Body::Text("é".repeat(text)));
            let sent = requests(&open::<Join>(with(&json!({}))), &exact);
            assert_eq!((sent.len(), query(&sent[0])[1].1.ends_with('…')), (count, count == 2));
        }
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let key = "k".repeat(32);
        let id = "d".repeat(32);
        let with = |more: Value| {
            let mut settings = json!({ "key": key });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("join://KEY", json!({})),
            ("join://KEY/group.Phone", json!({ "device": "group.phone" })),
            ("join://KEY/pc/?priority=high", json!({ "device": "group.pc", "priority": 1 })),
            ("join://KEY/my%20caf%C3%A9/pc-2?to=Nexus", json!({ "device_names": "my café,pc-2,Nexus" })),
            ("join://KEY@ID", json!({ "device": id })),
            (
                "join://KEY/ID/?image=no&format=text",
                json!({ "device": id, "left out": ["?image: there is no such setting here"] }),
            ),
            ("join://shoutrrr:KEY@join/?devices=ID", json!({ "device": id })),
            ("join://Token:KEY@join?devices=d1,d2", json!({ "device": "d1,d2" })),
            (
                "join://shoutrrr:KEY@join/?devices=d1&icon=https://x.example/i.png",
                json!({ "device": "d1", "icon": "https://x.example/i.png" }),
            ),
            ("join://shoutrrr:KEY@join/?devices=group.all", json!({ "device": "group.all" })),
            (
                "join://shoutrrr:KEY@join/?Devices=d1&title=t",
                json!({ "device": "d1", "left out": ["?title: there is no such setting here"] }),
            ),
        ] {
            let url = url.replace("KEY", &key).replace("ID", &id);
            assert_eq!(target_of::<Join>(&url), with(more), "{url}");
        }
        let several = targets_of::<Join>(&format!("join://{key}/all/{id}/Nexus"), None);
        let receivers =
            [json!({ "device": "group.all" }), json!({ "device": id }), json!({ "device_names": "Nexus" })];
        assert_eq!(several, receivers.map(with));
        for (url, part) in [
            ("join://", "host"),
            ("join://key/pc?priority=loud", "?priority"),
            ("join://shoutrrr:key@join/", "?devices"),
            ("join://shoutrrr:key@/?devices=d1", "host"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Join>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"success":true,"userAuthError":false}"#, None),
            (200, r#"{"success":false,"errorMessage":"no such device"}"#, Some(Class::Permanent)),
            (200, r#"{"success":false,"userAuthError":true}"#, Some(Class::Credentials)),
            (400, r#"{"success":false,"userAuthError":true}"#, Some(Class::Credentials)),
            (503, r#"{"success":false}"#, None),
            (200, "", None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{status} {body}");
        }
    }
}
