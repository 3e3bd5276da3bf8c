//! ntfy, <https://docs.ntfy.sh/publish/#publish-as-json>: a message as JSON to the root of the server.
//!
//! JSON, because the headers of the other form can hold neither a line break nor, in every client, UTF-8.
//!
//! Limits: a topic is 1 to 64 of `A-Z a-z 0-9 _ -`; a message is 4096 bytes by default, which a server can
//! set (<https://docs.ntfy.sh/config/#message-limits>). A longer one becomes an attachment where the server
//! keeps attachments, and is refused where it does not; JSON of more than twice that limit is always
//! refused, with status 413. Because only the server knows its limits, nothing is cut here unless `overflow`
//! says so, and then at the default. ntfy splits tags
//! at commas, and cuts white space off both ends of a title and a message.
//!
//! The notification's id is the message's sequence id, where it fits: from ntfy 2.16 on, a message that comes
//! twice replaces itself on a phone (<https://docs.ntfy.sh/publish/#updating-deleting-notifications>). Older
//! servers leave the header alone.

use serde_json::{Map, Value, json};

use crate::authorization;
use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::COMMONMARK;
use crate::notification::{Format, Level, Notification};
use crate::payload::{Object, each, each_numbered};
use crate::provider::{Occasion, Provider};
use crate::request::{Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, number_or_word, settings, wrong};
use crate::settings::declare::{Setting, Within, one_of, settings};
use crate::settings::{BaseUrl, PerLevel, Secret};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The URL of the server, without the topic.
        url: BaseUrl,
        /// The topic to publish to: 1 to 64 letters, digits, `_` and `-`.
        #[length(1, 64)]
        #[pattern("^[-_A-Za-z0-9]+$")]
        topic: String,
        /// An access token, for a topic that is not open to all.
        token: Option<Secret>,
        /// A user's name, where there is no token.
        user: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// How messages are written: markdown, unless this says plain.
        format: Format = Format::Markdown,
        /// The priority, for all levels or by level: 1 to 5, or min, low, default, high, max, urgent; of others:
        /// fatal 5, error 4, warn 3, info 2, debug and trace 1.
        priority: Option<PerLevel<Priority>>,
        /// Tags of every message, before those of the notification. ntfy shows some as emoji.
        tags: Vec<String>,
    }
}

/// How loud a message is: a number from 1 to 5, or one of ntfy's names for it.
#[derive(Clone, Copy)]
struct Priority(u64);

/// ntfy's names, and what they stand for.
const PRIORITIES: [(&str, u64); 6] =
    [("min", 1), ("low", 2), ("default", 3), ("high", 4), ("max", 5), ("urgent", 5)];

impl Setting for Priority {
    fn schema() -> Value {
        json!({ "anyOf": [Within::<1, 5>::schema(), one_of(&PRIORITIES.map(|(name, _)| name))] })
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(name) => PRIORITIES.iter().find(|(known, _)| known == name).map(|(_, n)| Self(*n)),
            other => other.as_u64().filter(|number| (1..=5).contains(number)).map(Self),
        }
    }
}

/// A topic of an ntfy server.
pub struct Ntfy {
    url: Vec<Segment>,
    authorization: Option<Vec<Segment>>,
    topic: String,
    format: Format,
    priority: PerLevel<Priority>,
    tags: Vec<String>,
    overflow: Overflow,
}

const MESSAGE: Limit = Limit::bytes(4096);

/// How long a sequence id can be, in characters.
const LONGEST_ID: usize = 64;

impl Provider for Ntfy {
    const NAME: &'static str = "ntfy";
    const SUMMARY: &'static str = "ntfy, ntfy.sh or self-hosted";
    const EXAMPLE: &'static str = "\
- name: alerts
  provider: ntfy
  url: https://ntfy.sh
  topic: my-alerts-k2bhi7
  token: ${NTFY_TOKEN}
  tags: [house]
";
    const AUTH: &'static str = "none, token, or user and password";
    const DIALECT: &'static str = "CommonMark";
    const URLS: Urls = Urls {
        apprise: &["ntfy", "ntfys"],
        apprise_form: "ntfys://user:password@host/topic",
        shoutrrr: &["ntfy"],
        shoutrrr_form: "ntfy://user:password@host/topic?scheme=https",
    };

