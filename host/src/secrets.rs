//! The values of a configuration's secrets.
//!
//! The guest knows a secret by its name. The value stays here, and leaves only in a request of the target
//! that it was configured for; where this target's requests may go is for [`crate::egress::route`] to say.

mod finder;
mod traces;

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use secrecy::{ExposeSecret, SecretString};

use self::finder::Finder;
use crate::contract::{Escape, Reply};
use crate::latest::Latest;

/// What stands in the place of a secret, wherever people or files could see one.
pub const MASK: &str = "***";

/// The secrets of every target of one configuration.
#[derive(Default)]
pub struct Secrets {
    targets: HashMap<String, Target>,
}

#[derive(Default)]
struct Target {
    values: HashMap<String, SecretString>,
    /// What looks for every text that would give a value away, from the first reply on.
    finder: OnceLock<Finder>,
    /// What looks for what the latest request carried: most of a target's carry the same.
    latest: Latest<Derived, Arc<Finder>>,
}

/// What a request carries that was computed from secrets, and would give them away if it came back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Derived {
    computed: Vec<String>,
    headers: Vec<String>,
}

impl Derived {
    /// From every text that was computed from secrets, and every value of a header that holds one.
    #[must_use]
    pub fn new(computed: &[&str], headers: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self { computed: owned(computed), headers: owned(headers) }
    }

    fn finder(&self) -> Finder {
        let computed = self.computed.iter().flat_map(|text| traces::of_computed(text));
        Finder::new(computed.chain(self.headers.iter().flat_map(|value| traces::of_header(value))))
    }
}

/// What looks for everything that one reply may not show.
struct Finders<'a> {
    of_target: Option<&'a Finder>,
    of_request: Option<Arc<Finder>>,
}

impl Finders<'_> {
    fn all(&self) -> impl Iterator<Item = &Finder> {
        self.of_request.as_deref().into_iter().chain(self.of_target)
    }

    /// The text with all of it blotted out; `None` where there is nothing of it.
    fn blotted(&self, text: &[u8]) -> Option<Vec<u8>> {
        let found: Vec<_> = self.all().flat_map(|finder| finder.find(text)).collect();
        (!found.is_empty()).then(|| blot(text, found))
    }
}

impl Secrets {
    /// Keeps a value that stood at a place in a target's settings (`token`, `headers/X-Key`), and returns
    /// the name by which the guest knows it.
    pub fn keep(&mut self, target: &str, setting: &str, value: SecretString) -> String {
        let name = format!("{target}/{setting}");
        let target = self.targets.entry(target.to_owned()).or_default();
        target.finder.take();
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

    /// The text with every secret of a target blotted out: as it is, as base64 and as hexadecimal, in any escape
    /// a request could have carried it in or a service could write, and, of a secret URL, its path and what
    /// identifies it in the path; and so what a request carried that was computed from secrets.
    ///
    /// A reply may end anywhere, so where the text ends with a part of any of that, from its beginning, this is
    /// blotted out too. Fewer than 4 bytes stay.
    #[must_use]
    pub fn redact(&self, target: &str, derived: &Derived, text: &[u8]) -> Vec<u8> {
        self.finders(target, derived).blotted(text).unwrap_or_else(|| text.to_vec())
    }

    /// A reply with everything blotted out of its body and of each line of its head that [`Secrets::redact`] blots
    /// out of a text.
    #[must_use]
    pub fn redact_reply(&self, target: &str, derived: &Derived, mut reply: Reply) -> Reply {
        let finders = self.finders(target, derived);
        if let Some(body) = finders.blotted(&reply.body) {
            reply.body = body;
        }
        // Most heads have nothing of it.
        if finders.all().any(|finder| finder.may_find(reply.head.as_bytes())) {
            // Whole lines: what is sent back can stand in a header's name as well.
            let blotted = |line: &str| match finders.blotted(line.as_bytes()) {
                Some(blotted) => String::from_utf8_lossy(&blotted).into_owned(),
                None => line.to_owned(),
            };
            reply.head = reply.head.split('\n').map(blotted).collect::<Vec<_>>().join("\n");
        }
        reply
    }

    fn finders(&self, target: &str, derived: &Derived) -> Finders<'_> {
        let target = self.targets.get(target);
        let of_target = target.map(|target| {
            let traces = || target.values.values().flat_map(|value| traces::of_value(value.expose_secret()));
            target.finder.get_or_init(|| Finder::new(traces()))
        });
        let of_request = (*derived != Derived::default()).then(|| match target {
            Some(target) => target.finder_of(derived),
            None => Arc::new(derived.finder()),
        });
        Finders { of_target, of_request }
    }
}

impl Target {
    fn finder_of(&self, derived: &Derived) -> Arc<Finder> {
        let make = || Ok::<_, Infallible>((derived.clone(), Arc::new(derived.finder())));
        let Ok(finder) = self.latest.or_ask(|of| of == derived, make);
        finder
    }
}

/// The text with a mask in the place of each range. Ranges that overlap are one, so that no secret across another
/// leaves the rest of it standing.
fn blot(text: &[u8], mut ranges: Vec<Range<usize>>) -> Vec<u8> {
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut blotted, mut end) = (Vec::with_capacity(text.len()), 0);
    for range in ranges {
        if range.start >= end {
            blotted.extend_from_slice(text.get(end..range.start).unwrap_or_default());
            blotted.extend_from_slice(MASK.as_bytes());
        }
        end = end.max(range.end);
    }
    blotted.extend_from_slice(text.get(end..).unwrap_or_default());
    blotted
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

#[cfg(test)]
mod redaction_tests;

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
    fn debug_shows_names_and_no_values() {
        let shown = format!("{:?}", kept("tk_canary"));
        assert!(shown.contains("phone/token") && !shown.contains("canary"), "{shown}");
    }
}
