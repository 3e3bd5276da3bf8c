//! Pushover: <https://pushover.net/api>.
//!
//! A message has at most 1024 characters, a title 250, a URL 512. Text is HTML of few tags
//! (<https://pushover.net/api#html>); whether tags count is not documented, so they do. That a line break in it
//! is one is not documented either. Priorities are −2 to 2; 2 is repeated until somebody confirms it.
//!
//! Pushover answers `"status": 1`, or 4xx to what will never do; a 429 is the month's quota. It has no
//! idempotency key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::duration::DurationMs;
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{PLAIN, PUSHOVER};
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Form, each};
use crate::provider::{Occasion, Provider};
use crate::request::Request;
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, number_or_word, settings};
use crate::settings::declare::{Within, settings};
use crate::settings::{PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The token of the application that messages come from.
        token: Secret,
        /// The key of the user or group that gets them.
        user: Secret,
        /// The names of devices, separated by commas: all, unless this is set.
        device: Option<String>,
        /// The name of a sound.
        sound: Option<String>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The priority from -2 to 2, for all levels or by level; of others: fatal and error 1, warn and info 0,
        /// debug -1, trace -2.
        priority: Option<PerLevel<Priority>>,
        /// How often a message of priority 2 is repeated: 1m; at least 30s.
        repeat: Option<DurationMs>,
        /// For how long: 1h; at most 3h.
        expire: Option<DurationMs>,
    }
}

/// A priority.
type Priority = Within<-2, 2>;

/// A user of Pushover.
pub struct Pushover {
    settings: Settings,
    priority: PerLevel<Priority>,
    repeat: u64,
    expire: u64,
    overflow: Overflow,
}

const TITLE: Limit = Limit::characters(250);
const MESSAGE: Limit = Limit::characters(1024);
const URL: Limit = Limit::characters(512);

const ANSWER: Answer = Answer { at: "/status", success: "1", reason: "/status", meanings: &[] };

