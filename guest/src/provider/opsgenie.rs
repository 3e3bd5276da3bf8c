//! Opsgenie, Alert API: <https://docs.opsgenie.com/docs/alert-api>. Atlassian ends the service on 5 April 2027;
//! Jira Service Management takes the same requests under another `url`.
//!
//! The title is the alert's message, at most 130 characters, and the body its description, at most 15 000; an
//! alias has 512, a tag 50, and there are 20 tags (<https://docs.opsgenie.com/docs/alerts-and-alert-fields>). The
//! unit is not documented: it is UTF-16, of which no reading has more. A note has 25 000 by a schema that is not
//! the vendor's. What is longer is cut off, because each part of an alert would call somebody. Message and
//! description are read as HTML in some places, which cannot be turned off: `<` and `&` are broken.
//!
//! The alias is the notification's key, or else its id: there is one open alert of an alias, so that one that
//! comes twice is one. A notification that resolves a key closes the alert of that alias. That Jira Service
//! Management knows an alias here is not documented, and said in <https://jira.atlassian.com/browse/JSDCLOUD-14179>.
//!
//! Opsgenie answers 202 before it has looked at an alert: what it finds wrong later, nobody is told. It answers 422
//! to what it cannot read, and 429 to too much; how long to wait is not documented.

use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Limit, Overflow};
use crate::markup::Text;
use crate::markup::dialect::PLAIN_IN_HTML;
use crate::notification::{Format, Level, Notification};
use crate::payload::{Object, object};
use crate::provider::{Occasion, Provider};
use crate::request::{Escape, Request, Segment};
use crate::service_url::{ServiceUrl, UrlDialect, UrlProblem, Urls, settings, wrong};
use crate::settings::declare::{Named, choices, settings};
use crate::settings::{BaseUrl, PerLevel, Secret, path_segment};

