//! Providers: each kind of service in a file of its own, and the table that lists them.
//!
//! To add one: write `provider/NAME.rs` after the example of a short one (`provider/example.rs`, which is for reading
//! only), and add it to [`ALL`]. Nothing else changes, in this crate or in any host.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostics, Pointer, did_you_mean};
use crate::limit::{Bound, Overflow};
use crate::notification::{Format, Notification};
use crate::outcome::{Class, Reply};
use crate::request::Request;
use crate::schema;
use crate::service_url::{self, FromUrl, ServiceUrl, UrlDialect, UrlProblem, Urls};
use crate::settings::declare::Setting;

pub mod alertmanager;
pub mod apprise;
pub mod bark;
pub mod brevo;
pub mod datadog;
pub mod dingtalk;
pub mod discord;
#[cfg(test)]
mod every;
#[cfg(test)]
mod example;
pub mod feishu;
pub mod googlechat;
pub mod gotify;
pub mod grafana_oncall;
pub mod homeassistant;
pub mod ifttt;
pub mod incident_io;
pub mod join;
pub mod line;
pub mod mailgun;
pub mod matrix;
pub mod mattermost;
pub mod nextcloud_talk;
pub mod ntfy;
pub mod opsgenie;
pub mod pagerduty;
pub mod postmark;
pub mod prowl;
pub mod pushbullet;
pub mod pushdeer;
pub mod pushover;
pub mod resend;
pub mod rocketchat;
pub mod sendgrid;
pub mod serverchan;
pub mod signal;
pub mod simplepush;
pub mod slack;
pub mod splunk_oncall;
pub mod synology_chat;
pub mod teams;
pub mod telegram;
pub mod twilio;
pub mod webex;
pub mod webhook;
pub mod wecom;
pub mod zulip;

/// What a provider may know of the moment in which it formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// When this attempt begins, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Whether the receiver refused the markup of an earlier attempt, so that this one is plain text.
    pub is_plain: bool,
}

impl Occasion {
    /// The format to write in, where the target has this one.
    #[must_use]
    pub fn format(&self, format: Format) -> Format {
        if self.is_plain { Format::Plain } else { format }
    }
}

/// A kind of service, configured for one target.
///
/// An implementation must not join URLs by adding strings ([`crate::settings::BaseUrl::join`] does it), put
/// a credential into a URL where the service takes a header, depend on anything but its arguments, or panic
/// on a reply.
pub trait Provider: Sized + 'static {
    /// What a configuration calls it: lower-case letters, digits and hyphens.
    const NAME: &'static str;
    /// One line for a table.
    const SUMMARY: &'static str;
    /// A target in YAML, complete and valid, with the settings that most people need.
    const EXAMPLE: &'static str;
    /// Origins that the requests of every such target may go to, beside those in its settings.
    const ORIGINS: &'static [&'static str] = &[];
    /// Whether the service knows a delivery that it has seen before by the notification's id, and shows it
    /// once. Only its own documentation can say so.
    const KNOWS_REPEATS: bool = false;
    /// How a target says who it is, in a few words for a table: `token`, `secret URL`.
    const AUTH: &'static str;
    /// What text is written in, in a few words for a table: `HTML`, `plain text`.
    const DIALECT: &'static str;
    /// What URLs of Apprise and shoutrrr stand for such targets.
    const URLS: Urls;
    /// The limits of the service, each of which its requests keep to unless `overflow` is `upstream`.
    const LIMITS: &'static [Bound] = &[];
    /// What becomes of a text that is longer, where the target does not say.
    const OVERFLOW: Overflow = Overflow::Split;

    /// What a target's own settings are. Doc comments become the documentation; the value
    /// of a [`crate::settings::Secret`] or [`crate::settings::SecretUrl`] never enters the guest.
    type Settings: Setting;

    /// Makes settings that fit their schema into a target, or adds what is wrong with them. `overflow` is the
    /// target's, or else [`Provider::OVERFLOW`]; `at` is where the settings stand.
    fn check(
        settings: Self::Settings,
        overflow: Overflow,
        at: &Pointer,
        problems: &mut Diagnostics,
    ) -> Option<Self>;

    /// The settings that a URL of one of [`Provider::URLS`] stands for: those of several targets where it names
    /// several receivers. What it takes from the URL is used, what it leaves is reported.
    ///
    /// # Errors
    ///
    /// Which part of the URL is wrong.
    fn from_url(url: &mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem>;

    /// Whether a URL with a scheme that both dialects have is of shoutrrr's form, which Apprise's never has.
    fn is_shoutrrr(url: &ServiceUrl) -> bool {
        let _ = url;
        false
    }

    /// The requests that deliver a notification, in the order in which they must be sent; at least one, and
    /// as many on every occasion that is plain, and on every other.
    ///
    /// # Errors
    ///
    /// Where this notification cannot be delivered by this service at all; the text says why.
    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String>;

    /// What a reply means, where this service means something else than HTTP in general; else `None`.
    fn classify(&self, reply: &Reply) -> Option<Class> {
        let _ = reply;
        None
    }

    /// Whether a reply refuses nothing but the markup, so that plain text has a chance.
    fn refuses_markup(&self, reply: &Reply) -> bool {
        let _ = reply;
        false
    }

    /// When the receiver wants to be asked again, in milliseconds from now, where its body says so; see
    /// [`crate::hint::in_json`]. What headers say is read for all.
    fn hint(&self, reply: &Reply) -> Option<u64> {
        let _ = reply;
        None
    }
}

