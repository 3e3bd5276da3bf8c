//! Which part of a file is Nuncio's.
//!
//! It decides whose each key is. A file with `providers` may be GoDoxy's, which has much in it that is none
//! of our business: there what is not ours is neither substituted nor checked, and never shown. In any other
//! file a key that is not ours is a mistake.

use std::collections::HashSet;
use std::ops::Range;

use super::document::{Entry, Node, Value};
use super::findings::Findings;
use super::report::Problem;
use super::substitute::Substitution;
use super::vault::Vault;
use super::{pointer, spelling};
use crate::contract::{Place, Provider};

/// The keys of a file of Nuncio's own, and the one that it shares with GoDoxy's.
const KEYS: [&str; 9] =
    ["targets", "retry", "server", "queue", "alerts_to", "secrets", "secrets_dir", "proxy", "providers"];

/// All that is read, as JSON pointers, the first first: what others refer to.
const READ: [&str; 9] =
    [SECRETS, SECRETS_DIR, "/targets", NOTIFICATION, "/server", "/proxy", "/retry", "/queue", "/alerts_to"];

/// Where secrets are given.
const SECRETS: &str = "/secrets";

/// Where a folder of secrets is named.
const SECRETS_DIR: &str = "/secrets_dir";

/// The parts in which a place can keep a secret.
const KEEPING: [&str; 4] = ["/targets", NOTIFICATION, "/server", "/proxy"];

/// The part of `providers` that is read; all others are GoDoxy's.
pub const NOTIFICATION: &str = "/providers/notification";

/// What a file consists of.
#[derive(Default)]
pub struct Parts {
    /// Nuncio's.
    read: Vec<Range<usize>>,
    /// GoDoxy's, or unknown.
    ignored: Vec<Range<usize>>,
}

impl Parts {
    /// Takes in the secrets that are given, substitutes variables and secrets in what is read, and hides what is
    /// not.
    #[must_use]
    pub fn prepare(root: &mut Node, vault: &mut Vault<'_>, findings: &mut Findings<'_>) -> Self {
        let is_shared = root.get("providers").is_some();
        let mut substitution = Substitution::new(vault, findings.text());
        let mut parts = Self::default();
        let mut seen = HashSet::new();
        let mut sections = sections(root);
        sections
            .sort_by_key(|(pointer, _)| READ.iter().position(|read| read == pointer).unwrap_or(READ.len()));
        for (mut pointer, entry) in sections {
            let is_known = READ.contains(&pointer.as_str());
            if is_known && seen.insert(pointer.clone()) {
                parts.read.push(entry.value.span.clone());
                let keeps = KEEPING.contains(&pointer.as_str());
                substitution.run(&mut entry.value, keeps, &mut pointer, findings);
                match pointer.as_str() {
                    SECRETS => substitution.vault().take(&entry.value, findings),
                    SECRETS_DIR => substitution.vault().take_folder(&entry.value, findings),
                    _ => {}
                }
                continue;
            }
            // The second of two is reported as such, and not read.
            parts.ignored.push(entry.value.span.clone());
            findings.hide(entry.value.span.clone());
            if !is_known {
                parts.ignored.push(entry.key_span.clone());
                if !is_shared {
                    let hint = spelling::hint(&entry.key, &KEYS);
                    let problem = format!("unknown key `{}`", entry.key);
                    findings.extend([Problem::at(entry.key_span.clone(), problem, hint)]);
                }
            }
        }
        parts
    }

    /// Whether a problem that the document has is with what is read of it.
    #[must_use]
    pub fn concerns(&self, problem: &Problem) -> bool {
        let Some(span) = &problem.span else { return true };
        let is_in = |parts: &[Range<usize>]| parts.iter().any(|part| part.contains(&span.start));
        is_in(&self.read) || !is_in(&self.ignored)
    }
}

/// The entries of a file that are somebody's as a whole, with their pointers: the top level, and below
/// `providers` the level after it.
fn sections(root: &mut Node) -> Vec<(String, &mut Entry)> {
    let mut sections = Vec::new();
    let Value::Map(entries) = &mut root.value else { return sections };
    for entry in entries {
        let mut at = String::new();
        pointer::push(&mut at, &entry.key);
        if entry.key != "providers" || entry.value.entries().is_empty() {
            sections.push((at, entry));
        } else if let Value::Map(below) = &mut entry.value.value {
            for entry in below {
                let length = pointer::push(&mut at, &entry.key);
                sections.push((at.clone(), entry));
                at.truncate(length);
            }
        }
    }
    sections
}

/// Notes that a file names no target.
pub fn refuse_nothing(root: &Node, providers: &[Provider], findings: &mut Findings<'_>) {
    let places = ["/targets", NOTIFICATION, "/providers"];
    if places.iter().any(|place| findings.covers(place)) {
        return;
    }
    let example =
        providers.first().map_or("- name: NAME\n  provider: PROVIDER", |provider| provider.example.as_str());
    let example: Vec<String> = example.trim_end().lines().map(|line| format!("  {line}")).collect();
    let hint = format!("name at least one, such as:\ntargets:\n{}", example.join("\n"));
    let span = places.iter().find_map(|place| pointer::locate(root, findings.text(), place, Place::Key));
    findings.extend([Problem { span, problem: "there is no target to deliver to".to_owned(), hint }]);
    places.iter().chain(&[""]).for_each(|place| findings.cover(place));
}
