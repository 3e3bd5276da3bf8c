//! The kinds of values that providers' settings are made of.
//!
//! Each knows its JSON Schema, so that a provider's settings are one `struct` with doc comments: what it
//! accepts, what the schema says and what the documentation shows cannot drift apart.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};

use crate::notification::Level;
use crate::request::{Atom, Escape, Segment};
use declare::Setting;

pub mod declare;

/// The member of the object that stands in a secret's place.
pub const REFERENCE: &str = "$secret";

/// The name of a secret, in the place of its value. The host writes it there; in a configuration it is
/// text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The URL of a server, to which paths are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

/// A URL that gives access to whoever knows it, as the URLs of incoming webhooks do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUrl(Secret);

/// A value for each level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerLevel<T>([Option<T>; 6]);

// === impl Secret ===

impl Secret {
    /// The secret's value, as the host will write it.
    #[must_use]
    pub fn segment(&self, escape: Escape) -> Segment {
        Segment::Secret { name: self.0.clone(), escape }
    }

    /// The secret's value inside base64 or an HMAC.
    #[must_use]
    pub fn atom(&self) -> Atom {
        Atom::Secret(self.0.clone())
    }

    /// The value of an Authorization header with the secret as a bearer token (RFC 6750, section 2.1).
    #[must_use]
    pub fn bearer(&self) -> Vec<Segment> {
        vec!["Bearer ".into(), self.segment(Escape::Verbatim)]
    }

    /// The value of an Authorization header with a user name and the secret as the password (RFC 7617).
    #[must_use]
    pub fn basic(&self, user: &str) -> Vec<Segment> {
        vec!["Basic ".into(), Segment::Base64(vec![Atom::Text(format!("{user}:")), self.atom()])]
    }
}

/// The value itself must not enter the guest, so that text is no secret.
impl Setting for Secret {
    fn schema() -> Value {
        json!({ "type": "string", "writeOnly": true })
    }

    fn read(value: &Value) -> Option<Self> {
        let reference = value.as_object().filter(|reference| reference.len() == 1)?;
        Some(Self(reference.get(REFERENCE)?.as_str()?.to_owned()))
    }
}

/// The name is no secret, but a reader of logs should not have to know that.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.0)
    }
}

// === impl BaseUrl ===

impl BaseUrl {
    /// The URL with a path below it. The path has no slash in front; a slash at the end of the URL's own
    /// path makes no difference, and its query and fragment are left out.
    #[must_use]
    pub fn join(&self, path: &str) -> Vec<Segment> {
        let base = self.0.split(['?', '#']).next().unwrap_or_default();
        vec![format!("{}/{path}", base.trim_end_matches('/')).into()]
    }

    /// What is wrong with a URL, and what to do; `None` where nothing is.
    #[must_use]
    pub fn problem(text: &str) -> Option<(&'static str, &'static str)> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let Some(rest) = rest else {
            return Some(("is no http or https URL", "it must start with `https://` or `http://`"));
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() || authority.starts_with(':') {
            Some(("names no host", "write it as `https://host/`"))
        } else if authority.contains('@') {
            Some(("holds a user name or password", "move it into the settings for credentials"))
        } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            Some(("holds white space", "write it as `%20`"))
        } else {
            None
        }
    }
}

/// Text as one segment of a URL's path: every byte but letters, digits and `-._~` percent-encoded (RFC 3986,
/// section 2.3).
#[must_use]
pub fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => segment.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => segment.push(byte.into()),
            // Writing to a String does not fail.
            _ => drop(write!(segment, "%{byte:02X}")),
        }
    }
    segment
}

impl Setting for BaseUrl {
    fn schema() -> Value {
        json!({ "type": "string", "format": "uri" })
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_str().filter(|text| Self::problem(text).is_none()).map(|text| Self(text.to_owned()))
    }
}

// === impl SecretUrl ===

impl SecretUrl {
    /// The URL, as the host will write it.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        vec![self.0.segment(Escape::Verbatim)]
    }
}

impl Setting for SecretUrl {
    fn schema() -> Value {
        json!({ "type": "string", "format": "uri", "writeOnly": true })
    }

    fn read(value: &Value) -> Option<Self> {
        Secret::read(value).map(Self)
    }
}

// === impl PerLevel ===