impl Provider for Pushover {
    const NAME: &'static str = "pushover";
    const SUMMARY: &'static str = "Pushover, to a user or a group";
    const EXAMPLE: &'static str = "\
- name: pushover
  provider: pushover
  token: ${PUSHOVER_TOKEN}
  user: ${PUSHOVER_USER}
";
    const AUTH: &'static str = "token and user key";
    const DIALECT: &'static str = "HTML of few tags";
    const URLS: Urls = Urls {
        apprise: &["pover"],
        apprise_form: "pover://user@token/device",
        shoutrrr: &["pushover"],
        shoutrrr_form: "pushover://shoutrrr:token@user/?devices=phone",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.pushover.net"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("title", &["/title"], TITLE),
        Bound::text("text", &["/message"], MESSAGE),
        Bound::text("link", &["/url"], URL),
    ];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        let seconds = |time: Option<DurationMs>, default| time.map_or(default, |time| time.0.div_ceil(1000));
        let (repeat, expire) = (seconds(settings.repeat, 60), seconds(settings.expire, 3600));
        if repeat < 30 {
            problems.value(&at.at("repeat"), "this is too often for Pushover", "allowed is from 30s");
        }
        if expire > 10_800 {
            problems.value(&at.at("expire"), "this is too long for Pushover", "allowed is up to 3h");
        }
        let defaults = PerLevel::from_fn(default_priority);
        let priority =
            settings.priority.clone().map_or(defaults.clone(), |priority| priority.over(&defaults));
        (problems.len() == before).then_some(Self { settings, priority, repeat, expire, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (user, token, mut devices) = match url.dialect {
            UrlDialect::Apprise => {
                let user = url.required_user("the user's key")?;
                (user, url.take_host("the application's token")?, url.rest())
            }
            UrlDialect::Shoutrrr => {
                url.user();
                let token = url.required_password("the application's token")?;
                (url.take_host("the user's key")?, token, url.list(&["devices"]))
            }
        };
        if url.is(UrlDialect::Apprise) {
            devices.extend(url.list(&["to"]));
        }
        let priority = match url.option(&["priority"]) {
            None => Value::Null,
            Some(text) => url_priority(&text)?,
        };
        let seconds = |text: Option<String>| text.map(|seconds| format!("{seconds}s"));
        let repeat = if url.is(UrlDialect::Apprise) { "interval" } else { "retry" };
        let (sound, repeat, expire) =
            (url.option(&["sound"]), seconds(url.option(&[repeat])), seconds(url.option(&["expire"])));
        // In Apprise's URLs, what begins with `#` is the key of a group, which gets the message in the user's place.
        let is_group = |device: &String| url.is(UrlDialect::Apprise) && device.starts_with('#');
        let (groups, devices): (Vec<String>, Vec<String>) = devices.into_iter().partition(is_group);
        let target = |user: &str, devices: &[String]| {
            settings([
                ("token", token.as_str().into()),
                ("user", user.into()),
                ("device", devices.join(",").into()),
                ("sound", json!(sound)),
                ("priority", priority.clone()),
                ("repeat", json!(repeat)),
                ("expire", json!(expire)),
            ])
        };
        let is_to_user = groups.is_empty() || !devices.is_empty();
        let to_user = is_to_user.then(|| target(&user, &devices));
        let to_groups = groups.iter().map(|group| target(group.trim_start_matches('#'), &[]));
        Ok(to_user.into_iter().chain(to_groups).collect())
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { token, user, device, sound, .. } = &self.settings;
        let format = occasion.format(self.settings.format);
        let title = Text::plain(&notification.title).fit(&PLAIN, self.overflow.limit(TITLE));
        let Within(priority) = self.priority.get(notification.level);
        let link = notification.link.as_deref().filter(|link| self.overflow.limit(URL).fits(link));
        let request = |message: String| {
            let mut form = Form::default()
                .with_secret("token", token)
                .with_secret("user", user)
                .with_text("title", &title)
                .with("message", &message)
                .with("priority", &priority.to_string())
                .with_text("url", link.unwrap_or_default())
                .with_text("device", device.as_deref().unwrap_or_default())
                .with_text("sound", sound.as_deref().unwrap_or_default());
            if format == Format::Markdown {
                form = form.with("html", "1");
            }
            if priority == 2 {
                form = form.with("retry", &self.repeat.to_string()).with("expire", &self.expire.to_string());
            }
            form.into(Request::post(vec!["https://api.pushover.net/1/messages.json".into()]))
        };
        let text = Text::of(notification, format);
        Ok(each(text.parts(format.of(&PUSHOVER), MESSAGE, self.overflow), &request))
    }

    /// A token or a user that is wrong is named in the body, with status 400.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let is_wrong =
            |name: &str| body.as_ref().and_then(|body| body.get(name)).is_some_and(|said| said == "invalid");
        if reply.status == 400 && (is_wrong("token") || is_wrong("user")) {
            return Some(Class::Credentials);
        }
        ANSWER.classify(reply)
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

/// A number, or Apprise's word for one.
fn url_priority(text: &str) -> Result<Value, UrlProblem> {
    let words = [("lowest", -2), ("low", -2), ("moderate", -1), ("normal", 0), ("high", 1), ("emergency", 2)];
    number_or_word(text, "?priority", &words, -2..=2)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::notification::Body;
    use crate::notification::tests::{items, notification};
    use crate::provider::tests::{open, problems, request, requests, target_of, targets_of, wrong_part};
    use crate::request::{Escape, Segment};

    fn with(more: &Value) -> Value {
        let mut settings = json!({ "token": { "$secret": "p/token" }, "user": { "$secret": "p/user" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }

    fn last(request: &Request) -> &Segment {
        request.body.last().unwrap()
    }

    #[test]
    fn a_message_is_a_form_with_two_secrets() {
        let mut down = notification(Level::Error, "a & b", Body::Text("**x** <y>".into()));
        down.link = Some("https://x.example/".into());
        let request =
            request(&open::<Pushover>(with(&json!({ "sound": "siren", "device": "phone" }))), &down);
        let secret = |name: &str| Segment::Secret { name: name.into(), escape: Escape::Percent };
        assert_eq!(
            request.body,
            [
                "token=".into(),
                secret("p/token"),
                "&user=".into(),
                secret("p/user"),
                "&title=a+%26+b&message=%3Cb%3Ex%3C%2Fb%3E+%26lt%3By%26gt%3B&priority=1&url=https%3A%2F%2Fx.example%2F&device=phone&sound=siren&html=1".into()
            ]
        );
    }

    #[test]
    fn the_highest_priority_is_repeated() {
        let settings =
            json!({ "priority": { "warn": 2 }, "repeat": "30s", "expire": "2h", "format": "plain" });
        let loud = request(&open::<Pushover>(with(&settings)), &notification(Level::Warn, "", items(&["a"])));
        assert_eq!(last(&loud), &"&message=a&priority=2&retry=30&expire=7200".into());
        assert_eq!(problems::<Pushover>(with(&settings)), [""; 0]);
        for (wrong, at) in [
            (json!({ "repeat": "29s" }), "/repeat"),
            (json!({ "expire": "4h" }), "/expire"),
            (json!({ "priority": 3 }), "/priority"),
        ] {
            let found = problems::<Pushover>(with(&wrong));
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        }
    }

    #[test]
    fn long_text_is_several_messages_with_one_title() {
        let long = notification(Level::Info, "t", Body::Text("word ".repeat(300)));
        let sent = requests(&open::<Pushover>(with(&json!({}))), &long);
        assert_eq!(sent.len(), 2);
        let start = |request: &Request| matches!(last(request), Segment::Text(text) if text.starts_with("&title=t&message="));
        assert!(sent.iter().all(start));
    }

    #[test]
    fn urls_of_both_dialects_are_read() {
        let (user, token) = ("u".repeat(30), "t".repeat(30));
        let with = |more: &Value| {
            let mut settings = json!({ "token": token, "user": user });
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            settings
        };
        for (url, more) in [
            ("pover://U@T", json!({})),
            ("pover://U@T/phone", json!({ "device": "phone" })),
            ("pover://U@T/phone/my%20pad", json!({ "device": "phone,my pad" })),
            (
                "pover://U@T?priority=emergency&interval=60&expire=600",
                json!({ "priority": 2, "repeat": "60s", "expire": "600s" }),
            ),
            ("pover://U@T/?sound=siren&format=text", json!({ "sound": "siren", "format": "plain" })),
            (
                "pover://U@T?verify=no",
                json!({ "left out": ["?verify: certificates are always verified; `tls` names your own authority"] }),
            ),
            ("pushover://shoutrrr:T@U", json!({})),
            (
                "pushover://shoutrrr:T@U/?devices=phone,pad&priority=1",
                json!({ "device": "phone,pad", "priority": 1 }),
            ),
        ] {
            let url = url.replace('U', &user).replace('T', &token);
            assert_eq!(target_of::<Pushover>(&url), with(&more), "{url}");
        }
        let group = "g".repeat(30);
        let url = format!("pover://{user}@{token}/phone/%23{group}");
        let to_group = with(&json!({ "user": group }));
        assert_eq!(
            targets_of::<Pushover>(&url, None),
            [with(&json!({ "device": "phone" })), to_group.clone()]
        );
        assert_eq!(target_of::<Pushover>(&format!("pover://{user}@{token}/#{group}")), to_group);
        for (url, part) in [
            ("pover://token", "user"),
            ("pover://user@", "host"),
            ("pushover://shoutrrr@user", "password"),
            ("pover://user@token?priority=7", "?priority"),
            ("pover://user@token?priority=loud", "?priority"),
        ] {
            assert_eq!(wrong_part(url), part, "{url}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let target = open::<Pushover>(with(&json!({})));
        for (status, body, class) in [
            (200, r#"{"status":1,"request":"x"}"#, Some(Class::Delivered)),
            (200, r#"{"status":0}"#, Some(Class::Permanent)),
            (400, r#"{"token":"invalid","status":0}"#, Some(Class::Credentials)),
            (400, r#"{"user":"invalid","status":0}"#, Some(Class::Credentials)),
            (400, r#"{"message":"cannot be blank","status":0}"#, None),
            (429, r#"{"status":0}"#, None),
        ] {
            let reply = Reply { status, head: Default::default(), body: body.into() };
            assert_eq!(Provider::classify(&target, &reply), class, "{body}");
        }
    }
}