    // Since 2.16, by the sequence id (https://docs.ntfy.sh/publish/#updating-notifications).
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[Bound::text("text", &["/message"], MESSAGE)];
    const OVERFLOW: Overflow = Overflow::Upstream;

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        if let Some(wrong) = settings.topic.chars().find(|c| !is_of_topic(*c)) {
            let hint = match wrong {
                '/' | ':' => "write the topic's name alone, and the server into `url`",
                _ => "allowed are letters, digits, `_` and `-`",
            };
            problems.value(&at.at("topic"), format!("`{wrong}` cannot be in a topic"), hint);
        }
        let (user, password) = (settings.user.as_deref(), settings.password.as_ref());
        let authorization = authorization::value(settings.token.as_ref(), user, password, at, problems);
        let defaults = PerLevel::from_fn(default_priority);
        (problems.len() == before).then(|| Self {
            url: settings.url.join(""),
            authorization,
            topic: settings.topic,
            format: settings.format,
            priority: settings.priority.map_or(defaults.clone(), |priority| priority.over(&defaults)),
            tags: settings.tags,
            overflow,
        })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let is_of_apprise = url.is(UrlDialect::Apprise);
        let is_tls = match is_of_apprise {
            true => url.scheme == "ntfys",
            false => {
                url.option(&["scheme"]).is_none_or(|scheme| scheme != "http")
                    && !url.flag(&["disabletls"])?.unwrap_or(false)
            }
        };
        let named = if is_of_apprise { url.list(&["to"]) } else { Vec::new() };
        let is_ntfy_sh = url.host().eq_ignore_ascii_case("ntfy.sh");
        let mode = if is_of_apprise { url.option(&["mode"]) } else { None };
        let is_cloud = match mode.as_deref().map(str::to_ascii_lowercase).as_deref() {
            // Without a topic behind it, what stands in the host's place is a topic of ntfy.sh.
            None => is_of_apprise && (is_ntfy_sh || url.entries() == 0 && named.is_empty()),
            Some("cloud") => true,
            Some("private") => false,
            Some(_) => return Err(wrong("?mode", "is neither cloud nor private", "write one of them")),
        };
        let (base, mut topics) = match is_cloud {
            true => {
                let topic = url.take_host("a topic")?;
                ("https://ntfy.sh".to_owned(), if is_ntfy_sh { vec![] } else { vec![topic] })
            }
            false => (url.origin(is_tls)?, Vec::new()),
        };
        topics.extend(url.rest());
        topics.extend(named);
        if topics.is_empty() {
            return Err(wrong(
                "path",
                "is missing: a topic belongs there",
                "write it as `ntfy://host/topic`",
            ));
        }
        let (user, password) = (url.user(), url.password());
        let by_option = url.option(&["token"]);
        let auth = if is_of_apprise { url.option(&["auth"]) } else { None };
        let wants_token = match auth.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("token") => Some(true),
            Some("basic") => Some(false),
            Some(_) => return Err(wrong("?auth", "is neither basic nor token", "write one of them")),
        };
        let is_token = |user: &str| {
            is_of_apprise && wants_token.unwrap_or_else(|| user.to_ascii_lowercase().starts_with("tk_"))
        };
        let (token, user, password) = match (by_option, user, password) {
            (Some(token), _, _) if wants_token != Some(false) => (Some(token), None, None),
            (_, None, Some(token)) => (Some(token), None, None),
            (_, Some(user), None) if is_token(&user) => (Some(user), None, None),
            (_, Some(_), Some(token)) if wants_token == Some(true) => (Some(token), None, None),
            (_, Some(_), None) => {
                let hint = "write it as `user:password@host`";
                return Err(wrong("password", "is missing beside the user", hint));
            }
            (_, user, password) => (None, user, password),
        };
        // Where the URL says nothing, the target's own default holds, which is markdown.
        let is_plain = !is_of_apprise && url.flag(&["markdown"])? == Some(false);
        let priority = match url.option(&["priority"]) {
            None => Value::Null,
            Some(text) => url_priority(&text)?,
        };
        let tags = url.list(&["tags", "xtags"]);
        let target = |topic: String| {
            settings([
                ("url", base.as_str().into()),
                ("topic", topic.into()),
                ("token", json!(token)),
                ("user", json!(user)),
                ("password", json!(password)),
                ("priority", priority.clone()),
                ("tags", if tags.is_empty() { Value::Null } else { json!(tags) }),
                ("format", if is_plain { "plain".into() } else { Value::Null }),
            ])
        };
        Ok(each(topics, &target))
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        ["cache", "disabletls", "disabletlsverification", "firebase", "icon", "markdown", "scheme"]
            .iter()
            .any(|name| url.has_option(name))
    }

    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        let mut tags: Vec<&str> = Vec::new();
        for tag in self.tags.iter().chain(&notification.tags) {
            if !tags.contains(&tag.as_str()) {
                tags.push(tag);
            }
        }
        let (level, format) = (notification.level, occasion.format(self.format));
        let whole = notification.message(format);
        let parts = match self.overflow {
            Overflow::Split | Overflow::Truncate if !MESSAGE.fits(&whole) => {
                let text = Text::of(notification, format);
                text.parts(format.of(&COMMONMARK), MESSAGE, self.overflow)
            }
            _ => vec![whole.into_owned()],
        };
        let request = |(n, message): (usize, String)| {
            let priority = self.priority.find(level).copied().unwrap_or(default_priority(level));
            let message = Object::default()
                .with("topic", self.topic.as_str())
                .with_text("title", &notification.title)
                .with("message", message)
                .with("priority", priority.0)
                .with("tags", (!tags.is_empty()).then(|| tags.clone()))
                .with("click", notification.link.clone())
                .with("markdown", (format == Format::Markdown).then_some(true));
            let mut request = Request::post(self.url.clone());
            // Each part has its own, or else it would take the place of the one before.
            let id = if n == 0 { notification.id.clone() } else { format!("{}-{n}", notification.id) };
            if (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_of_topic) {
                request = request.header("x-sequence-id", vec![id.into()]);
            }
            if let Some(authorization) = &self.authorization {
                request = request.header("authorization", authorization.clone());
            }
            message.into(request)
        };
        Ok(each_numbered(parts, &request))
    }
}

/// Those of GoDoxy's `ntfy.go`, with `fatal` above `error` also where it stands for a panic.
fn default_priority(level: Level) -> Priority {
    Priority(match level {
        Level::Trace | Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
        Level::Fatal => 5,
    })
}

/// Whether a topic may have it, or a sequence id.
fn is_of_topic(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// A number, or a word that Apprise or ntfy has for one.
fn url_priority(text: &str) -> Result<Value, UrlProblem> {
    let words = [
        ("min", 1),
        ("low", 2),
        ("moderate", 2),
        ("default", 3),
        ("normal", 3),
        ("high", 4),
        ("max", 5),
        ("emergency", 5),
        ("urgent", 5),
    ];
    number_or_word(text, "?priority", &words, 1..=5)
}

#[cfg(test)]
mod tests;
