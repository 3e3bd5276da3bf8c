//! Providers: each kind of service in a file of its own, and the table that lists them.
//!
//! To add one: write `provider/NAME.rs` after the example of a short one ([`gotify`]), and add it to
//! [`ALL`]. Nothing else changes, in this crate or in any host.

use serde_json::Value;

use crate::diagnostic::{Diagnostics, Pointer};
use crate::limit::{Bound, Overflow};
use crate::notification::Notification;
use crate::outcome::{Class, Reply};
use crate::request::Request;
use crate::schema;
use crate::settings::declare::Setting;

pub mod discord;
#[cfg(test)]
mod every;
pub mod gotify;
pub mod matrix;
pub mod ntfy;
pub mod pagerduty;
pub mod pushover;
pub mod slack;
pub mod telegram;
pub mod webhook;

/// What a provider may know of the moment in which it formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// When this attempt begins, in milliseconds since the Unix epoch.
    pub now: u64,
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

    /// The requests that deliver a notification, in the order in which they must be sent; at least one, and
    /// as many on every occasion.
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

/// How settings become a target.
pub type Open = fn(Value, Option<Overflow>, &Pointer, &mut Diagnostics) -> Option<Box<dyn Service>>;

/// Every provider, sorted by name.
pub const ALL: &[Entry] = &[
    Entry::of::<discord::Discord>(),
    Entry::of::<gotify::Gotify>(),
    Entry::of::<matrix::Matrix>(),
    Entry::of::<ntfy::Ntfy>(),
    Entry::of::<pagerduty::PagerDuty>(),
    Entry::of::<pushover::Pushover>(),
    Entry::of::<slack::Slack>(),
    Entry::of::<telegram::Telegram>(),
    Entry::of::<webhook::Webhook>(),
];

/// The provider of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

impl Entry {
    const fn of<P: Provider>() -> Self {
        Self {
            name: P::NAME,
            summary: P::SUMMARY,
            example: P::EXAMPLE,
            origins: P::ORIGINS,
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
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::color::Color;
    use crate::notification::{Body, Field, Level};
    use crate::request::Segment;

    /// A target of a provider, from its settings in JSON.
    pub(crate) fn open<P: Provider>(settings: Value) -> P {
        let mut problems = Diagnostics::default();
        let settings = P::Settings::read(&settings).expect("the settings fit");
        P::check(settings, P::OVERFLOW, &Pointer::default(), &mut problems)
            .unwrap_or_else(|| panic!("refused: {:?}", problems.into_vec()))
    }

    /// What is wrong with settings in JSON: `path: problem (hint)`.
    pub(crate) fn problems<P: Provider>(settings: Value) -> Vec<String> {
        let (root, mut problems) = (Pointer::default(), Diagnostics::default());
        schema::check(&P::Settings::schema(), &settings, &root, &mut problems);
        if problems.is_empty() {
            let settings = P::Settings::read(&settings).expect("what fits the schema is read");
            let target = P::check(settings, P::OVERFLOW, &root, &mut problems);
            assert_eq!(target.is_some(), problems.is_empty(), "a target, or what is wrong");
        }
        problems.into_vec().into_iter().map(|d| format!("{}: {} ({})", d.path, d.problem, d.hint)).collect()
    }

    /// When the tests' requests are formatted: 12.345 s past a whole minute.
    pub(crate) const OCCASION: Occasion = Occasion { now: 1_700_000_052_345 };

    /// The requests that deliver a notification.
    pub(crate) fn requests(target: &impl Provider, notification: &Notification) -> Vec<Request> {
        target.format(notification, &OCCASION).expect("it can be delivered")
    }

    /// The one request that delivers a notification.
    pub(crate) fn request(target: &impl Provider, notification: &Notification) -> Request {
        let mut requests = requests(target, notification);
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }

    /// The body of a request that has no secret in it.
    pub(crate) fn body(request: &Request) -> String {
        match request.body.as_slice() {
            [] => String::new(),
            [Segment::Text(text)] => text.clone(),
            other => panic!("more than text: {other:?}"),
        }
    }

    /// The value of a request's header; there is at most one of a name.
    pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a [Segment]> {
        let mut values = request.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_slice());
        assert!(values.next().is_none(), "two headers called {name}");
        value
    }

    /// Notifications of every kind, with any text.
    pub(crate) fn notifications() -> impl Strategy<Value = Notification> {
        let text = || prop_oneof![any::<String>(), r#"[ -~\n"\\$&%+=]{0,40}"#];
        let field = (text(), text()).prop_map(|(name, value)| Field { name, value });
        let body = prop_oneof![
            text().prop_map(Body::Text),
            prop::collection::vec(text(), 0..30).prop_map(Body::Items),
            prop::collection::vec(field, 0..30).prop_map(Body::Fields),
        ];
        let level = prop::sample::select(Level::ALL.as_slice());
        let color = prop::option::of((0_u32..=0xff_ffff).prop_map(|rgb| Color::from_rgb(rgb).unwrap()));
        let tags = prop::collection::vec(text(), 0..4);
        let link =
            prop::option::of(prop_oneof![any::<String>(), Just("https://status.example/web".to_owned())]);
        let parts = (level, text(), body, color, tags, link);
        parts.prop_map(|(level, title, body, color, tags, link)| {
            let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
            Notification { id, at: 1_700_000_000_000, level, title, body, color, to: vec![], tags, link }
        })
    }

    #[test]
    fn names_are_kebab_case_unique_and_sorted() {
        let names: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for name in names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn every_setting_of_every_provider_is_described() {
        for entry in ALL {
            let schema = (entry.schema)();
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{}", entry.name);
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}: {name}", entry.name);
            }
        }
    }
}