/// A configured target of any provider.
pub trait Service {
    /// See [`Provider::format`].
    ///
    /// # Errors
    ///
    /// As there.
    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String>;

    /// See [`Provider::classify`].
    fn classify(&self, reply: &Reply) -> Option<Class>;

    /// See [`Provider::refuses_markup`].
    fn refuses_markup(&self, reply: &Reply) -> bool;

    /// See [`Provider::hint`].
    fn hint(&self, reply: &Reply) -> Option<u64>;

    /// See [`Provider::KNOWS_REPEATS`].
    fn knows_repeats(&self) -> bool;
}

impl<P: Provider> Service for P {
    fn format(&self, notification: &Notification, occasion: &Occasion) -> Result<Vec<Request>, String> {
        Provider::format(self, notification, occasion)
    }

    fn classify(&self, reply: &Reply) -> Option<Class> {
        Provider::classify(self, reply)
    }

    fn refuses_markup(&self, reply: &Reply) -> bool {
        Provider::refuses_markup(self, reply)
    }

    fn hint(&self, reply: &Reply) -> Option<u64> {
        Provider::hint(self, reply)
    }

    fn knows_repeats(&self) -> bool {
        P::KNOWS_REPEATS
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Entry {
    /// See [`Provider::NAME`].
    pub name: &'static str,
    /// See [`Provider::SUMMARY`].
    pub summary: &'static str,
    /// See [`Provider::EXAMPLE`].
    pub example: &'static str,
    /// See [`Provider::ORIGINS`].
    pub origins: &'static [&'static str],
    /// See [`Provider::AUTH`].
    pub auth: &'static str,
    /// See [`Provider::DIALECT`].
    pub dialect: &'static str,
    /// See [`Provider::URLS`].
    pub urls: Urls,
    /// See [`Provider::from_url`].
    pub from_url: ReadUrl,
    /// See [`Provider::is_shoutrrr`].
    pub is_shoutrrr: fn(&ServiceUrl) -> bool,
    /// See [`Provider::LIMITS`].
    pub limits: &'static [Bound],
    /// See [`Provider::OVERFLOW`].
    pub overflow: Overflow,
    /// The schema of the provider's own settings.
    pub schema: fn() -> Value,
    /// Makes settings that fit the schema into a target, which treats long texts as it says, or as the
    /// provider does.
    pub open: Open,
}

/// How a URL becomes settings.
pub type ReadUrl = fn(&mut ServiceUrl) -> Result<Vec<Map<String, Value>>, UrlProblem>;

/// How settings become a target.
pub type Open = fn(Value, Option<Overflow>, &Pointer, &mut Diagnostics) -> Option<Box<dyn Service>>;

/// Every provider, sorted by name.
pub const ALL: &[Entry] = &[
    Entry::of::<alertmanager::Alertmanager>(),
    Entry::of::<apprise::Apprise>(),
    Entry::of::<bark::Bark>(),
    Entry::of::<brevo::Brevo>(),
    Entry::of::<datadog::Datadog>(),
    Entry::of::<dingtalk::DingTalk>(),
    Entry::of::<discord::Discord>(),
    Entry::of::<feishu::Feishu>(),
    Entry::of::<googlechat::GoogleChat>(),
    Entry::of::<gotify::Gotify>(),
    Entry::of::<grafana_oncall::GrafanaOnCall>(),
    Entry::of::<homeassistant::HomeAssistant>(),
    Entry::of::<ifttt::Ifttt>(),
    Entry::of::<incident_io::IncidentIo>(),
    Entry::of::<join::Join>(),
    Entry::of::<feishu::Lark>(),
    Entry::of::<line::Line>(),
    Entry::of::<mailgun::Mailgun>(),
    Entry::of::<matrix::Matrix>(),
    Entry::of::<mattermost::Mattermost>(),
    Entry::of::<nextcloud_talk::NextcloudTalk>(),
    Entry::of::<ntfy::Ntfy>(),
    Entry::of::<opsgenie::Opsgenie>(),
    Entry::of::<pagerduty::PagerDuty>(),
    Entry::of::<postmark::Postmark>(),
    Entry::of::<prowl::Prowl>(),
    Entry::of::<pushbullet::Pushbullet>(),
    Entry::of::<pushdeer::PushDeer>(),
    Entry::of::<pushover::Pushover>(),
    Entry::of::<resend::Resend>(),
    Entry::of::<rocketchat::RocketChat>(),
    Entry::of::<sendgrid::SendGrid>(),
    Entry::of::<serverchan::ServerChan>(),
    Entry::of::<signal::Signal>(),
    Entry::of::<simplepush::Simplepush>(),
    Entry::of::<slack::Slack>(),
    Entry::of::<splunk_oncall::SplunkOnCall>(),
    Entry::of::<synology_chat::SynologyChat>(),
    Entry::of::<teams::Teams>(),
    Entry::of::<telegram::Telegram>(),
    Entry::of::<twilio::Twilio>(),
    Entry::of::<webex::Webex>(),
    Entry::of::<webhook::Webhook>(),
    Entry::of::<wecom::WeCom>(),
    Entry::of::<zulip::Zulip>(),
];

/// The provider of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

/// The settings of the targets that a URL stands for.
///
/// A scheme that one dialect has alone is read as that dialect reads it. One that both have is read as Apprise
/// reads it, unless the URL is of a form that only shoutrrr has. `dialect` goes over both rules.
///
/// # Errors
///
/// Which part of the URL is wrong.
pub fn from_url(text: &str, dialect: Option<UrlDialect>) -> Result<Vec<FromUrl>, UrlProblem> {
    if text.trim().len() > service_url::LONGEST_URL {
        return Err(service_url::wrong("url", "is longer than 8 KiB", "is it one URL?"));
    }
    let Some((scheme, _)) = text.trim().split_once("://") else {
        return Err(service_url::wrong("scheme", "is missing", "a URL begins as `ntfy://`"));
    };
    let scheme = scheme.to_ascii_lowercase();
    // `svc+https://host/…` is shoutrrr's form for a service that has a URL of its own.
    let base = scheme.split('+').next().unwrap_or_default();
    let has = |schemes: &[&str]| schemes.contains(&scheme.as_str());
    let of = |dialect: UrlDialect| {
        let schemes = |entry: &Entry| match dialect {
            UrlDialect::Apprise => entry.urls.apprise,
            UrlDialect::Shoutrrr => entry.urls.shoutrrr,
        };
        let is_custom =
            |entry: &Entry| dialect == UrlDialect::Shoutrrr && entry.urls.shoutrrr.contains(&base);
        ALL.iter().find(|entry| has(schemes(entry)) || is_custom(entry))
    };
    let (apprise, shoutrrr) = (of(UrlDialect::Apprise), of(UrlDialect::Shoutrrr));
    let (entry, dialect) = match (dialect, apprise, shoutrrr) {
        (Some(UrlDialect::Apprise), Some(entry), _) | (None, Some(entry), None) => {
            (entry, UrlDialect::Apprise)
        }
        (Some(UrlDialect::Shoutrrr), _, Some(entry)) | (None, None, Some(entry)) => {
            (entry, UrlDialect::Shoutrrr)
        }
        (None, Some(entry), Some(other)) => {
            let url = ServiceUrl::parse(text, UrlDialect::Shoutrrr);
            match url.is_ok_and(|url| (other.is_shoutrrr)(&url)) {
                true => (other, UrlDialect::Shoutrrr),
                false => (entry, UrlDialect::Apprise),
            }
        }
        _ => {
            let schemes =
                |entry: &'static Entry| entry.urls.apprise.iter().chain(entry.urls.shoutrrr).copied();
            let hint = did_you_mean(&scheme, ALL.iter().flat_map(schemes));
            return Err(service_url::wrong("scheme", "is of no provider", &hint));
        }
    };
    let mut url = ServiceUrl::parse(text, dialect)?;
    let mut targets = (entry.from_url)(&mut url)?;
    for target in &mut targets {
        // A URL of one service may name another that is like it, whose settings then say so.
        if !target.contains_key("provider") {
            target.shift_insert(0, "provider".to_owned(), entry.name.into());
        }
    }
    let has_format = (entry.schema)().pointer("/properties/format").is_some();
    url.finish(targets, has_format)
}

impl Entry {
    const fn of<P: Provider>() -> Self {
        Self {
            name: P::NAME,
            summary: P::SUMMARY,
            example: P::EXAMPLE,
            origins: P::ORIGINS,
            auth: P::AUTH,
            dialect: P::DIALECT,
            urls: P::URLS,
            from_url: P::from_url,
            is_shoutrrr: P::is_shoutrrr,
            limits: P::LIMITS,
            overflow: P::OVERFLOW,
            schema: P::Settings::schema,
            open: |settings, overflow, at, problems| {
                let Some(settings) = P::Settings::read(&settings) else {
                    problems.value(at, schema::MISFIT, "");
                    return None;
                };
                let overflow = overflow.unwrap_or(P::OVERFLOW);
                P::check(settings, overflow, at, problems).map(|target| Box::new(target) as Box<dyn Service>)
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
