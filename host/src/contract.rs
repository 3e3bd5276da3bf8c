//! The nouns of the contract (`wit/`), as Rust types.
//!
//! These are the types that the component itself speaks, generated from the WIT text with its doc
//! comments: what the library takes from its callers is what the guest gets, without a copy in between; of an envelope
//! alone there is one.
//! Only this module names generated code.

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "notifier",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub use generated::exports::nuncio::dispatch::catalog::{Limit, Provider, UrlDialect, UrlProblem, UrlTarget};
pub(crate) use generated::exports::nuncio::dispatch::dispatcher::Guest;
pub(crate) use generated::nuncio::dispatch::types::Envelope;
pub use generated::nuncio::dispatch::types::{
    Admission, Arrivals, Atom, Attempt, Body, Breaker, Choice, Class, Decision, Diagnostic, Ed25519,
    Endpoint, Escape, Field, Hidden, Hmac, Hold, Insertion, Judged, Judgement, KeyForm, Level, Method,
    Notification, Outcome, Pace, Parameter, Passage, Place, Probe, Recent, Reply, Request, Routed, Secret,
    Target, TargetNumber, Transport, Tried, UnknownName, Verdict,
};
pub(crate) use generated::{Notifier, NotifierPre};

impl Endpoint {
    /// Before this instant nothing is sent there, as far as is known: the receiver's own word, or the next probe.
    #[must_use]
    pub fn closed_until(&self) -> u64 {
        match self.breaker {
            Breaker::Open(probe) | Breaker::Held(probe) => self.not_before.max(probe.at),
            _ => self.not_before,
        }
    }

    /// What is left of the retry budget at an instant, in thousandths of a retry: for people to see between two
    /// attempts. The rule is the policy's: of ten, one trickles in every 30 s.
    #[must_use]
    pub fn budget_left(&self, now: u64) -> u64 {
        let trickled = now.saturating_sub(self.credited) / 30;
        10_000_u64.saturating_sub(u64::from(self.spent_milli).saturating_sub(trickled))
    }
}

/// The contract knows no CONNECT, which would make a tunnel of the connection.
impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Head => Self::HEAD,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}

impl Passage {
    /// A text into which nothing is inserted.
    pub fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), insertions: Vec::new() }
    }
}

impl Reply {
    /// A head of these headers, names and values; neither may have a line break.
    pub fn head_of<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut head = String::with_capacity(256);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\n"]);
        }
        head
    }
}

impl Level {
    /// Every level, least serious first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// The level's name, as configurations and notifications write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The level of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Transient,
        Self::Ambiguous,
        Self::Throttled,
        Self::Credentials,
        Self::Permanent,
        Self::Gone,
    ];

    /// The class's name, as the contract writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Transient => "transient",
            Self::Ambiguous => "ambiguous",
            Self::Throttled => "throttled",
            Self::Credentials => "credentials",
            Self::Permanent => "permanent",
            Self::Gone => "gone",
        }
    }

    /// The class of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl UrlDialect {
    /// Both dialects.
    pub const ALL: [Self; 2] = [Self::Apprise, Self::Shoutrrr];

    /// The dialect's name, as configurations and the command line write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apprise => "apprise",
            Self::Shoutrrr => "shoutrrr",
        }
    }

    /// The dialect of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

#[cfg(test)]
impl Provider {
    /// A provider of a test's own.
    pub(crate) fn of(name: &str, schema: &str, origins: &[&str]) -> Self {
        Self {
            name: name.into(),
            summary: String::new(),
            settings_schema: schema.into(),
            example: format!("- name: a\n  provider: {name}\n"),
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
            auth: String::new(),
            dialect: String::new(),
            limits: Vec::new(),
            overflow: "split".into(),
            apprise_form: String::new(),
            shoutrrr_form: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_and_every_class_has_a_name_of_its_own() {
        for level in Level::ALL {
            assert_eq!(Level::parse(level.name()), Some(level));
        }
        for class in Class::ALL {
            assert_eq!(Class::parse(class.name()), Some(class));
        }
        assert!(Level::parse("loud").is_none() && Class::parse("").is_none());
    }
}