settings! {
    /// What a target's own settings are.
    pub struct Settings {
        /// The key of an API integration.
        key: Secret,
        /// Where the account is: us, unless this says eu.
        region: Option<Region>,
        /// The URL of another service of the same API, in the place of a region: that of Jira Service Management
        /// is `https://api.atlassian.com/jsm/ops/integration`.
        url: Option<BaseUrl>,
        /// Who is called: `team:`, `schedule:` or `escalation:` and a name, `user:` and a user's name, or each with
        /// an id; the integration's own team, unless this is set.
        responders: Vec<String>,
        /// Who else sees alerts, without being called: `team:` or `user:` as above.
        visible_to: Vec<String>,
        /// Tags of every alert, before those of the notification.
        tags: Vec<String>,
        /// Names of actions that an alert offers.
        actions: Vec<String>,
        /// Properties of every alert.
        details: Named<String>,
        /// What alerts are about, such as a host's name.
        #[length(1, 512)]
        entity: Option<String>,
        /// Where alerts come from: Nuncio, unless this says otherwise.
        source: Option<String>,
        /// In whose name they are made.
        user: Option<String>,
        /// How urgent an alert is, from P1, the most urgent, to P5, for all levels or by level; of others: fatal
        /// P1, error P2, warn P3, info P4, debug and trace P5.
        priority: Option<PerLevel<Priority>>,
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Region {
        Us = "us",
        Eu = "eu",
    }
}

choices! {
    #[derive(Clone, Copy)]
    enum Priority {
        P1 = "P1",
        P2 = "P2",
        P3 = "P3",
        P4 = "P4",
        P5 = "P5",
    }
}

/// An integration of Opsgenie.
pub struct Opsgenie {
    settings: Settings,
    responders: Vec<Value>,
    visible_to: Vec<Value>,
    priority: PerLevel<Priority>,
    overflow: Overflow,
}

const MESSAGE: Limit = Limit::utf16(130);
const DESCRIPTION: Limit = Limit::utf16(15_000);
const ALIAS: Limit = Limit::utf16(512);
const NOTE: Limit = Limit::utf16(25_000);
const TAG: Limit = Limit::utf16(50);
const MOST_TAGS: usize = 20;

const CALLED: &[&str] = &["team", "user", "schedule", "escalation"];
const SEEING: &[&str] = &["team", "user"];

impl Provider for Opsgenie {
    const NAME: &'static str = "opsgenie";
    const SUMMARY: &'static str = "Opsgenie or Jira Service Management, an alert";
    const EXAMPLE: &'static str = "\
- name: opsgenie
  provider: opsgenie
  key: ${OPSGENIE_KEY}
  responders: [\"team:ops\"]
  filter: { level: error }
- name: jira-service-management
  provider: opsgenie
  url: https://api.atlassian.com/jsm/ops/integration
  key: ${JSM_KEY}
";
    const AUTH: &'static str = "API key";
    const DIALECT: &'static str = "plain text";
    const URLS: Urls = Urls {
        apprise: &["opsgenie"],
        apprise_form: "opsgenie://user@api-key/#team/@user?priority=p3",
        shoutrrr: &["opsgenie"],
        shoutrrr_form: "opsgenie://api.opsgenie.com/api-key?responders=team:ops",
    };
    const ORIGINS: &'static [&'static str] = &["https://api.opsgenie.com", "https://api.eu.opsgenie.com"];
    // By the alias, while the alert is open (https://docs.opsgenie.com/docs/alert-deduplication).
    const KNOWS_REPEATS: bool = true;
    const LIMITS: &'static [Bound] = &[
        Bound::text("message", &["/message"], MESSAGE),
        Bound::text("description", &["/description"], DESCRIPTION),
        Bound::text("alias", &["/alias"], ALIAS),
        Bound::text("tag", &["/tags/*"], TAG),
        Bound::items("tags", &["/tags"], MOST_TAGS),
        Bound::text("note", &["/note"], NOTE),
    ];
    const OVERFLOW: Overflow = Overflow::Truncate;

    type Settings = Settings;

    fn check(
        settings: Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let before = problems.len();
        if settings.url.is_some() && settings.region.is_some() {
            problems.value(&at.at("region"), "both `url` and `region` are set", "keep one of the two");
        }
        let mut read = |names: &[String], kinds: &[&str], setting: &str| -> Vec<Value> {
            let mut found = Vec::new();
            for (n, name) in names.iter().enumerate() {
                match recipient(name, kinds) {
                    Some(recipient) => found.push(recipient),
                    None => problems.value(
                        &at.at(setting).at(n),
                        "this says not who it is",
                        "write it as `team:ops` or `user:ann@example.com`",
                    ),
                }
            }
            found
        };
        let responders = read(&settings.responders, CALLED, "responders");
        let visible_to = read(&settings.visible_to, SEEING, "visible_to");
        let defaults = PerLevel::from_fn(default_priority);
        let priority =
            settings.priority.clone().map_or(defaults.clone(), |priority| priority.over(&defaults));
        (problems.len() == before).then_some(Self { settings, responders, visible_to, priority, overflow })
    }

    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem> {
        let mut target = match url.dialect {
            UrlDialect::Apprise => apprise(url)?,
            UrlDialect::Shoutrrr => shoutrrr(url)?,
        };
        let priority = url.option(&["priority"]).map(|text| url_priority(&text)).transpose()?;
        let tags = url.list(&["tags"]);
        target.extend(settings([
            ("tags", some(&tags)),
            ("entity", url.value(&["entity"])),
            ("priority", json!(priority)),
        ]));
        Ok(vec![target])
    }

    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        // An API key has no dot; a host has, or is this machine.
        url.host().contains('.')
            || url.host() == "localhost"
            || ["responders", "visibleTo", "actions", "details", "source"]
                .iter()
                .any(|name| url.has_option(name))
    }

    fn format(&self, notification: &Notification, _: &Occasion) -> Result<Vec<Request>, String> {
        let Settings { key, actions, details, entity, user, .. } = &self.settings;
        let source = self.settings.source.as_deref().unwrap_or("Nuncio");
        let alias = alias(notification);
        let body = Text::of_body(&notification.body, Format::Markdown).linked(notification.link.as_deref());
        let whole = Object::default().with_text("source", source).with("user", user.clone());
        let post = |path: &str| {
            let authorization = vec!["GenieKey ".into(), key.segment(Escape::Verbatim)];
            Request::post(self.url(path)).header("authorization", authorization)
        };
        if notification.resolves.is_some() {
            let note = Text::of(notification, Format::Markdown)
                .titled(&notification.title)
                .linked(notification.link.as_deref());
            let note = note.fit(&PLAIN_IN_HTML, self.overflow.limit(NOTE));
            let mut request = post(&format!("/{}/close", path_segment(&alias)));
            request.query.push(("identifierType".to_owned(), "alias".to_owned()));
            return Ok(vec![whole.with_text("note", &note).into(request)]);
        }
        let title = Text::plain(&notification.title);
        let message = if title.is_blank() { Text::of(notification, Format::Markdown) } else { title };
        let priority = self.priority.find(notification.level).map(|priority| priority.name());
        let alert = whole
            .with("message", message.fit(&PLAIN_IN_HTML, self.overflow.limit(MESSAGE)))
            .with("alias", alias)
            .with_text("description", &body.fit(&PLAIN_IN_HTML, self.overflow.limit(DESCRIPTION)))
            .with("responders", (!self.responders.is_empty()).then(|| self.responders.clone()))
            .with("visibleTo", (!self.visible_to.is_empty()).then(|| self.visible_to.clone()))
            .with("tags", some(&self.tags(notification)))
            .with("actions", some(actions))
            .with("details", if details.is_empty() { Value::Null } else { details.into() })
            .with("entity", entity.clone())
            .with("priority", priority);
        Ok(vec![alert.into(post(""))])
    }
}

