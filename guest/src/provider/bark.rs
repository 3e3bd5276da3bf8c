//! Bark, for iPhones, of its maker or self-hosted:
//! <https://github.com/Finb/Bark/blob/master/docs/en-us/tutorial.md>.
//!
//! Text is markdown of few marks, which old servers do not know, or by `format: plain` plain text. Apple takes a
//! notification of 4096 bytes, which Bark's documentation does not mention; what a server adds is about 200, so that
//! a request here has at most 3800, and a title 100 characters. A link that is longer than 1024 bytes is left out.
//!
//! The notification's id is Bark's, by which an app (1.5.2) and a server (2.2.5) put a repetition in the place of the
//! first; older ones do not, so that nothing here relies on it. Apple takes an id of 64 bytes; a longer one is left
//! out. The answer is `"code": 200`, which is the status too; 400 names a device that the server does not know. How
//! long to wait is not documented.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::{COMMONMARK, PLAIN};
use crate::notification::{Format, Level, Notification};
use crate::outcome::{Class, Reply};
use crate::payload::{Object, each, json_length};
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, number_or_word, settings, wrong};
use crate::settings::declare::{Within, choices, settings};
use crate::settings::{BaseUrl, PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The device's key, which the app shows in the URLs of its examples.
        key: Secret,
        /// The URL of a server of your own.
        url: Option<BaseUrl>,
        /// The user of a server that asks for one.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// How running text is read: as markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// How much notifications interrupt, for all levels or by level: critical, which rings in silent mode too,
        /// timeSensitive, active or passive; of others: fatal and error timeSensitive, warn and info active, debug and
        /// trace passive.
        level: Option<PerLevel<Interruption>>,
        /// How loud critical ones are, from 0 to 10.
        volume: Option<Within<0, 10>>,
        /// The name of a sound.
        sound: Option<String>,
        /// Whether the sound is repeated for half a minute.
        call: bool = false,
        /// The URL of an icon.
        icon: Option<String>,
        /// The group that notifications are shown in.
        group: Option<String>,
        /// A line below the title.
        subtitle: Option<String>,
        /// The number at the app's icon.
        badge: Option<u64>,
        /// What opens on a tap where a notification has no link.
        link: Option<String>,
        /// What is copied instead of the text.
        copy: Option<String>,
        /// What a tap does where there is nothing to open: alert, or none.
        action: Option<Action>,
        /// Whether the app keeps notifications: as it is set up, unless this says so.
        archive: Option<bool>,
        /// For how many seconds the app keeps them.
        ttl: Option<u64>,
        /// A category, of which Bark makes no use yet.
        category: Option<String>,
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Interruption {
        Critical = "critical",
        TimeSensitive = "timeSensitive",
        Active = "active",
        Passive = "passive",
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Action {
        Alert = "alert",
        None = "none",
    }
}

/// A device with Bark.
pub struct Bark {
    url: Vec<Segment>,
    authorization: Option<Vec<Segment>>,
    level: PerLevel<Interruption>,
    settings: Settings,
    overflow: Overflow,
}

const TITLE: Limit = Limit::characters(100);
const LINK: Limit = Limit::bytes(1024);
const ID: Limit = Limit::bytes(64);
const REQUEST: Limit = Limit::bytes(3800);

/// Room for the device's key.
const KEY: usize = 64;

/// How long the texts among the settings may be together, as JSON, so that there is room for a notification's.
const SETTINGS: usize = 1600;

const ANSWER: Answer = Answer { at: "/code", success: "200", reason: "/code", meanings: &[] };

impl Provider for Bark {
    const NAME: &'static str = "bark";
    const SUMMARY: &'static str = "Bark, for iPhones";
    const EXAMPLE: &'static str = "\
- name: bark
  provider: bark
  key: ${BARK_KEY}
- name: bark-own
  provider: bark
  url: https://bark.example.com
  user: me
  password: ${BARK_PASSWORD}
  key: ${BARK_OWN_KEY}
  group: servers
  level: { fatal: critical }
";
    const AUTH: &'static str = "device key, and user and password";
    const DIALECT: &'static str = "markdown of few marks";
    const URLS: Urls = Urls {
        apprise: &["bark", "barks"],
        apprise_form: "barks://user:password@host/key?level=critical",
        shoutrrr: &["bark"],
        shoutrrr_form: "bark://:key@host?sound=alarm",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.day.app"];
    const LIMITS: &'static [Bound] = &[
        Bound::text("title", &["/title"], TITLE),
        Bound::text("link", &["/url"], LINK),
        Bound::text("id", &["/id"], ID),
        Bound::body("request", REQUEST),
    ];

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        let (user, password) = (settings.user.as_deref(), settings.password.as_ref());
        let authorization = authorization::value(None, user, password, at, problems);
        let Settings { sound, icon, group, subtitle, copy, category, .. } = &settings;
        let texts = [sound, icon, group, subtitle, copy, category].into_iter().flatten();
        if texts.map(|text| json_length(text)).sum::<usize>() > SETTINGS {
            let hint = "Apple takes no notification of more than 4096 bytes";
            problems.value(at, "these settings leave no room for text", hint);
        }
        let defaults = PerLevel::from_fn(default_level);
        let url = match &settings.url {
            Some(url) => url.join("push"),
            None => vec!["https://api.day.app/push".into()],
        };
        let level = settings.level.clone().map_or(defaults.clone(), |level| level.over(&defaults));
        (problems.len() == before).then_some(Self { url, authorization, level, settings, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let (keys, base, user, password) = match url.dialect {
            UrlDialect::Apprise => {
                if url.option(&["key"]).is_some() {
                    let hint = "leave it out, and the text is sent as Bark's server reads it";
                    return Err(wrong("?key", "asks for encryption, which Nuncio has none of", hint));
                }
                let base = url.origin(url.scheme == "barks")?;
                let mut keys = url.rest();
                keys.extend(url.list(&["to"]));
                (keys, base, url.user(), url.password())
            }
            UrlDialect::Shoutrrr => {
                let key = url.required_password("the device's key")?;
                let is_tls = match url.option(&["scheme"]).as_deref() {
                    None | Some("https") => true,
                    Some("http") => false,
                    Some(_) => {
                        return Err(wrong("?scheme", "is neither http nor https", "write one of them"));
                    }
                };
                (vec![key], url.base(is_tls)?, None, None)
            }
        };
        if keys.is_empty() {
            return Err(wrong("path", "is missing: a device's key belongs there", ""));
        }
        let common = url_settings(url)?;
        let target = |key: String| {
            let mut target = settings([
                ("url", base.as_str().into()),
                ("key", key.into()),
                ("user", json!(user)),
                ("password", json!(password)),
            ]);
            target.extend(common.clone());
            target
        };
        Ok(each(keys, &target))
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        // In Apprise's URLs keys stand in the path, and a password has a user.
        url.has_password() && (url.entries() == 0 || url.clone().user().is_none())
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let format = occasion.format(self.settings.format);
        let title = Text::plain(&notification.title);
        let has_body = !Text::of_body(&notification.body, format).is_blank();
        // A title alone is the text, which Bark has to have.
        let title = if has_body { title.fit(&PLAIN, self.overflow.limit(TITLE)) } else { String::new() };
        let text = Text::of(notification, format);
        let message = |part: &Text, n: usize| {
            let part = part.write(format.of(&COMMONMARK));
            self.message(notification, &title, n, format, &part)
        };
        let frame = message(&Text::default(), 99).into_body();
        let used = frame.iter().map(|segment| match segment {
            Segment::Text(text) => text.len(),
            _ => KEY,
        });
        let length = |part: &Text| json_length(&part.write(format.of(&COMMONMARK)));
        let parts = text.split(REQUEST.less(used.sum()).most, self.overflow, &length);
        let request = |(n, part): (usize, &Text)| {
            let mut request = Request::post(self.url.clone());
            if let Some(authorization) = &self.authorization {
                request = request.header("authorization", authorization.clone());
            }
            message(part, n).into(request)
        };
        Ok(parts.iter().enumerate().map(request).collect())
    }

    /// `failed to get device token: …` is a key that the server does not know; `push failed: …` is what Apple says.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = body.get("message").and_then(Value::as_str).unwrap_or_default();
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        match body.get("code").and_then(Value::as_i64) {
            Some(400) if has(&["device token", "device key"]) => Some(Class::Credentials),
            Some(500) if has(&["Unregistered", "BadDeviceToken"]) => Some(Class::Gone),
            Some(500) if has(&["PayloadTooLarge"]) => Some(Class::Permanent),
            _ => ANSWER.classify(reply),
        }
    }
}

impl Bark {
    fn message(
        &self,
        notification: &Notification,
        title: &str,
        n: usize,
        format: Format,
        text: &str,
    ) -> Object {
        let settings = &self.settings;
        let link = notification.link.as_deref().or(settings.link.as_deref());
        let link = link.filter(|link| self.overflow.limit(LINK).fits(&Value::from(*link).to_string()));
        let id = match n {
            0 => notification.id.clone(),
            n => format!("{}-{n}", notification.id),
        };
        let flag = |is_set: bool| if is_set { "1" } else { "0" };
        Object::default()
            .with_secret("device_key", &settings.key)
            .with_text("title", title)
            .with("subtitle", settings.subtitle.as_deref())
            .with(if format == Format::Markdown { "markdown" } else { "body" }, text)
            .with("level", self.level.find(notification.level).map(|level| level.name()))
            .with("volume", settings.volume.map(|Within(volume)| volume))
            .with("sound", settings.sound.as_deref())
            .with("call", settings.call.then_some("1"))
            .with("icon", settings.icon.as_deref())
            .with("group", settings.group.as_deref())
            .with("badge", settings.badge)
            .with("url", link)
            .with("copy", settings.copy.as_deref())
            .with("action", settings.action.map(Action::name))
            .with("isArchive", settings.archive.map(flag))
            .with("ttl", settings.ttl.map(|ttl| ttl.to_string()))
            .with("category", settings.category.as_deref())
            .with("id", Some(id).filter(|id| ID.fits(id)))
    }
}

/// What the options of both dialects say.
fn url_settings(url: &mut ServiceUrl) -> Result<Map<String, Value>, UrlProblem> {
    let mut number = |name: &'static str, most: i64| match url.option(&[name]) {
        None => Ok(Value::Null),
        Some(text) => number_or_word(&text, &format!("?{name}"), &[], 0..=most)
            .map_err(|_| wrong(&format!("?{name}"), "is no number that fits", &format!("write 0 to {most}"))),
    };
    let (volume, badge, ttl) = (number("volume", 10)?, number("badge", 1_000_000)?, number("ttl", i64::MAX)?);
    let mut choice = |name: &'static str, names: &[&str]| match url.option(&[name]) {
        None => Ok(Value::Null),
        Some(text) => {
            let known = names.iter().find(|known| known.eq_ignore_ascii_case(&text));
            known.map(|known| Value::from(*known)).ok_or_else(|| {
                wrong(&format!("?{name}"), "is none of Bark's", &format!("write one of {}", names.join(", ")))
            })
        }
    };
    let level = choice("level", &["critical", "timeSensitive", "active", "passive"])?;
    let action = choice("action", &["alert", "none"])?;
    Ok(settings([
        ("level", level),
        ("volume", volume),
        ("sound", url.value(&["sound"])),
        ("call", url.flag(&["call"])?.filter(|is_set| *is_set).into()),
        ("icon", url.value(&["icon"])),
        ("group", url.value(&["group"])),
        ("subtitle", url.value(&["subtitle"])),
        ("badge", badge),
        ("link", url.value(&["click", "url"])),
        ("copy", url.value(&["copy"])),
        ("action", action),
        ("archive", json!(url.flag(&["archive"])?)),
        ("ttl", ttl),
        ("category", url.value(&["category"])),
    ]))
}

fn default_level(level: Level) -> Interruption {
    match level {
        Level::Trace | Level::Debug => Interruption::Passive,
        Level::Info | Level::Warn => Interruption::Active,
        Level::Error | Level::Fatal => Interruption::TimeSensitive,
    }
}

#[cfg(test)]
mod tests;
