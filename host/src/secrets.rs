//! The values of a configuration's secrets.
//!
//! The guest knows a secret by its name. The value stays here, and leaves only in a request of the target
//! that it was configured for; where this target's requests may go is for [`crate::egress::route`] to say.

use std::collections::HashMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::contract::Escape;

/// What stands in the place of a secret, wherever people or files could see one.
pub const MASK: &str = "***";

/// A value shorter than this is not blotted out of other text: it would stand there by chance.
const SHORTEST_REDACTED: usize = 4;

/// A step of a secret URL's path that is shorter than this identifies nobody: `api`, `hooks`.
const SHORTEST_STEP: usize = 8;

/// The secrets of every target of one configuration.
#[derive(Default)]
pub struct Secrets {
    targets: HashMap<String, Target>,
}

#[derive(Default)]
struct Target {
    values: HashMap<String, SecretString>,
    /// Every text that would give a value away, the longest first.
    traces: Vec<String>,
}

impl Secrets {
    /// Keeps a value that stood at a place in a target's settings (`token`, `headers/X-Key`), and returns
    /// the name by which the guest knows it.
    pub fn keep(&mut self, target: &str, setting: &str, value: SecretString) -> String {
        let name = format!("{target}/{setting}");
        let target = self.targets.entry(target.to_owned()).or_default();
        target.traces.extend(traces(value.expose_secret()));
        sort(&mut target.traces);
        target.values.insert(name.clone(), value);
        name
    }

    /// The value of a target's secret; `None` where this target has no secret of that name, whoever else
    /// has one.
    #[must_use]
    pub fn reveal(&self, target: &str, name: &str) -> Option<&str> {
        self.targets.get(target)?.values.get(name).map(ExposeSecret::expose_secret)
    }

    /// A target's secrets, each with its name, sorted: what changes when one of them does.
    #[must_use]
    pub(crate) fn of(&self, target: &str) -> Vec<(&str, &str)> {
        let values = self.targets.get(target).into_iter().flat_map(|target| &target.values);
        let mut values: Vec<_> = values.map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        values.sort_unstable();
        values
    }

    /// The text with every secret of a target blotted out: as it is, in any escape a request could have
    /// carried it in, and, of a secret URL, its path and what identifies it in the path. `derived` is what a
    /// request carried that was computed from secrets. Values of fewer than 4 bytes stay.
    #[must_use]
    pub fn redact(&self, target: &str, derived: &[String], text: &[u8]) -> Vec<u8> {
        let mut traces: Vec<String> = derived.iter().filter(|text| is_telling(text)).cloned().collect();
        traces.extend(self.targets.get(target).into_iter().flat_map(|target| target.traces.iter().cloned()));
        sort(&mut traces);
        traces.iter().fold(text.to_vec(), |text, trace| replace(&text, trace.as_bytes(), MASK.as_bytes()))
    }
}

/// Every text that would give a value away.
fn traces(value: &str) -> Vec<String> {
    let mut values = vec![value.to_owned()];
    if let Ok(url) = Url::parse(value)
        && url.has_host()
    {
        let query = url.query().unwrap_or_default();
        let (path, whole) =
            (url.path(), url.path().to_owned() + if query.is_empty() { "" } else { "?" } + query);
        values.extend([whole, query.to_owned()].into_iter().filter(|part| part.len() > SHORTEST_REDACTED));
        let of_query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
        let parts = of_query.chain([path]).filter(|part| part.len() > SHORTEST_REDACTED);
        values.extend(parts.map(ToOwned::to_owned));
        values.extend(path.split('/').filter(|step| step.len() >= SHORTEST_STEP).map(ToOwned::to_owned));
    }
    let forms = |value: &String| {
        let percent = escape(value, Escape::Percent);
        let json = escape(value, Escape::Json);
        // Some write `%2f` for `%2F`, `+` for a space, and `\/` for a slash.
        let plus = percent.replace("%20", "+");
        let slashes = json.replace('/', "\\/");
        [value.clone(), lower_hex(&percent), percent, plus, json, slashes]
    };
    values.iter().filter(|value| is_telling(value)).flat_map(forms).collect()
}