impl<T> PerLevel<T> {
    /// A value for every level.
    pub fn from_fn(value: impl Fn(Level) -> T) -> Self {
        Self(Level::ALL.map(|level| Some(value(level))))
    }

    /// The value of a level, where there is one.
    #[must_use]
    pub fn find(&self, level: Level) -> Option<&T> {
        self.0.iter().zip(Level::ALL).find(|(_, other)| *other == level).and_then(|(value, _)| value.as_ref())
    }
}

impl<T: Clone> PerLevel<T> {
    /// These values, and another's where there is none.
    #[must_use]
    pub fn over(self, other: &Self) -> Self {
        let mut under = other.0.iter();
        Self(self.0.map(|value| {
            let below = under.next().cloned().flatten();
            value.or(below)
        }))
    }
}

impl<T: Copy + Default> PerLevel<T> {
    /// The value of a level; its default where there is none.
    #[must_use]
    pub fn get(&self, level: Level) -> T {
        self.find(level).copied().unwrap_or_default()
    }
}

/// One value for all levels, or a mapping from levels to values.
impl<T: Setting> Setting for PerLevel<T> {
    fn schema() -> Value {
        by_level_schema(T::schema())
    }

    fn read(value: &Value) -> Option<Self> {
        let mut fits = true;
        let read = by_level(value)?.map(|value| {
            let read = value.map(T::read)?;
            fits &= read.is_some();
            read
        });
        fits.then_some(Self(read))
    }
}

/// The value of each level; one code for values of every type.
fn by_level(value: &Value) -> Option<[Option<&Value>; 6]> {
    let Value::Object(levels) = value else { return Some(Level::ALL.map(|_| Some(value))) };
    let is_known = |name: &String| Level::ALL.iter().any(|level| level.name() == name);
    let value = |level: Level| levels.get(level.name()).filter(|value| !value.is_null());
    levels.keys().all(is_known).then(|| Level::ALL.map(value))
}

fn by_level_schema(one: Value) -> Value {
    let properties: Map<String, Value> =
        Level::ALL.iter().map(|level| (level.name().to_owned(), one.clone())).collect();
    json!({ "anyOf": [one, { "type": "object", "properties": properties, "additionalProperties": false }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_reference_and_never_a_value() {
        let secret = Secret::read(&json!({ "$secret": "phone/token" })).unwrap();
        let bearer = [Segment::from("Bearer "), secret.segment(Escape::Verbatim)];
        assert_eq!(secret.bearer(), bearer);
        for value in [json!("tk_canary"), json!({ "$secret": 1 }), json!({ "$secret": "x", "y": 1 })] {
            assert_eq!(Secret::read(&value), None);
        }
    }

    #[test]
    fn a_slash_at_the_end_of_a_base_makes_no_difference() {
        for base in [
            "https://push.example/gotify",
            "https://push.example/gotify/",
            "https://push.example/gotify/?x=1#y",
        ] {
            let url = BaseUrl::read(&base.into()).unwrap();
            assert_eq!(url.join("message"), [Segment::from("https://push.example/gotify/message")]);
        }
    }

    #[test]
    fn a_segment_of_a_path_has_no_end_in_it() {
        assert_eq!(path_segment("!a/b:c?d#e%é"), "%21a%2Fb%3Ac%3Fd%23e%25%C3%A9");
        assert_eq!(path_segment("aZ09-._~"), "aZ09-._~");
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for text in [
            "",
            "push.example",
            "ftp://push.example",
            "https://",
            "http://:80/",
            "https://a b/",
            "https://u:p@h/",
        ] {
            assert!(BaseUrl::problem(text).is_some(), "{text}");
        }
        assert_eq!(BaseUrl::problem("http://[::1]:8080/x?y=z"), None);
    }

    #[test]
    fn values_are_given_for_all_levels_or_for_some() {
        let all = PerLevel::<u64>::read(&json!(4)).unwrap();
        let some = PerLevel::<u64>::read(&json!({ "warn": 9 })).unwrap();
        assert_eq!(
            (all.find(Level::Info), some.find(Level::Info), some.find(Level::Warn)),
            (Some(&4), None, Some(&9))
        );
        assert_eq!(some.over(&all).find(Level::Info), Some(&4));
    }
}