impl Opsgenie {
    fn url(&self, path: &str) -> Vec<Segment> {
        let path = format!("v2/alerts{path}");
        match (&self.settings.url, self.settings.region) {
            (Some(url), _) => url.join(&path),
            (None, Some(Region::Eu)) => vec![format!("https://api.eu.opsgenie.com/{path}").into()],
            (None, _) => vec![format!("https://api.opsgenie.com/{path}").into()],
        }
    }

    fn tags(&self, notification: &Notification) -> Vec<String> {
        let (limit, most) = match self.overflow {
            Overflow::Upstream => (Limit::NONE, usize::MAX),
            Overflow::Split | Overflow::Truncate => (TAG, MOST_TAGS),
        };
        let mut tags = Vec::new();
        for tag in self.settings.tags.iter().chain(&notification.tags).map(|tag| limit.cut(tag)) {
            if !tag.is_empty() && !tags.contains(&tag) && tags.len() < most {
                tags.push(tag);
            }
        }
        tags
    }
}

/// What an alert is known by. It is a segment of a path, which must not be `.` or `..`.
fn alias(notification: &Notification) -> String {
    match notification.alert() {
        dots @ ("." | "..") => format!("nuncio-{dots}"),
        alert => ALIAS.cut(alert),
    }
}

/// `team:ops`, as Opsgenie writes it.
fn recipient(text: &str, kinds: &[&str]) -> Option<Value> {
    let (kind, who) = text.split_once(':')?;
    if who.is_empty() || !kinds.contains(&kind) {
        return None;
    }
    let member = match kind {
        _ if is_uuid(who) => "id",
        "user" => "username",
        _ => "name",
    };
    Some(object([("type", kind.into()), (member, who.into())]))
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn some(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn default_priority(level: Level) -> Priority {
    match level {
        Level::Trace | Level::Debug => Priority::P5,
        Level::Info => Priority::P4,
        Level::Warn => Priority::P3,
        Level::Error => Priority::P2,
        Level::Fatal => Priority::P1,
    }
}

/// `P1` to `P5`, or Apprise's word. Apprise sends `emergency` as P5, which is the least urgent: here it is P1.
fn url_priority(text: &str) -> Result<&'static str, UrlProblem> {
    match text.trim().to_ascii_lowercase().trim_start_matches('p') {
        "1" | "emergency" => Ok("P1"),
        "2" | "high" => Ok("P2"),
        "3" | "normal" => Ok("P3"),
        "4" | "moderate" => Ok("P4"),
        "5" | "low" => Ok("P5"),
        _ => Err(wrong("?priority", "is no priority", "write P1, the most urgent, to P5")),
    }
}

fn apprise(url: &mut ServiceUrl) -> Result<Map<String, Value>, UrlProblem> {
    let key = match url.option(&["apikey"]) {
        Some(key) => key,
        None => url.take_host("the API key")?,
    };
    let region = url.option(&["region"]).map(|region| region.to_ascii_lowercase());
    if region.as_deref().is_some_and(|region| !["us", "eu"].contains(&region)) {
        return Err(wrong("?region", "is neither us nor eu", "write `us` or `eu`"));
    }
    // All are called by one alert: of several with one alias, Opsgenie would make one.
    url.flag(&["batch"])?;
    let mut receivers = url.rest();
    receivers.extend(url.list(&["to"]));
    let responders = receivers.iter().map(|receiver| {
        let mut rest = receiver.chars();
        let (kind, who) = match rest.next() {
            Some('#') => ("team", rest.as_str()),
            Some('*') => ("schedule", rest.as_str()),
            Some('^') => ("escalation", rest.as_str()),
            Some('@') => ("user", rest.as_str()),
            _ => ("user", receiver.as_str()),
        };
        match who {
            "" => Err(wrong("path", "names nobody behind a mark", "write `#team`, `@user`, `*schedule`")),
            who => Ok(format!("{kind}:{who}")),
        }
    });
    let responders = responders.collect::<Result<Vec<_>, _>>()?;
    let details: Map<String, Value> =
        url.prefixed("+").into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(settings([
        ("key", key.into()),
        ("region", json!(region)),
        ("responders", some(&responders)),
        ("details", if details.is_empty() { Value::Null } else { details.into() }),
        ("user", json!(url.user())),
    ]))
}

fn shoutrrr(url: &mut ServiceUrl) -> Result<Map<String, Value>, UrlProblem> {
    let origin = url.origin(true)?;
    let (region, base) = match origin.trim_end_matches(":443") {
        "https://api.opsgenie.com" => (None, None),
        "https://api.eu.opsgenie.com" => (Some("eu"), None),
        other => (None, Some(other)),
    };
    let key = url.entry("the API key")?;
    let mut recipients = |option: &str, kinds: &[&str]| {
        let names = url.list(&[option]);
        match names.iter().all(|name| recipient(name, kinds).is_some()) {
            true => Ok(some(&names)),
            false => {
                Err(wrong(&format!("?{option}"), "says not who it is", "write `team:ops` or `user:ann`"))
            }
        }
    };
    let (responders, visible_to) = (recipients("responders", CALLED)?, recipients("visibleTo", SEEING)?);
    let mut details = Map::new();
    for pair in url.list(&["details"]) {
        let Some((name, value)) = pair.split_once(':') else {
            return Err(wrong("?details", "is no list of properties", "write `name:value,name:value`"));
        };
        details.insert(name.to_owned(), value.into());
    }
    let actions = url.list(&["actions"]);
    Ok(settings([
        ("key", key.into()),
        ("region", json!(region)),
        ("url", json!(base)),
        ("responders", responders),
        ("visible_to", visible_to),
        ("actions", some(&actions)),
        ("details", if details.is_empty() { Value::Null } else { details.into() }),
        ("source", url.value(&["source"])),
        ("user", url.value(&["user"])),
    ]))
}

#[cfg(test)]
mod tests;