fn is_telling(value: &str) -> bool {
    value.len() >= SHORTEST_REDACTED
}

/// The longest first, so that a secret inside another does not leave the rest of it standing.
fn sort(traces: &mut Vec<String>) {
    traces.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    traces.dedup();
}

/// Percent-encoded text with its escapes in lower case.
fn lower_hex(percent: &str) -> String {
    let mut pieces = percent.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        text += &format!("%{}{rest}", escape.to_ascii_lowercase());
    }
    text
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.targets.values().flat_map(|target| target.values.keys()).collect();
        names.sort_unstable();
        f.debug_struct("Secrets").field("names", &names).finish_non_exhaustive()
    }
}

/// A value, written for its surroundings.
#[must_use]
pub fn escape(value: &str, escape: Escape) -> String {
    match escape {
        Escape::Verbatim => value.to_owned(),
        Escape::Percent => percent_encoding::utf8_percent_encode(value, &UNRESERVED).to_string(),
        Escape::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
        }
    }
}

/// All but the unreserved characters of RFC 3986, section 2.3.
const UNRESERVED: percent_encoding::AsciiSet =
    percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = after;
        } else {
            replaced.push(*first);
            rest = after;
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(value: &str) -> Secrets {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.keep("phone", "token", value.into()), "phone/token");
        secrets
    }

    #[test]
    fn a_secret_is_revealed_to_its_own_target_only() {
        let secrets = kept("tk_canary");
        assert_eq!(secrets.reveal("phone", "phone/token"), Some("tk_canary"));
        assert_eq!(secrets.reveal("desk", "phone/token"), None);
    }

    #[test]
    fn an_echoed_secret_is_blotted_out_in_every_escape() {
        let secrets = kept("a b\"c/d");
        let echo = br#"raw a b"c/d, url a%20b%22c%2Fd, json a b\"c/d."#;
        let redacted = String::from_utf8(secrets.redact("phone", &[], echo)).unwrap();
        assert_eq!(redacted, "raw ***, url ***, json ***.");
    }

    #[test]
    fn other_ways_to_escape_a_secret_are_known_too() {
        let secrets = kept("a b\"c/d");
        let echo = br#"lower a%20b%22c%2fd, form a+b%22c%2Fd, php a b\"c\/d."#;
        let redacted = String::from_utf8(secrets.redact("phone", &[], echo)).unwrap();
        assert_eq!(redacted, "lower ***, form ***, php ***.");
    }

    #[test]
    fn what_identifies_a_secret_url_is_blotted_out_wherever_it_stands() {
        let secrets = kept("http://hooks.example/api/T0ken-part?sig=s3cr3t");
        for echo in [
            "Location: https://hooks.example/api/T0ken-part?sig=s3cr3t",
            "Cannot POST /api/T0ken-part?sig=s3cr3t",
            "{\"path\":\"\\/api\\/T0ken-part\"}",
            "unknown hook T0ken-part",
            "bad signature s3cr3t",
            "nothing at /api/T0ken-part",
        ] {
            let redacted = String::from_utf8(secrets.redact("phone", &[], echo.as_bytes())).unwrap();
            assert!(!redacted.contains("T0ken-part") && !redacted.contains("s3cr3t"), "{redacted}");
        }
    }

    #[test]
    fn what_was_computed_from_secrets_is_blotted_out() {
        let derived = ["dXNlcjpzZWNyZXQ=".to_owned()];
        let echo = b"bad credentials Basic dXNlcjpzZWNyZXQ=";
        assert_eq!(Secrets::default().redact("phone", &derived, echo), b"bad credentials Basic ***");
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let shown = format!("{:?}", kept("tk_canary"));
        assert!(shown.contains("phone/token") && !shown.contains("canary"), "{shown}");
    }
}
